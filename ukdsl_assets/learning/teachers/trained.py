"""One door to the teachers that are trained here, trees and networks: fitted, applied, stored and read back alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.teachers import FoundationTeacher, TrainedTeacher
from ukdsl_assets.learning.teachers import foundation
from ukdsl_assets.learning.teachers import trees as teachers
from ukdsl_assets.learning.teachers.foundation import FittedFoundation
from ukdsl_assets.learning.teachers.trees import FittedTeacher
from ukdsl_assets.learning.training.rows import Reader

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.state import Keeper
    from ukdsl_assets.learning.training.trainer import Progress

Fitted = FittedTeacher | FittedFoundation


def fit(
    cascade: Cascade,
    teacher: TrainedTeacher | FoundationTeacher,
    readers: Sequence[Reader],
    threads: int,
    device: str = "cpu",
    progress: "Progress | None" = None,
    keeper: "Keeper | None" = None,
) -> Fitted:
    """Train a teacher on impressions that are not withheld.

    Args:
        readers: each reads a shard of them; trees need all in memory together, see `request_sample`.
        device, progress, keeper: of a network's training, as a student's.

    Raises:
        TrainingError: for a task without a positive or without a negative label.
    """
    if teacher.kind == "trained":
        return teachers.fit_teacher(cascade, teacher, pl.concat([read() for read in readers]), threads)
    return foundation.fit_foundation(cascade, teacher, readers, threads, device, progress, keeper)


def predict(fitted: Fitted, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Labels of every task: request_id, candidate_id and Float32 `<task>_prediction` in (0, 1), in the rows' order.

    Args:
        rows: sorted by request_id, with every feature known at the teacher's stage.
    """
    if isinstance(fitted, FittedTeacher):
        return teachers.predict_teacher(fitted, rows, threads)
    return foundation.predict_foundation(fitted, rows, threads)


def of_all_requests(fitted: Fitted) -> Fitted:
    """The teacher that labels every request by what was trained on all: for requests of another cascade."""
    return replace(fitted, folds=()) if isinstance(fitted, FittedTeacher) else fitted


def tasks_of(fitted: Fitted) -> tuple[str, ...]:
    """Tasks that the teacher labels."""
    return tuple(fitted.models) if isinstance(fitted, FittedTeacher) else fitted.tasks


def features_of(fitted: Fitted) -> tuple[Feature, ...]:
    """Features that the teacher reads."""
    return fitted.features if isinstance(fitted, FittedTeacher) else fitted.encoder.features


def as_checkpoint(fitted: Fitted) -> dict[str, Any]:
    """Everything but tensors and text, as JSON values."""
    return teachers.as_checkpoint(fitted) if isinstance(fitted, FittedTeacher) else foundation.as_checkpoint(fitted)


def from_checkpoint(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]] | None, text: str | None
) -> Fitted:
    """The inverse of `as_checkpoint`: of trees if there is a text, of a network otherwise."""
    if text is not None:
        return teachers.from_checkpoint(content, text)
    return foundation.from_checkpoint(content, tensors or {})
