"""Log-odds and back, and how far probabilities are kept from 0 and 1."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Keeps the logarithm finite for predictions of exactly 0 or 1.
CLIP = 1e-7
# The mean of few labels may be 0 or 1, and a bias that starts there would never move.
MEAN_CLIP = 1e-6


def logit(probability: NDArray[Any]) -> NDArray[np.float64]:
    """log(p / (1 - p)), float64; 0 and 1 count as 1e-7 and 1 - 1e-7, NaN stays NaN."""
    from scipy.special import logit as exact

    return np.asarray(exact(probability.astype(np.float64).clip(CLIP, 1 - CLIP)))


def sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + e^-value), float64."""
    from scipy.special import expit

    return np.asarray(expit(value))


def inner_mean(mean: float) -> float:
    """A mean of labels, kept 1e-6 away from 0 and 1."""
    return min(max(mean, MEAN_CLIP), 1 - MEAN_CLIP)


def log_odds(mean: float) -> float:
    """log(p / (1 - p)) of `inner_mean`."""
    p = inner_mean(mean)
    return math.log(p / (1 - p))
