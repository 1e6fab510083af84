"""A Platt layer: a straight line through a model's logits, fitted to soft labels (Platt, 1999; here with soft targets).

It is the cheapest answer to miscalibration, hence a control of distillation: it can move the level and the spread of
predictions, and never their order.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import shift_to_rate

# Derivatives of the mean loss that count as none, what its rounding may add to it, and the least curvature.
_FLAT, _NOISE, _RIDGE = 1e-10, 1e-13, 1e-9
_MOST_STEPS = 200


def fit_platt(
    probability: NDArray[np.floating[Any]],
    target: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]] | None = None,
) -> tuple[float, float]:
    """Slope and intercept that minimise the weighted cross entropy of sigmoid(slope * logit + intercept).

    By Newton's steps, halved until the loss falls enough (Nocedal and Wright, Numerical Optimization, algorithm 3.2).
    SciPy's optimizers solve even two equations by LAPACK, whose last bits depend on the processor.

    Args:
        probability: float [rows], a model's; target: float [rows] in [0, 1], not all 0 or all 1.
        weight: float [rows] >= 0, or None for equal weights.

    Raises:
        TrainingError: there is no one minimum, as without rows or weight, with NaN, or with predictions that do not
            differ.
            Targets that one threshold separates have none either: then the line is a steep one, of next to no loss.
    """
    given = np.ones(len(probability)) if weight is None else weight.astype(np.float64)
    x, y, w = logit(probability)[given > 0], target.astype(np.float64)[given > 0], given[given > 0]
    w /= max(float(w.sum()), 1e-300)
    if not (len(x) and np.isfinite(x).all() and np.ptp(x) > 0 and 0 < weighted_sum(w, y) < 1):
        raise TrainingError(
            f"Platt layer on {len(x)} rows: no minimum; expected predictions that differ and targets on both sides"
        )
    # About their mean, the logits' slope and level are found nearly apart from one another.
    middle = weighted_sum(w, x)
    x -= middle
    slope, level, reach = 1.0, middle, 1.0
    now = _mean_loss(x, y, w, slope, level)
    for _ in range(_MOST_STEPS):
        gradient, step = _newton(x, y, w, slope, level)
        if max(map(abs, gradient)) < _FLAT:
            break
        fall = gradient[0] * step[0] + gradient[1] * step[1]
        size = min(1.0, reach / math.hypot(*step))
        while (then := _mean_loss(x, y, w, slope - size * step[0], level - size * step[1])) > _enough(now, size * fall):
            size /= 2
        slope, level, now, reach = slope - size * step[0], level - size * step[1], then, 2 * reach
    return slope, level - slope * middle


def _enough(loss: float, fall: float) -> float:
    """The loss that a step must reach whose tangent falls by `fall`, up to the rounding of the loss."""
    return loss - fall / 1e4 + _NOISE


def _mean_loss(
    x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], slope: float, level: float
) -> float:
    z = slope * x + level
    return weighted_sum(w, np.logaddexp(0, z) - y * z)


def _newton(
    x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], slope: float, level: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The mean loss's derivatives by slope and level, and the step that would make them 0 were it quadratic.

    Args:
        w: weights of the rows, which sum to 1.
    """
    p = sigmoid(slope * x + level)
    curvature = w * p * (1 - p)
    first, second = weighted_sum(w * (p - y), x), weighted_sum(w, p - y)
    # What the loss hardly depends on, as on the slope of predictions that hardly differ, is left about where it is.
    of_slope, both = weighted_sum(curvature, x**2) + _RIDGE, weighted_sum(curvature, x)
    of_level = float(curvature.sum()) + _RIDGE
    determinant = of_slope * of_level - both**2
    step = (of_level * first - both * second) / determinant, (of_slope * second - both * first) / determinant
    return (first, second), (float(step[0]), float(step[1]))


def apply_platt(probability: NDArray[np.float32], slope: float, intercept: float) -> NDArray[np.float32]:
    """sigmoid(slope * logit + intercept), float32 [rows]."""
    return sigmoid(slope * logit(probability) + intercept).astype(np.float32)


def shift_to_mean(probability: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """The shift of all logits after which the mean prediction equals the mean target; 0 for a calibrated model.

    Args:
        probability: float [rows] without NaN; target: float [rows] in [0, 1].

    Returns:
        As `shift_to_rate`. NaN without rows, or where the mean target is 0 or 1.
    """
    goal = float(np.mean(target)) if len(target) else float("nan")
    if not 0 < goal < 1:
        return float("nan")
    return shift_to_rate(probability.astype(np.float64), np.ones(len(probability)), goal)
