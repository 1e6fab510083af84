"""The line by which head `scored` follows from the head before it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.platt import apply_platt


@dataclass(frozen=True)
class Level:
    """sigmoid(slope * logit + intercept) of the last trained head is what head `scored` predicts; slope > 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def moved(self, probability: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the trained head as those of head `scored`, float32 [rows], in the same order."""
        return apply_platt(probability, self.slope, self.intercept)


def in_layers(tensors: Mapping[str, NDArray[np.float32]], level: Level, head: int) -> dict[str, NDArray[np.float32]]:
    """Tensors of a network whose output `head` is on the level: its last layer times the slope, plus the intercept.

    Args:
        tensors: of a two_tower, or of a network whose layer `heads` gives the logits.
    """
    slope, moved = np.float32(level.slope), dict(tensors)
    if "heads.bias" in moved:
        bias = "heads.bias"
        moved["heads.weight"] = _times(moved["heads.weight"], slope, slice(head, head + 1))
    else:
        # A dot product: the request's vector times the slope, and each side's own term, the last output.
        bias = "bias"
        for name in ("weight", "bias"):
            request, candidate = f"request.heads.{head}.{name}", f"candidate.heads.{head}.{name}"
            moved[request] = _times(moved[request], slope, slice(None))
            moved[candidate] = _times(moved[candidate], slope, slice(-1, None))
    moved[bias] = _times(moved[bias], slope, slice(head, head + 1))
    moved[bias][head] += np.float32(level.intercept)
    return moved


def _times(values: NDArray[np.float32], factor: np.float32, rows: slice) -> NDArray[np.float32]:
    changed = np.array(values)
    changed[rows] *= factor
    return changed
