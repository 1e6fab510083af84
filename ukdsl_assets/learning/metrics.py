"""Calibration, normalized entropy and AUC, the figures that every table of the platform reports."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Keeps the logarithm finite for predictions of exactly 0 or 1.
CLIP = 1e-7


def calibration(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean prediction over mean reference (UKDSL paper, 4.1.2); 1 is calibrated, above 1 over-predicts.

    Args:
        prediction: float [rows] in [0, 1].
        reference: float [rows] in [0, 1]: labels, a teacher's predictions or true probabilities.
        weight: float [rows] >= 0, or None for equal weights.

    Returns:
        NaN without rows or with a reference that sums to 0; a NaN in the input gives NaN.
    """
    p, y, w = _columns(prediction, reference, weight)
    total = float(w @ y)
    return float(w @ p) / total if total != 0 else float("nan")


def cross_entropy(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted mean of -(y log p + (1 - y) log(1 - p)) in nats, for labels or soft references y in [0, 1].

    Args and edge cases as in `calibration`; predictions are clipped to [1e-7, 1 - 1e-7].
    """
    p, y, w = _columns(prediction, reference, weight)
    total = float(w.sum())
    return float(w @ row_entropy(p, y)) / total if total > 0 else float("nan")


def row_entropy(prediction: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross entropy of each row, float64 [rows] in nats; args and clipping as in `cross_entropy`."""
    p = prediction.clip(CLIP, 1 - CLIP)
    return -(reference * np.log(p) + (1 - reference) * np.log1p(-p))


def normalized_entropy(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Cross entropy over the entropy of the constant that predicts the mean reference (UKDSL paper, 4.1.2).

    Below 1 is better than the constant; smaller is better. Args as in `calibration`.

    Returns:
        NaN without rows or where the mean reference is 0 or 1 (the constant is then perfect).
    """
    _, y, w = _columns(prediction, reference, weight)
    total = float(w.sum())
    base = constant_entropy(float(w @ y) / total if total > 0 else float("nan"))
    return cross_entropy(prediction, reference, weight) / base


def constant_entropy(mean: float) -> float:
    """Entropy in nats of predicting the mean of the reference for every row; NaN unless 0 < mean < 1."""
    if not 0 < mean < 1:
        return float("nan")
    return float(-(mean * np.log(mean) + (1 - mean) * np.log1p(-mean)))


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
    p, y, w = _columns(prediction, reference, weight)
    positive, negative = w * y, w * (1 - y)
    positives, negatives = float(positive.sum()), float(negative.sum())
    if not (positives > 0 and negatives > 0) or np.isnan(p).any():
        return float("nan"), np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")
    starts = _starts(p[order])
    tie = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(p)))
    negatives_below = _below(negative[order], starts)[tie]
    positives_above = positives - _below(positive[order], starts)[tie]
    area = float((positive[order] / positives) @ (negatives_below / negatives))
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
    p, y, w = _columns(prediction, reference, weight)
    inside, share = request_auc_sums(p, y, request, w)
    return inside / share if share != 0 else float("nan")


def request_auc_sums(
    p: NDArray[np.float64], y: NDArray[np.float64], request: NDArray[np.int64], w: NDArray[np.float64]
) -> tuple[float, float]:
    """Sum of share * AUC and sum of share over requests, whose ratio is `request_auc`; arrays as there.

    Both are NaN with a NaN in the input, and 0 where no request has both outcomes.
    """
    if not len(p):
        return 0.0, 0.0
    if np.isnan(p).any() or np.isnan(y).any():
        return float("nan"), float("nan")
    order = np.lexsort((p, request))
    codes, positive, negative = request[order], (w * y)[order], (w * (1 - y))[order]
    starts = _starts(p[order], codes)
    first = _starts(codes)
    ties = np.add.reduceat(positive, starts)
    # What lies below in the same request: all that lies below, less what earlier requests hold.
    earlier = np.cumsum(np.add.reduceat(negative, first)) - np.add.reduceat(negative, first)
    owner = np.searchsorted(first, starts, side="right") - 1
    wins = np.bincount(owner, ties * (_below(negative, starts) - earlier[owner]), len(first))
    itself = np.add.reduceat(positive * negative, first)
    pairs = np.add.reduceat(positive, first) * np.add.reduceat(negative, first)
    both = pairs - itself > 1e-12 * pairs
    inside = (wins - itself / 2)[both] / (pairs - itself)[both]
    share = np.add.reduceat(w[order], first)[both]
    return float(share @ inside), float(share.sum())


def _starts(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Where runs of equal keys begin, for keys that are sorted together."""
    changes = np.zeros(len(keys[0]), dtype=bool)
    changes[:1] = True
    for key in keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)


def _below(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of sorted values with ties that begin at `starts`: the sum below each tie, and half of the tie's own."""
    own = np.add.reduceat(values, starts)
    return np.asarray(np.cumsum(own) - own / 2)


def _columns(
    prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    p = np.asarray(prediction, dtype=np.float64)
    y = np.asarray(reference, dtype=np.float64)
    w = np.ones_like(p) if weight is None else np.asarray(weight, dtype=np.float64)
    if not p.shape == y.shape == w.shape or p.ndim != 1:
        raise ValueError(f"expected three columns of one length, saw shapes {p.shape}, {y.shape} and {w.shape}")
    return p, y, w
