"""Losses of students (UKDSL paper, equation 3): cross entropy against labels or a teacher's soft labels."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# Keeps a teacher's logit finite for predictions of exactly 0 or 1.
CLIP = 1e-7


def soft_label_cross_entropy(logits: "Tensor", target: "Tensor", weight: "Tensor") -> "Tensor":
    """Sum over rows of weight * -(y log p + (1 - y) log(1 - p)), p the sigmoid of the logit; 0 for no rows.

    Args:
        logits: float32 [rows]; target: float32 [rows] in [0, 1]; weight: float32 [rows] >= 0.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")


def softened(teacher: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """sigmoid(logit(teacher) / temperature), float32 [rows]; the teacher itself at temperature 1.

    A NaN stays NaN; 0 and 1 count as 1e-7 and 1 - 1e-7 at other temperatures.
    """
    if temperature == 1:
        return teacher
    p = teacher.astype(np.float64).clip(CLIP, 1 - CLIP)
    return (1 / (1 + np.exp(-(np.log(p) - np.log1p(-p)) / temperature))).astype(np.float32)


def smoothed(label: NDArray[np.float32], mean: float, share: float) -> NDArray[np.float32]:
    """(1 - share) * label + share * mean, float32 [rows], the mean being that of all labels.

    Smoothing towards the mean instead of one half leaves the mean, hence the calibration, as it is.
    """
    return label if share == 0 else ((1 - share) * label + share * mean).astype(np.float32)
