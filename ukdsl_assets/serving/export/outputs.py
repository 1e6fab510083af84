"""From logits to each head's probability: the heads that are served, and the line of head `scored`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.logits import CLIP
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.graph import Graph


@dataclass(frozen=True)
class Outputs:
    """How a network's logits become those of the file: logits @ mix + plus.

    mix: float32 [trained heads, outputs]; plus: float32 [outputs].
    """

    mix: NDArray[np.float32]
    plus: NDArray[np.float32]

    def affine(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Weight [in, outputs] and bias [outputs] of a layer of weight [trained heads, in] and bias [trained heads]."""
        return weight.T @ self.mix, bias @ self.mix + self.plus


def negated_logits(fitted: FittedStudent) -> Outputs:
    """Minus the logit of each head; that of head `scored` is on its line."""
    mix = np.eye(len(fitted.trained_heads), dtype=np.float32)
    plus = np.zeros(len(fitted.heads), np.float32)
    if fitted.level is not None:
        mix = np.concatenate([mix, mix[:, -1:] * np.float32(fitted.level.slope)], axis=1)
        plus[-1] = fitted.level.intercept
    return Outputs(-mix, -plus)


def probabilities(graph: Graph, fitted: FittedStudent, negated: str) -> str:
    """1 / (1 + exp(-logit)): the runtime's own sigmoid has few right places where probabilities are small."""
    if fitted.level is not None:
        # Batch scoring takes the trained head's logit from its probability, no nearer to 0 and 1 than so.
        most = fitted.level.slope * np.log((1 - CLIP) / CLIP)
        bounds = np.full((2, len(fitted.heads)), [[-np.inf], [np.inf]], np.float32)
        bounds[:, -1] = -most - fitted.level.intercept, most - fitted.level.intercept
        low, high = (graph.constant(each) for each in bounds)
        negated = graph.node("Min", graph.node("Max", negated, low), high)
    one = graph.constant(np.array(1, np.float32))
    return graph.node("Reciprocal", graph.node("Add", graph.node("Exp", negated), one))
