"""Area under the ROC curve, over all rows and within requests."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.learning.metrics.calibration import as_columns
from ukdsl_assets.learning.metrics.sums import weighted_sum


def auc(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a positive is predicted above a negative, ties counted half.

    A row stands for a positive of weight w * y and a negative of weight w * (1 - y), so soft references are as good as
    labels; 1/2 is no better than chance. Args as in `calibration`.

    Returns:
        NaN without positives or without negatives, or with a NaN in the input.
    """
    return auc_with_influence(prediction, reference, weight)[0]


def auc_with_influence(
    prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """The AUC and what each row adds to it at first order, float64 [rows]; the influences sum to 0.

    Drawing row i m_i times moves the AUC by about the sum of (m_i - 1) * influence_i. Summed by request, that is
    the variance of clustered ROC curves (Obuchowski, Nonparametric Analysis of Clustered ROC Curve Data, 1997).
    Where the AUC is NaN, so is every influence.
    """
    p, y, w = as_columns(prediction, reference, weight)
    positive, negative = w * y, w * (1 - y)
    positives, negatives = float(positive.sum()), float(negative.sum())
    if not (positives > 0 and negatives > 0) or np.isnan(p).any():
        return float("nan"), np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")
    starts = _starts(p[order])
    tie = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(p)))
    negatives_below = _below(negative[order], starts)[tie]
    positives_above = positives - _below(positive[order], starts)[tie]
    area = weighted_sum(positive[order], negatives_below) / positives / negatives
    influence = np.empty(len(p))
    influence[order] = positive[order] / positives * (negatives_below / negatives - area)
    influence[order] += negative[order] / negatives * (positives_above / positives - area)
    return area, influence


def request_auc(
    prediction: ArrayLike, reference: ArrayLike, request: NDArray[np.int64], weight: ArrayLike | None = None
) -> float:
    """Mean AUC inside a request, weighted by the request's sum of weights: how well candidates are ordered.

    Also known as GAUC (Zhou et al., Deep Interest Network, 2018). Only pairs of different rows count: with soft
    references a row is positive and negative in part, and its tie with itself would pull small requests to 1/2.

    Args:
        prediction, reference, weight: as in `auc`.
        request: int64 [rows] >= 0, in any order.

    Returns:
        NaN where no request has both outcomes, or with a NaN in the input. Requests without both are left out.
    """
    p, y, w = as_columns(prediction, reference, weight)
    inside, share = request_auc_sums(p, y, request, w)
    return inside / share if share != 0 else float("nan")


def request_auc_sums(
    p: NDArray[np.float64], y: NDArray[np.float64], request: NDArray[np.int64], w: NDArray[np.float64]
) -> tuple[float, float]:
    """Sum of share * AUC and sum of share over requests, whose ratio is `request_auc`; arrays as there.

    Both are NaN with a NaN in the input or an infinite weight, and 0 where no request has both outcomes.
    """
    from ukdsl_assets.learning.metrics.request_order import auc_of_requests

    if not len(p):
        return 0.0, 0.0
    if np.isnan(p).any() or np.isnan(y).any() or not np.isfinite(w).all():
        return float("nan"), float("nan")
    inside, share = auc_of_requests(_by_request_and(p, request), request, p, y, w)
    both = ~np.isnan(inside)
    return weighted_sum(share[both], inside[both]), float(share[both].sum())


def _by_request_and(p: NDArray[np.float64], request: NDArray[np.int64]) -> NDArray[np.int64]:
    """`np.lexsort((p, request))`, in a sixth of the time for float32's predictions and requests that stand together."""
    narrow = p.astype(np.float32)
    if not (np.all(narrow == p) and p.min() >= 0 and request.min() >= 0 and request.max() < 2**31):
        return np.lexsort((p, request))
    # A positive float orders as its bits do; adding 0 makes -0 one.
    key = (request.astype(np.uint64) << np.uint64(32)) | (narrow + np.float32(0)).view(np.uint32)
    return np.argsort(key, kind="stable")


def _starts(sorted_values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where runs of equal values begin."""
    changes = np.ones(len(sorted_values), dtype=bool)
    changes[1:] = sorted_values[1:] != sorted_values[:-1]
    return np.flatnonzero(changes)


def _below(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of sorted values with ties that begin at `starts`: the sum below each tie, and half of the tie's own."""
    own = np.add.reduceat(values, starts)
    return np.asarray(np.cumsum(own) - own / 2)
