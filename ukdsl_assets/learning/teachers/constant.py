"""A teacher against the constant that predicts the mean label: one that knows no more than that teaches nothing."""

import math

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.calibration import constant_entropy, row_entropy
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import shift_to_rate


def against_constant(
    prediction: NDArray[np.float64], label: NDArray[np.float64], request: NDArray[np.int64]
) -> tuple[float | None, float | None]:
    """Normalized entropy at the rows' own level, and its standard error over requests; None without both labels.

    The constant has the mean of these very labels, so the teacher's logits get the shift that gives it the same mean
    first: what it is off by says nothing of what it knows, and is judged by its calibration. A constant has an NE of 1
    with an error of 0, whatever it predicts: whether a teacher is one is known from far fewer rows than how good a
    better one is. The error is by the delta method; the shift, where the entropy is least, adds nothing to it.

    Args:
        prediction: float64 [rows] in [0, 1]; label: float64 [rows], 0 or 1; request: int64 [rows], of any values.
    """
    if not 0 < label.sum() < len(label):
        return None, None
    mean = float(label.mean())
    base = constant_entropy(mean)
    shift = shift_to_rate(prediction, np.ones_like(prediction), mean)
    entropy = row_entropy(sigmoid(logit(prediction) + shift), label)
    ne = float(entropy.sum()) / (len(label) * base)
    # The entropy of the constant moves with the mean by log((1 - mean) / mean).
    residual = entropy - ne * (base + math.log((1 - mean) / mean) * (label - mean))
    _, number = np.unique(request, return_inverse=True)
    sums = np.bincount(number, weights=residual).astype(np.float64)
    return ne, math.sqrt(weighted_sum(sums, sums)) / (len(label) * base)
