"""Agreement of predictions with the labels of rows that a randomised policy showed, and the shift that mends it.

A randomised policy shows a candidate with a known probability, its propensity, so rows weighted by 1 / propensity stand
for all candidates that it could have shown, selected or not (Horvitz and Thompson, 1952). They speak for no others:
where exploration draws from what the last stage scored, a teacher that labels more than that is audited on this part.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.sums import weighted_sum

# A shift beyond this is no correction of a model but another model.
MOST_SHIFT = 10.0


def effective_number(weight: NDArray[np.float64], request: NDArray[np.int64]) -> float:
    """How many requests of equal weight know a mean as well as these: (sum w)^2 / sum w^2 (Kish, 1965).

    A request weighs what its rows do together, since these go together. The requests of n equal weights are n, and
    those of which one has nearly all of the weight are 1, whatever their number.

    Args:
        weight: float64 [rows] >= 0, such as 1 / propensity, or 0 for rows that are not to count.
        request: int64 [rows], of any values.

    Returns:
        To a millionth, so that equal weights are counted; 0 without any weight, NaN with a NaN.
    """
    sums = _by_request(weight, request)
    squares = weighted_sum(sums, sums)
    return round(float(sums.sum()) ** 2 / squares, 6) if squares != 0 else 0.0


def calibration_on_log_scale(
    prediction: NDArray[np.float64],
    label: NDArray[np.float64],
    weight: NDArray[np.float64],
    request: NDArray[np.int64],
) -> tuple[float, float]:
    """Logarithm of weighted mean prediction over weighted mean label, and its standard error over requests.

    The error is that of a ratio (delta method) whose rows are dependent inside a request. On the log scale it
    is the more symmetric and an interval has only positive ends.

    Args:
        prediction, label, weight: float64 [rows]; the weighted labels must not sum to 0.
        request: int64 [rows], of any values.
    """
    predicted, positive = weighted_sum(weight, prediction), weighted_sum(weight, label)
    ratio = predicted / positive
    residuals = _by_request(weight * (prediction - ratio * label), request)
    return math.log(ratio), math.sqrt(weighted_sum(residuals, residuals)) / predicted


def logit_shift(
    prediction: NDArray[np.float64],
    label: NDArray[np.float64],
    weight: NDArray[np.float64],
    request: NDArray[np.int64],
) -> tuple[float, float]:
    """The a for which sum w (sigmoid(logit(p) + a) - y) = 0, and its standard error over requests (sandwich).

    That is the logistic regression of the labels with the teacher's logit as an offset and nothing but an intercept.
    Args as in `calibration_on_log_scale`; both labels must occur.

    Returns:
        The shift, at most 10 either way.
    """
    from scipy.optimize import brentq

    logits = logit(prediction)

    def excess(shift: float) -> float:
        return weighted_sum(weight, sigmoid(logits + shift) - label)

    if excess(-MOST_SHIFT) >= 0 or excess(MOST_SHIFT) <= 0:
        shift = -MOST_SHIFT if excess(-MOST_SHIFT) >= 0 else MOST_SHIFT
    else:
        shift = float(brentq(excess, -MOST_SHIFT, MOST_SHIFT, xtol=1e-12))
    moved = sigmoid(logits + shift)
    residuals = _by_request(weight * (moved - label), request)
    return shift, math.sqrt(weighted_sum(residuals, residuals)) / weighted_sum(weight, moved * (1 - moved))


def shift_to_rate(prediction: NDArray[np.float64], weight: NDArray[np.float64], rate: float) -> float:
    """The a for which the weighted mean of sigmoid(logit(p) + a) is `rate`, whatever its size.

    Args:
        prediction: float64 [rows] in [0, 1] without NaN; weight: float64 [rows] >= 0; rate: in (0, 1).

    Returns:
        Within 1e-12; NaN without any weight.
    """
    from scipy.optimize import brentq

    total = float(weight.sum())
    if not total > 0:
        return math.nan
    logits = logit(prediction)
    goal = math.log(rate / (1 - rate))
    # Shifted so far that the highest, or the lowest, logit is the rate's, the mean is below it, or above.
    low, high = goal - float(logits.max()) - 1, goal - float(logits.min()) + 1
    return float(brentq(lambda a: weighted_sum(weight, sigmoid(logits + a)) / total - rate, low, high, xtol=1e-12))


def shrunken(estimate: float, error: float) -> float:
    """estimate * max(0, 1 - error^2 / estimate^2): nothing for what is within one standard error of 0.

    The positive-part estimate of James and Stein (1961) for one mean: what is left of the square of the estimate
    when that of its error is taken off is the share that is no noise.
    """
    return estimate * (1 - (error / estimate) ** 2) if abs(estimate) > error else 0.0


def shifted(prediction: ArrayLike, shift: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """sigmoid(logit(p) + a) as p e^a / (1 - p + p e^a), float32; 0 stays 0 and 1 stays 1. As in teacher_augmented."""
    p, odds = np.asarray(prediction, np.float64), np.exp(shift)
    return (p * odds / (1 - p + p * odds)).astype(np.float32)


def _by_request(values: NDArray[np.float64], request: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of the values of each request."""
    _, number = np.unique(request, return_inverse=True)
    sums: NDArray[np.float64] = np.bincount(number, weights=values).astype(np.float64)
    return sums
