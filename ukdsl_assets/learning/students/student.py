"""Students: the baseline (labels only) and the distilled arm (labels and teacher), fitted and applied to frames."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, NeuralArchitecture
from ukdsl_assets.declaration.students import SCORED_HEAD, Student
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.students.level import Level

Arm = Literal["baseline", "distilled"]
ARMS: tuple[Arm, ...] = ("baseline", "distilled")


@dataclass(frozen=True)
class FittedStudent:
    """A student's parameters and what is needed to apply them.

    tensors: parameter name -> float32 array, of a network; text: the boosters of trees, else None;
    encoder: of its features; heads: names of the model's heads, in order; the last one serves;
    level: the line by which head `scored` follows from the head before it; None without that head.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    encoder: Encoder
    architecture: NeuralArchitecture | LightGbmArchitecture
    heads: tuple[str, ...]
    text: str | None = None
    level: Level | None = None

    @property
    def trained_heads(self) -> tuple[str, ...]:
        """The heads that have parameters of their own among the tensors or boosters: all but `scored`."""
        return tuple(head for head in self.heads if head != SCORED_HEAD)

    def head_index(self, head: str) -> int:
        """Which of the trained heads a head reads, counted from 0; ValueError if there is none of the name."""
        return self.trained_heads.index(self.trained_heads[-1] if head == SCORED_HEAD and self.level else head)


def heads_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """Heads of an arm's checkpoint; the baseline has only labels, hence one."""
    return ("impression",) if arm == "baseline" else student.served_heads


def trained_heads_of(student: Student, arm: Arm) -> tuple[str, ...]:
    """Those of them with parameters of their own."""
    return ("impression",) if arm == "baseline" else student.trained_heads


def parameters_of(fitted: FittedStudent) -> Mapping[str, NDArray[np.float32]]:
    """Everything that was learnt, by name: a network's tensors, or the values of all trees' leaves; and the level."""
    line = {"level": np.array([fitted.level.slope, fitted.level.intercept], np.float32)} if fitted.level else {}
    if fitted.text is None:
        return {**fitted.tensors, **line}
    from ukdsl_assets.learning.students.trees import leaf_values

    return {"leaves": leaf_values(fitted.text), **line}


def as_checkpoint(fitted: FittedStudent) -> dict[str, Any]:
    """The part of a checkpoint's JSON that rebuilds the student around its tensors or text."""
    return {
        "encoder": fitted.encoder.as_json(),
        "architecture": fitted.architecture.model_dump(mode="json"),
        "heads": list(fitted.heads),
        **({"level": asdict(fitted.level)} if fitted.level else {}),
    }


def from_checkpoint(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], text: str | None = None
) -> FittedStudent:
    """The inverse of `as_checkpoint`."""
    architecture = TypeAdapter(Architecture).validate_python(content["architecture"])
    encoder, heads = Encoder.from_json(content["encoder"]), tuple(content["heads"])
    level = Level(**content["level"]) if "level" in content else None
    return FittedStudent(tensors, encoder, architecture, heads, text, level)
