"""A Platt layer: a straight line through a model's logits, fitted to soft labels (Platt, 1999; here with soft targets).

It is the cheapest answer to miscalibration, hence a control of distillation: it can move the level and the spread of
predictions, and never their order.
"""

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.logits import logit, sigmoid

# Logits beyond are 0 or 1 to any float32.
_FAR = 50.0


def fit_platt(probability: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, float]:
    """Slope and intercept that minimise the cross entropy of sigmoid(slope * logit + intercept).

    Args:
        probability: float [rows], a model's; target: float [rows] in [0, 1], not all 0 or all 1.

    Raises:
        TrainingError: there is no one minimum, as without rows, with NaN, or with predictions that do not differ.
    """
    from scipy.optimize import minimize

    x, y = logit(probability), target.astype(np.float64)
    if not (len(x) and np.isfinite(x).all() and np.ptp(x) > 0 and 0 < y.mean() < 1):
        raise TrainingError(
            f"Platt layer on {len(x)} rows: no minimum; expected predictions that differ and targets on both sides"
        )

    def loss(at: NDArray[np.float64]) -> float:
        z = at[0] * x + at[1]
        return float(np.mean(np.logaddexp(0, z) - y * z))

    def gradient(at: NDArray[np.float64]) -> NDArray[np.float64]:
        error = sigmoid(at[0] * x + at[1]) - y
        return np.array([error @ x, error.sum()]) / len(x)

    def curvature(at: NDArray[np.float64]) -> NDArray[np.float64]:
        p = sigmoid(at[0] * x + at[1])
        w = p * (1 - p) / len(x)
        return np.array([[w @ x**2, w @ x], [w @ x, w.sum()]])

    found = minimize(loss, np.array([1.0, 0.0]), jac=gradient, hess=curvature, method="trust-exact", tol=1e-9)
    return float(found.x[0]), float(found.x[1])


def apply_platt(probability: NDArray[np.float32], slope: float, intercept: float) -> NDArray[np.float32]:
    """sigmoid(slope * logit + intercept), float32 [rows]."""
    return sigmoid(slope * logit(probability) + intercept).astype(np.float32)


def shift_to_mean(probability: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """The shift of all logits after which the mean prediction equals the mean target; 0 for a calibrated model.

    Args:
        probability: float [rows] without NaN; target: float [rows] in [0, 1].

    Returns:
        Within 1e-9. NaN without rows, or where the mean target is 0 or 1.
    """
    from scipy.optimize import brentq

    x, goal = logit(probability), float(np.mean(target)) if len(target) else float("nan")
    if not 0 < goal < 1:
        return float("nan")
    return float(brentq(lambda shift: float(sigmoid(x + shift).mean()) - goal, -_FAR, _FAR, xtol=1e-9))
