"""Calibration and normalized entropy, the two figures that every table of the platform reports."""

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
    p = p.clip(CLIP, 1 - CLIP)
    total = float(w.sum())
    return -float(w @ (y * np.log(p) + (1 - y) * np.log1p(-p))) / total if total > 0 else float("nan")


def normalized_entropy(prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Cross entropy over the entropy of the constant that predicts the mean reference (UKDSL paper, 4.1.2).

    Below 1 is better than the constant; smaller is better. Args as in `calibration`.

    Returns:
        NaN without rows or where the mean reference is 0 or 1 (the constant is then perfect).
    """
    _, y, w = _columns(prediction, reference, weight)
    total = float(w.sum())
    base = float(w @ y) / total if total > 0 else float("nan")
    if not 0 < base < 1:
        return float("nan")
    return cross_entropy(prediction, reference, weight) / -(base * np.log(base) + (1 - base) * np.log1p(-base))


def _columns(
    prediction: ArrayLike, reference: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    p = np.asarray(prediction, dtype=np.float64)
    y = np.asarray(reference, dtype=np.float64)
    w = np.ones_like(p) if weight is None else np.asarray(weight, dtype=np.float64)
    if not p.shape == y.shape == w.shape or p.ndim != 1:
        raise ValueError(f"expected three columns of one length, saw shapes {p.shape}, {y.shape} and {w.shape}")
    return p, y, w
