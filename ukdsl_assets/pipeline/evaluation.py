"""A day of evaluation: checkpoints, the withheld rows they are judged by, and the tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import IMP, KEYS, truth_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.evaluation.by_group import calibration_by_group_of_shards
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, PredictedShards, kept_on_disk
from ukdsl_assets.learning.evaluation.table import evaluate_shards
from ukdsl_assets.learning.evaluation.totals import totals_of
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import corrected, known_delays
from ukdsl_assets.pipeline.students import as_student

# What predictions are compared with, and by.
COMPARED = (*KEYS, "domain", "target", "weight", "truth")


def checkpoints_of(day: Day, student: Student) -> dict[str, Checkpoint]:
    """The day's checkpoint of each arm, and under `released` what was released before the day, if it can predict."""
    key = day.table(student.name)
    checkpoints = {str(arm): day.checkpoints.load((*key, arm), day.date) for arm in ARMS}
    released = day.checkpoints.load_released(key, day.date)
    if released is None:
        return checkpoints
    columns = day.lake.scan((*key, "teacher_augmented"), [day.date]).collect_schema().names()
    usable = can_predict(released, day.cascade, student, columns)
    return {**checkpoints, "released": released} if usable else checkpoints


def can_predict(checkpoint: Checkpoint, cascade: Cascade, student: Student, columns: Sequence[str]) -> bool:
    """Whether a checkpoint of an earlier declaration is of today's task and its features are among today's columns."""
    today = {feature.name: feature for feature in cascade.features_of(student)}

    def same(feature: Feature) -> bool:
        now = today.get(feature.name)
        parts = ("kind", "values", "hash_buckets", "pooling", "width", "side", "served_as", "missing")
        return now is not None and all(getattr(now, part) == getattr(feature, part) for part in parts)

    features = as_student(checkpoint).encoder.features
    declared = checkpoint.metadata["declaration"]["task"] == student.task
    return declared and all(feature.name in columns and same(feature) for feature in features)


def evaluated(
    cascade: Cascade, student: Student, shards: Iterable[pl.DataFrame], checkpoints: Mapping[str, Checkpoint]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables evaluation and calibration_by_group of checkpoints by arm; the first has the version of each.

    Args:
        shards: of `held_shards`; predictions and what they are compared with wait on disk.
    """
    features = {feature.name for feature in cascade.features_of(student)}
    segments = [name for name in cascade.segments if name in features]
    versions = {str(arm): checkpoint.version for arm, checkpoint in checkpoints.items()}
    names = {"cascade": cascade.name, "note": cascade.note, "student": student.name}
    of_whom = [pl.lit(value).alias(name) for name, value in names.items()]
    with TemporaryDirectory() as folder:
        scored = scored_shards(shards, checkpoints, [*COMPARED, *segments], Path(folder))
        totals = totals_of(scored)
        table = evaluate_shards(scored, totals, student.seed)
        by_group = calibration_by_group_of_shards(scored, totals, segments, student.seed)
    return (
        table.select(*of_whom, pl.all(), pl.col("arm").replace_strict(versions).alias("checkpoint")),
        by_group.select(*of_whom, pl.all()),
    )


def scored_shards(
    shards: Iterable[pl.DataFrame], checkpoints: Mapping[str, Checkpoint], columns: Sequence[str], folder: Path
) -> PredictedShards:
    """The shards with the predictions of every checkpoint, each kept in the folder, which exists.

    Args:
        columns: what is kept of each, of those that are there.
    """
    predictors = {str(arm): predictor(as_student(checkpoint)) for arm, checkpoint in checkpoints.items()}
    kept = []
    for number, shard in enumerate(shards):
        predictions = {(arm, head): p for arm, predict in predictors.items() for head, p in predict(shard).items()}
        rows = shard.select(name for name in columns if name in shard.columns)
        kept.append(kept_on_disk(PredictedRows(rows, predictions), folder / f"{number}.parquet"))
    return kept


def judged_days(day: Day, student: Student) -> list[date]:
    """The trailing days whose withheld requests are judged: those whose rows have every feature of the student.

    Rows of before a feature was declared read as null, which no day's training has seen.
    """
    table = day.table(student.name, "teacher_augmented")
    features = {feature.name for feature in day.cascade.features_of(student)}
    days = day.window(table, day.cascade.evaluation_days)
    return [each for each in days if each == day.date or features <= {*day.lake.columns(table, each)}]


def held_shards(day: Day, student: Student, judging: date | None = None) -> Iterator[pl.DataFrame]:
    """The day's rows of teacher_augmented that no arm was trained on, labels corrected and the truth beside them.

    One shard at a time.

    Args:
        judging: the later day that judges by them: its knowledge of delays corrects labels, and predictions
            of a teacher that the student has had before are left out.
    """
    delays, truth = known_delays(day.on(judging or day.date), student), logged_truth(day, student)
    shards = day.lake.scan_shards(day.table(student.name, "teacher_augmented"), [day.date])
    for shard, scan in enumerate(shards):
        held = scan.filter("withheld")
        if judging not in (None, day.date):
            held = held.filter((pl.col("domain") == IMP) | (pl.col("teacher") == student.teacher))
        rows = corrected(day.cascade, student, delays, held.collect())
        rows = rows.with_columns(target=corrected_target(rows))
        if truth is None:
            yield rows
            continue
        days = rows["requested_at"].dt.date().unique().sort()
        logged = [part for each in days for part in truth(each, shard, len(shards))]
        yield with_truth(rows, logged)


def logged_truth(day: Day, student: Student) -> Callable[[date, int, int], list[pl.LazyFrame]] | None:
    """What finds the keys and `truth` of a day's log in a shard of n, nothing where the day is not published.

    Of a log with as many shards it is the same one, since a request's rows are in the same shard of every table. None
    where the source does not know the truth.
    """
    if not day.cascade.has_truth:
        return None
    table = day.table("candidate_log")
    published = set(day.lake.partitions(table))
    columns = [*KEYS, pl.col(truth_column(student.task)).alias("truth")]

    @cache
    def shards(of: date) -> list[pl.LazyFrame]:
        return [scan.select(columns) for scan in day.lake.scan_shards(table, [of])]

    def logged(of: date, shard: int, count: int) -> list[pl.LazyFrame]:
        if of not in published:
            return []
        return [shards(of)[shard]] if len(shards(of)) == count else shards(of)

    return logged


def with_truth(rows: pl.DataFrame, logged: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """The rows with a column `truth`, null where no log has it; logged: keys and `truth`."""
    if not logged:
        return rows.with_columns(truth=pl.lit(None, pl.Float32))
    truth = pl.concat(logged).join(rows.lazy().select(KEYS).unique(), on=KEYS, how="semi")
    return rows.lazy().join(truth, on=KEYS, how="left", maintain_order="left").collect()
