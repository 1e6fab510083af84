"""Estimators of what a policy earns a request, from rows that another policy chose at random.

All take `Choices` and give what each request adds, float64 [requests], whose mean is the estimate. What they assume of
rewards stands in the weights (`weights.py`), so that inverse propensity scoring is one formula for single choices,
slots, cascades and pages.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.sums import weighted_sum


class Choices(NamedTuple):
    """What was shown by chance, a row for each slot that was filled (n) of some requests (R).

    request: int64 [n], 0 .. R - 1. slot: int64 [n], any number of it. reward: float64 [n]. weight: float64 [n] >= 0,
    or of any sign for pages. model: float64 [n], the reward that a model expects of the row. expected: float64 [n],
    what it expects of what the policy would show in the slot. before: float64 [n], the weight with which `expected`
    counts: 1, and in a cascade that of the row above. requests: R. filled: share of the rows whose place the policy
    fills, less than 1 where it shows fewer.

    A model must not have been fitted to these rewards.
    """

    request: NDArray[np.int64]
    slot: NDArray[np.int64]
    reward: NDArray[np.float64]
    weight: NDArray[np.float64]
    model: NDArray[np.float64]
    expected: NDArray[np.float64]
    before: NDArray[np.float64]
    requests: int
    filled: float = 1.0

    def clipped(self, most: float) -> "Choices":
        """The same with weights of at most `most` (Ionides, Truncated Importance Sampling, 2008).

        What was above it is missing from a mean of rewards that are not negative, so the estimate is too low, by
        `lost_by_clipping`. In a cascade the weights before are clipped alike.
        """
        return self._replace(weight=np.minimum(self.weight, most), before=np.minimum(self.before, most))


Estimator = Callable[[Choices], NDArray[np.float64]]


def ips(choices: Choices) -> NDArray[np.float64]:
    """Inverse propensity scores: sum of w r (Horvitz and Thompson, 1952); unbiased where what weights assume holds."""
    return _of_requests(choices, choices.weight * choices.reward)


def snips(choices: Choices) -> NDArray[np.float64]:
    """Self-normalised: sum w r / sum w of each slot (Swaminathan and Joachims, NIPS 2015).

    A little biased, and steadier: it does not move when a constant is added to rewards. NaN where a slot has no weight.
    """
    return _normalised(choices, choices.reward)


def direct(choices: Choices) -> NDArray[np.float64]:
    """What the model expects of the policy's choices; as wrong as the model is."""
    return _of_requests(choices, choices.expected)


def doubly_robust(choices: Choices) -> NDArray[np.float64]:
    """What the model expects, and w (r - model) on top (Dudik et al., ICML 2011; cascades: Kiyohara et al., WSDM 2022).

    Unbiased whatever the model says, where the weights' assumption holds; the better it is the smaller the error.
    """
    residual = choices.weight * (choices.reward - choices.model)
    return _of_requests(choices, residual + choices.before * choices.expected)


def self_normalised_doubly_robust(choices: Choices) -> NDArray[np.float64]:
    """As doubly robust, the residuals self-normalised by slot; NaN where a slot has no weight."""
    expected = _of_requests(choices, choices.before * choices.expected)
    return expected + _normalised(choices, choices.reward - choices.model)


def switch_doubly_robust(threshold: float) -> Estimator:
    """Doubly robust where the weight is at most `threshold`, the model alone elsewhere (Wang et al., ICML 2017).

    What its bias is depends on the model there: choose the threshold before looking at rewards.
    """

    def switched(choices: Choices) -> NDArray[np.float64]:
        weight = np.where(choices.weight <= threshold, choices.weight, 0.0)
        return doubly_robust(choices._replace(weight=weight))

    return switched


def lost_by_clipping(choices: Choices, most: float) -> tuple[float, float]:
    """What clipping takes from `ips`, as estimated by the rows themselves, and the most that it could be.

    Returns:
        The mean over requests of (w - most)+ r, and of (w - most)+ times the largest reward that was seen; 0 of both
        where no weight is above. Subtract neither: an estimate without clipping is the plainer way.
    """
    excess = np.maximum(choices.weight - most, 0.0)
    largest = float(choices.reward.max(initial=0.0))
    requests = max(choices.requests, 1)
    return weighted_sum(excess, choices.reward) / requests, float(excess.sum()) * largest / requests


def _of_requests(choices: Choices, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(choices.request, rows, choices.requests).astype(np.float64)


def _normalised(choices: Choices, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over slots of sum w v / sum w, times the share of requests that have the slot, made linear in requests.

    What a request adds beyond the estimate is that of a ratio by the delta method, so that the spread over requests is
    the estimate's.
    """
    slots, slot = np.unique(choices.slot, return_inverse=True)
    weight = choices.weight
    total, rows = np.bincount(slot, weight, len(slots)), np.bincount(slot, minlength=len(slots)) * choices.filled
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.bincount(slot, weight * values, len(slots)) / total
        deviations = weight * (values - ratio[slot]) * (rows / total)[slot]
    estimate = float((ratio * rows).sum()) / max(choices.requests, 1)
    return estimate + _of_requests(choices, deviations)
