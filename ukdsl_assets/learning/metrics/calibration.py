"""Calibration, normalized entropy and AUC, the figures that every table of the platform reports."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.learning.metrics.logits import CLIP
from ukdsl_assets.learning.metrics.sums import weighted_sum


def calibration(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean prediction over mean reference (UKDSL paper, 4.1.2); 1 is calibrated, above 1 over-predicts.

    Args:
        prediction: float [rows] in [0, 1].
        reference: float [rows] in [0, 1]: labels, a teacher's predictions or true probabilities.
        weight: float [rows] >= 0, or None for equal weights.

    Returns:
        NaN without rows or with a reference that sums to 0; a NaN in the input gives NaN.
    """
    p, y, w = as_columns(prediction, reference, weight)
    total = weighted_sum(w, y)
    return weighted_sum(w, p) / total if total != 0 else float("nan")


def cross_entropy(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted mean of -(y log p + (1 - y) log(1 - p)) in nats, for labels or soft references y in [0, 1].

    Args and edge cases as in `calibration`; predictions are clipped to [1e-7, 1 - 1e-7].
    """
    p, y, w = as_columns(prediction, reference, weight)
    total = float(w.sum())
    return weighted_sum(w, row_entropy(p, y)) / total if total > 0 else float("nan")


def row_entropy(prediction: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross entropy of each row, float64 [rows] in nats; args and clipping as in `cross_entropy`."""
    from scipy.special import xlog1py, xlogy

    p = prediction.clip(CLIP, 1 - CLIP)
    # NumPy's own logarithms differ in the last bit between processors with AVX-512 and without.
    return np.asarray(-(xlogy(reference, p) + xlog1py(1 - reference, -p)))


def normalized_entropy(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Cross entropy over the entropy of the constant that predicts the mean reference (UKDSL paper, 4.1.2).

    Below 1 is better than the constant; smaller is better. Args as in `calibration`.

    Returns:
        NaN without rows or where the mean reference is 0 or 1 (the constant is then perfect).
    """
    _, y, w = as_columns(prediction, reference, weight)
    total = float(w.sum())
    base = constant_entropy(weighted_sum(w, y) / total if total > 0 else float("nan"))
    return cross_entropy(prediction, reference, weight) / base


def constant_entropy(mean: float) -> float:
    """Entropy in nats of predicting the mean of the reference for every row; NaN unless 0 < mean < 1."""
    if not 0 < mean < 1:
        return float("nan")
    return -(mean * math.log(mean) + (1 - mean) * math.log1p(-mean))


def as_columns(
    prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    p = np.asarray(prediction, dtype=np.float64)
    y = np.asarray(reference, dtype=np.float64)
    w = np.ones_like(p) if weight is None else np.asarray(weight, dtype=np.float64)
    if not p.shape == y.shape == w.shape or p.ndim != 1:
        raise ValueError(f"expected three columns of one length, saw shapes {p.shape}, {y.shape} and {w.shape}")
    return p, y, w
