"""Another cascade's model applied to this cascade's candidates as it is, through a declared mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.cross_domain import wrong_features
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.frames.served_as import filled
from ukdsl_assets.learning.students import student as students
from ukdsl_assets.learning.students.predict import Predictor, predictor, student_hidden_layer
from ukdsl_assets.learning.teachers import foundation
from ukdsl_assets.learning.teachers import trained as teacher_models
from ukdsl_assets.learning.teachers.foundation import FittedFoundation

Predict = Callable[[pl.DataFrame], Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class ForeignModel:
    """A model of another cascade.

    It is sent to the workers that score a day's shards.

    features: what it reads. predict: rows that have them -> task there -> probabilities float32 [rows].
    hidden: (rows, task there) -> the layer that its output reads, float32 [rows, width]; None for trees.
    """

    features: tuple[Feature, ...]
    predict: Predict
    hidden: Callable[[pl.DataFrame, str], NDArray[np.float32]] | None


def foreign_model(
    content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]] | None, text: str | None, threads: int
) -> ForeignModel:
    """A student, whose last head serves, or a trained teacher, from its checkpoint."""
    if "heads" in content:
        student = students.from_checkpoint(content, tensors or {}, text)
        predict = partial(_student_predicts, predictor(student, threads), content["declaration"]["task"])
        return ForeignModel(student.encoder.features, predict, partial(_student_layer, student))
    # It has seen no request of here, so that no fold of its own requests means anything.
    teacher = teacher_models.of_all_requests(teacher_models.from_checkpoint(content, tensors, text))
    layer = partial(foundation.tower_hidden_layer, teacher) if isinstance(teacher, FittedFoundation) else None
    return ForeignModel(teacher_models.features_of(teacher), partial(_teacher_predicts, teacher, threads), layer)


def _student_predicts(predict: Predictor, task: str, rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Its task by the head that serves."""
    return {task: predict(rows)[predict.fitted.heads[-1]]}


def _student_layer(student: students.FittedStudent, rows: pl.DataFrame, task: str) -> NDArray[np.float32]:
    return student_hidden_layer(student, rows)


def _teacher_predicts(teacher: teacher_models.Fitted, threads: int, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
    labels = teacher_models.predict(teacher, rows, threads)
    return {task: labels[label_column(task)].to_numpy() for task in teacher_models.tasks_of(teacher)}


def foreign_labels(
    cascade: Cascade, teacher: CrossDomainTeacher, model: ForeignModel, rows: pl.DataFrame
) -> pl.DataFrame:
    """Labels of every mapped task: request_id, candidate_id and Float32 `<task>_prediction`, in the rows' order.

    Where students match the teacher's hidden layer, `representation` is that of their task.

    Args:
        rows: of this cascade, sorted by request_id, with the features known at the teacher's stage.

    Raises:
        DeclarationError: the checkpoint was trained by a declaration that the mapping does not fit.
    """
    asked = asked_of(cascade, teacher, model, rows)
    columns = predicted_columns(teacher, model, asked)
    if (task := cascade.task_matched_by(teacher)) is not None:
        if model.hidden is None:
            raise DeclarationError(
                f"cascade {cascade.name}, teacher {teacher.name}: the checkpoint of {teacher.cascade}/{teacher.model} "
                "is of trees, which have no hidden layer; train it again as it is declared now"
            )
        layer = model.hidden(asked, teacher.tasks[task])
        columns.append(pl.Series("representation", layer, pl.Array(pl.Float32, layer.shape[1])))
    return rows.select(KEYS).with_columns(columns)


def foreign_predictions(
    cascade: Cascade, teacher: CrossDomainTeacher, model: ForeignModel, rows: pl.DataFrame
) -> pl.DataFrame:
    """The rows with `<task>_prediction` beside their columns; as `foreign_labels` without a hidden layer."""
    return rows.with_columns(predicted_columns(teacher, model, asked_of(cascade, teacher, model, rows)))


def asked_of(cascade: Cascade, teacher: CrossDomainTeacher, model: ForeignModel, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as the model reads them, this cascade's `served_as` for null; errors as in `foreign_labels`."""
    if problems := list(wrong_features(teacher, cascade, model.features)):
        raise DeclarationError(
            f"cascade {cascade.name}, teacher {teacher.name}: the checkpoint of {teacher.cascade}/{teacher.model} was "
            "trained by a declaration that the mapping does not fit; train it again or change\n  "
            + "\n  ".join(f"teachers.{teacher.name}.{problem}" for problem in problems)
        )
    served = [filled(rows[feature.name], feature) for feature in cascade.features_of_shown]
    return translated(teacher, model.features, rows.with_columns(served))


def predicted_columns(teacher: CrossDomainTeacher, model: ForeignModel, asked: pl.DataFrame) -> list[pl.Series]:
    """Float32 `<task>_prediction` of every mapped task for rows of `asked_of`."""
    predicted = model.predict(asked)
    return [pl.Series(label_column(ours), predicted[theirs], pl.Float32) for ours, theirs in teacher.tasks.items()]


def translated(teacher: CrossDomainTeacher, features: tuple[Feature, ...], rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of this cascade under the other one's names: keys, then `features`, in the rows' order."""
    columns = [
        pl.lit(teacher.defaults[each.name], feature_dtype(each)).alias(each.name)
        if each.name in teacher.defaults
        else pl.col(teacher.features.get(each.name, each.name)).alias(each.name)
        for each in features
    ]
    return rows.select(*KEYS, *columns)
