"""Means over requests, with their errors, their skewness and an interval that allows for it.

Weights are 0 for most requests and large for few, and so are rewards: the distribution of a mean of some hundred of
their products is still skewed, and an interval that is symmetric about it covers too little on one side.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.interval import STANDARD_ERRORS
from ukdsl_assets.learning.metrics.sums import weighted_sum


class Mean(NamedTuple):
    """A mean over requests, or a sum or difference of such.

    requests: of how many. error: its standard error, NaN of fewer than two requests. skewness: of the mean itself,
    which is that of one request over the root of their number; 0 where all are equal.
    """

    requests: int
    value: float
    error: float
    skewness: float


NOTHING = Mean(0, math.nan, math.nan, math.nan)


def mean_of(parts: NDArray[np.float64]) -> Mean:
    """The mean of what requests add, float64 [requests]; `NOTHING` without any.

    A request is the unit, since what happens in its slots goes together. NaN in, NaN out.
    """
    count = len(parts)
    if not count:
        return NOTHING
    value = float(parts.mean())
    deviations = parts - value
    squares = weighted_sum(deviations, deviations)
    if count < 2:
        return Mean(count, value, math.nan, math.nan)
    error = math.sqrt(squares / (count - 1) / count)
    third = weighted_sum(deviations * deviations, deviations) / count**3
    return Mean(count, value, error, third / error**3 if error > 0 else 0.0 if error == 0 else math.nan)


def pooled(means: Sequence[Mean]) -> Mean:
    """The mean over all requests of means over some each; no request may be in two.

    Errors and third moments of independent means add up; `NOTHING` for no requests.
    """
    requests = sum(each.requests for each in means)
    if not requests:
        return NOTHING
    shares = [(each, each.requests / requests) for each in means if each.requests]
    return _added(requests, shares)


def difference(one: Mean, other: Mean) -> Mean:
    """One mean less another of other requests, with the requests of the first; NaN where either is."""
    return _added(one.requests, [(one, 1.0), (other, -1.0)])


def interval(mean: Mean) -> tuple[float, float]:
    """The 95% interval of a mean by its error and skewness (Hall, On the Removal of Skewness by Transformation, 1992).

    With t the mean's distance from the truth in standard errors and k its skewness, t + k t^2 / 3 + k^2 t^3 / 27 + k/6
    is normal but for terms of the order 1 / requests; the ends are where it is -+1.96. Chosen by measured coverage
    against the symmetric interval, bootstraps and the empirical Bernstein bound (docs/off-policy.md). Without
    skewness it is the symmetric one.

    Returns:
        Its lower and upper end, NaN where the error is.
    """
    low, high = _moved(STANDARD_ERRORS, mean.skewness), _moved(-STANDARD_ERRORS, mean.skewness)
    return mean.value - mean.error * low, mean.value - mean.error * high


def _moved(normal: float, skewness: float) -> float:
    """The t at which Hall's transformation is `normal`."""
    if abs(skewness) < 1e-6:  # NaN goes on, and comes out
        return normal
    return 3 / skewness * (math.cbrt(1 + skewness * (normal - skewness / 6)) - 1)


def _added(requests: int, shares: Sequence[tuple[Mean, float]]) -> Mean:
    value = sum(share * each.value for each, share in shares)
    variance = sum((share * each.error) ** 2 for each, share in shares)
    third = sum(share**3 * each.skewness * each.error**3 for each, share in shares)
    error = math.sqrt(variance)
    return Mean(requests, value, error, third / error**3 if error > 0 else 0.0 if error == 0 else math.nan)
