"""Another cascade's model applied to this cascade's candidates as it is, through a declared mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade, Feature
from ukdsl_assets.cross_domain import CrossDomainTeacher, wrong_features
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.learning import students, teacher_models
from ukdsl_assets.sources.contract import feature_dtype

KEYS = ["request_id", "candidate_id"]


@dataclass(frozen=True)
class ForeignModel:
    """A model of another cascade.

    features: what it reads. predict: rows that have them -> task there -> probabilities float32 [rows].
    """

    features: tuple[Feature, ...]
    predict: Callable[[pl.DataFrame], Mapping[str, NDArray[np.float32]]]


def foreign_model(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]] | None, text: str | None, threads: int
) -> ForeignModel:
    """A student, whose last head serves, or a trained teacher, from its checkpoint."""
    if "heads" in content:
        student = students.from_checkpoint(content, tensors or {}, text)
        task, head = content["declaration"]["task"], student.heads[-1]
        score = students.predictor(student, threads)
        return ForeignModel(student.encoder.features, lambda rows: {task: score(rows)[head]})
    teacher = teacher_models.from_checkpoint(content, tensors, text)

    def predict(rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        labels = teacher_models.predict(teacher, rows, threads)
        return {task: labels[f"{task}_prediction"].to_numpy() for task in teacher_models.tasks_of(teacher)}

    return ForeignModel(teacher_models.features_of(teacher), predict)


def foreign_labels(
    cascade: Cascade, teacher: CrossDomainTeacher, model: ForeignModel, rows: pl.DataFrame
) -> pl.DataFrame:
    """Labels of every mapped task: request_id, candidate_id and Float32 `<task>_prediction`, in the rows' order.

    Args:
        rows: of this cascade, sorted by request_id, with the features known at the teacher's stage.

    Raises:
        DeclarationError: the checkpoint was trained by a declaration that the mapping does not fit.
    """
    if problems := list(wrong_features(teacher, cascade, model.features)):
        raise DeclarationError(
            f"cascade {cascade.name}, teacher {teacher.name}: the checkpoint of {teacher.cascade}/{teacher.model} was "
            "trained by a declaration that the mapping does not fit; train it again or change\n  "
            + "\n  ".join(f"teachers.{teacher.name}.{problem}" for problem in problems)
        )
    predicted = model.predict(translated(teacher, model.features, rows))
    labels = [pl.Series(f"{ours}_prediction", predicted[theirs], pl.Float32) for ours, theirs in teacher.tasks.items()]
    return rows.select(KEYS).with_columns(labels)


def translated(teacher: CrossDomainTeacher, features: tuple[Feature, ...], rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of this cascade under the other one's names: keys, then `features`, in the rows' order."""
    columns = [
        pl.lit(teacher.defaults[each.name], feature_dtype(each)).alias(each.name)
        if each.name in teacher.defaults
        else pl.col(teacher.features.get(each.name, each.name)).alias(each.name)
        for each in features
    ]
    return rows.select(*KEYS, *columns)
