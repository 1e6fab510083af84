"""Losses of students (UKDSL paper, equation 3): cross entropy against labels or a teacher's soft labels."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def soft_label_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Sum over rows of weight * -(y log p + (1 - y) log(1 - p)), p the sigmoid of the logit; 0 for no rows.

    Args:
        logits: float32 [rows]; target: float32 [rows] in [0, 1]; weight: float32 [rows] >= 0.
    """
    return binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
