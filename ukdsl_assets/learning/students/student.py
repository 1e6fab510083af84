"""Students: the baseline (labels only) and the distilled arm (labels and teacher), fitted and applied to frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ukdsl_assets.declaration.architectures import (
    Architecture,
    LightGbmArchitecture,
    NeuralArchitecture,
)
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.features.encoding import Encoder

if TYPE_CHECKING:
    pass

Arm = Literal["baseline", "distilled"]
ARMS: tuple[Arm, ...] = ("baseline", "distilled")


@dataclass(frozen=True)
class FittedStudent:
    """A student's parameters and what is needed to apply them.

    tensors: parameter name -> float32 array, of a network; text: the boosters of trees, else None;
    encoder: of its features; heads: names of the model's heads, in order; the last one serves.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    encoder: Encoder
    architecture: NeuralArchitecture | LightGbmArchitecture
    heads: tuple[str, ...]
    text: str | None = None


def heads_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """Heads of an arm's checkpoint; the baseline has only labels, hence one."""
    return ("impression",) if arm == "baseline" else student.served_heads


def parameters_of(fitted: FittedStudent) -> Mapping[str, NDArray[np.float32]]:
    """Everything that was learnt, by name: a network's tensors, or the values of all trees' leaves."""
    if fitted.text is None:
        return fitted.tensors
    from ukdsl_assets.learning.students.trees import leaf_values

    return {"leaves": leaf_values(fitted.text)}


def as_checkpoint(fitted: FittedStudent) -> dict[str, Any]:
    """The part of a checkpoint's JSON that rebuilds the student around its tensors or text."""
    return {
        "encoder": fitted.encoder.as_json(),
        "architecture": fitted.architecture.model_dump(mode="json"),
        "heads": list(fitted.heads),
    }


def from_checkpoint(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], text: str | None = None
) -> FittedStudent:
    """The inverse of `as_checkpoint`."""
    architecture = TypeAdapter(Architecture).validate_python(content["architecture"])
    return FittedStudent(tensors, Encoder.from_json(content["encoder"]), architecture, tuple(content["heads"]), text)
