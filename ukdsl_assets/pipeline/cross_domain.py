"""A day of a teacher from another cascade: its newest model, its labels and its figures here."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.cross_domain.evaluation import evaluate_teacher
from ukdsl_assets.learning.cross_domain.foreign import ForeignModel, foreign_labels
from ukdsl_assets.learning.cross_domain.recalibration import Line, recalibrated
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.teacher_labels import LabelledShard
from ukdsl_assets.pipeline.workspace import Table

SOURCE_MEANINGS = {
    "cascade": "the cascade that is taught",
    "note": "what data the figures are of",
    "teacher": "the teacher",
    "source": "cascade and model that it is",
    "source_day": "day of its checkpoint",
    "source_checkpoint": "version of its checkpoint",
}


def labelled(
    cascade: Cascade,
    teacher: CrossDomainTeacher,
    model: ForeignModel,
    lines: Mapping[str, Line],
    rows: pl.DataFrame,
) -> pl.DataFrame:
    """Labels of rows that are sorted by key, on their lines."""
    return recalibrated(foreign_labels(cascade, teacher, model, rows), lines)


def model_asset(other: Cascade, model: str) -> Table:
    """The asset whose materialization makes a newer model of the other cascade known: a student's is its release."""
    of_student = model in [student.name for student in other.students]
    return (other.name, model, "release" if of_student else "teacher_checkpoint")


def newest_model(other: Day, model: str) -> Checkpoint:
    """The newest published checkpoint of a trained teacher, or released one of a student, of the day or before it.

    One of the same day has seen that day's logs of the other cascade, none of the taught one's, and nothing later.

    Args:
        other: the cascade that the model is of.

    Raises:
        LakeError: when there is none.
    """
    key, until = other.table(model), other.date + timedelta(days=1)
    if model_asset(other.cascade, model)[-1] == "release":
        newest, state = other.checkpoints.load_released(key, until), "released"
    else:
        newest, state = other.checkpoints.load_newest(key, until), "published"
    if newest is not None:
        return newest
    raise LakeError(
        f"{'/'.join(key)}: nothing is {state} for {other.date} or a day before below {other.settings.lake}; run "
        f"cascade {other.cascade.name} first: ukdsl run {other.cascade.name} --days {other.date}"
    )


def evaluated_on_withheld(teacher: CrossDomainTeacher, shards: Sequence[LabelledShard]) -> pl.DataFrame:
    """The teacher's figures on the day's shown rows that no model is trained on.

    Args:
        shards: of `stage_labels`, with what is withheld kept.
    """
    predictions, shown = (pl.concat(getattr(shard, part) for shard in shards) for part in ("predictions", "shown"))
    return evaluate_teacher(predictions, shown, list(teacher.tasks))


def with_source(
    cascade: Cascade, teacher: CrossDomainTeacher, source: Checkpoint, figures: pl.DataFrame
) -> pl.DataFrame:
    """The figures with the columns of `SOURCE_MEANINGS` before them."""
    values = (
        cascade.name,
        cascade.note,
        teacher.name,
        f"{teacher.cascade}/{teacher.model}",
        str(source.day),
        source.version,
    )
    named = [pl.lit(value).alias(name) for name, value in zip(SOURCE_MEANINGS, values, strict=True)]
    return figures.select(*named, pl.all())
