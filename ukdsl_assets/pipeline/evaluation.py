"""A day of evaluation: checkpoints, the withheld rows they are judged by, and the tables."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache, partial
from operator import mul
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import GIVEN_PROBABILITY, IMP, KEYS, SCORED, truth_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.engines.engine import Engine, LocalEngine
from ukdsl_assets.frames.splits import SHARD_KEY
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.both_tables import both_tables
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, PredictedShards, kept_on_disk
from ukdsl_assets.learning.evaluation.product import TRUE_GIVEN
from ukdsl_assets.learning.evaluation.table import LATER_FIGURES
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import KnownDelays, corrected, known_delays
from ukdsl_assets.pipeline.students import as_student
from ukdsl_assets.pipeline.workspace import Table

# What predictions are compared with, and by.
COMPARED = (
    *(*KEYS, "domain", "target", "weight", "truth", "explored", "propensity", "bid"),
    *("_beyond", "_taught", GIVEN_PROBABILITY, TRUE_GIVEN),
)
# Rows of the evaluation that are judged on more than the scored shards; the folder keeps what waits on disk.
Further = Callable[[PredictedShards, str], pl.DataFrame]
# Gives the rows of a shard.
Reader = Callable[[], pl.DataFrame]
# What scores rows with each arm's checkpoint.
Predictors = Mapping[str, Callable[[pl.DataFrame], dict[str, NDArray[np.float32]]]]
LOCAL = LocalEngine()


def checkpoints_of(day: Day, student: Student) -> dict[str, Checkpoint]:
    """The day's checkpoint of each arm, and under `released` what was released before the day, if it can predict."""
    key = day.table(student.name)
    checkpoints = {str(arm): day.checkpoints.load((*key, arm), day.date) for arm in ARMS}
    released = day.checkpoints.load_released(key, released_before(day, student))
    if released is None:
        return checkpoints
    columns = day.lake.scan((*key, "teacher_augmented"), [day.date]).collect_schema().names()
    usable = can_predict(released, day.cascade, student, columns)
    return {**checkpoints, "released": released} if usable else checkpoints


def released_before(day: Day, student: Student) -> date:
    """What served on the day is the newest release of a checkpoint strictly before this date.

    Of a student that is decided by the next day it is the day before: that day's checkpoint is released on this one.
    """
    if student.release.decided_by == "same_day":
        return day.date
    return day.checkpoints.newest_before(day.table(student.name, "distilled"), day.date) or day.date


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


# A day's checkpoints by arm, and the readers of the shards that they are judged by.
Judged = tuple[Mapping[str, Checkpoint], Sequence[Reader]]


def earlier_checkpoints(
    day: Day, student: Student, checkpoints: Mapping[str, Checkpoint]
) -> dict[date, Mapping[str, Checkpoint]]:
    """The judged days before the day, each with the checkpoints of its own time, which have not seen later ones.

    Left out are days that have no checkpoint of an arm, or one with other heads than the day's own. An arm `released`
    is judged where all days have it.

    Args:
        checkpoints: of the day itself.
    """
    found: dict[date, Mapping[str, Checkpoint]] = {}
    for each in judged_days(day, student)[:-1]:
        earlier, key = day.on(each), day.table(student.name)
        if not all(each in day.checkpoints.days((*key, arm)) for arm in ARMS):
            continue
        then = checkpoints_of(earlier, student)
        if all(_heads(then[arm]) == _heads(checkpoints[arm]) for arm in ARMS):
            found[each] = then
    return found


def alike(judged: Sequence[Judged]) -> list[Judged]:
    """The same days with those arms alone that all of them have, with the same heads."""
    arms = [{(arm, _heads(checkpoint)) for arm, checkpoint in checkpoints.items()} for checkpoints, _ in judged]
    shared = {arm for arm, _ in set.intersection(*arms)}
    return [({arm: each for arm, each in checkpoints.items() if arm in shared}, held) for checkpoints, held in judged]


def _heads(checkpoint: Checkpoint) -> tuple[str, ...]:
    return as_student(checkpoint).heads


def evaluated(
    cascade: Cascade,
    student: Student,
    shards: Sequence[Reader],
    checkpoints: Mapping[str, Checkpoint],
    earlier: Sequence[Judged] = (),
    further: Further | None = None,
    engine: Engine = LOCAL,
    folder: str | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables evaluation and calibration_by_group of checkpoints by arm; the first has the version of each.

    Args:
        shards: of `held_readers`, or with rows of domain SCORED behind them of `scored.judged_readers`; predictions
            and what they are compared with wait on disk.
        checkpoints: of the day itself, whose versions the table names.
        earlier: what further days are judged by; figures are of all days together.
        further: gives further rows of the first table, see `product.product_of`.
        engine, folder: where shards are worked on, and where what waits is kept; a folder of this machine for None.
    """
    features = {feature.name for feature in cascade.features_of(student)}
    segments = [name for name in cascade.segments if name in features]
    versions = {str(arm): checkpoint.version for arm, checkpoint in checkpoints.items()}
    names = {"cascade": cascade.name, "note": cascade.note, "student": student.name}
    of_whom = [pl.lit(value).alias(name) for name, value in names.items()]
    mapped = partial(engine.map, name="figures of withheld rows")
    with TemporaryDirectory() if folder is None else nullcontext(folder) as place:
        scored: list[Callable[[], PredictedRows]] = []
        for models, held in alike([*earlier, (checkpoints, shards)]):
            scored += scored_shards(held, models, [*COMPARED, *segments], place, engine)
        table, by_group = both_tables(scored, segments, student.seed, mapped)
        table = table if further is None else pl.concat([table, further(scored, place)], how="diagonal")
    checkpoint = pl.col("arm").replace_strict(versions).alias("checkpoint")
    table = table.with_columns(days=pl.coalesce("days", pl.lit(len(earlier) + 1, pl.Int64)))
    return (
        table.select(*of_whom, pl.exclude(*LATER_FIGURES), checkpoint, *LATER_FIGURES),
        by_group.select(*of_whom, pl.all()),
    )


def scored_shards(
    shards: Sequence[Reader],
    checkpoints: Mapping[str, Checkpoint],
    columns: Sequence[str],
    folder: str,
    engine: Engine = LOCAL,
) -> PredictedShards:
    """The shards with the predictions of every checkpoint, each kept in the folder, which exists.

    Args:
        columns: what is kept of each, of those that are there.
    """
    work = partial(_scored_shard, dict(checkpoints), tuple(columns), folder)
    return list(engine.map(work, list(shards), "predictions of withheld rows"))


def _scored_shard(
    checkpoints: Mapping[str, Checkpoint], columns: Sequence[str], folder: str, read: Reader
) -> Callable[[], PredictedRows]:
    shard = read()
    predictions = in_parts(predictors_of(checkpoints), shard)
    rows = shard.select(name for name in columns if name in shard.columns)
    return kept_on_disk(PredictedRows(rows, predictions), f"{folder}/{uuid4().hex}.parquet")


def predictors_of(checkpoints: Mapping[str, Checkpoint]) -> Predictors:
    """What scores rows with each checkpoint, under its name.

    Kept for the next shard that this process works on with the same checkpoints.
    """
    return _predictors(tuple(_ByVersion(str(name), each.version, each) for name, each in checkpoints.items()))


@dataclass(frozen=True)
class _ByVersion:
    """A checkpoint under a name, such as its arm, the same as another of its version."""

    name: str
    version: str
    checkpoint: Checkpoint = field(compare=False)


@lru_cache(maxsize=2)  # of the students whose steps are made at once
def _predictors(checkpoints: tuple[_ByVersion, ...]) -> Predictors:
    return {each.name: predictor(as_student(each.checkpoint)) for each in checkpoints}


def in_parts(predictors: Predictors, shard: pl.DataFrame) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Predictions of a shard in which rows of domain SCORED, of the same requests again, stand behind the others.

    By arm and head, float32 [rows].
    """
    others = len(shard) - int((shard["domain"] == SCORED).sum())
    parts = [part for part in (shard[:others], shard[others:]) if len(part)] or [shard]
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    for arm, predict in predictors.items():
        predicted = [predict(part) for part in parts]
        found |= {(arm, head): np.concatenate([each[head] for each in predicted]) for head in predicted[0]}
    return found


def judged_days(day: Day, student: Student) -> list[date]:
    """The trailing days whose withheld requests are judged: those whose rows have every feature of the student.

    Rows of before a feature was declared read as null, which no day's training has seen.
    """
    table = day.table(student.name, "teacher_augmented")
    features = {feature.name for feature in day.cascade.features_of(student)}
    days = day.window(table, day.cascade.evaluation_days)
    return [each for each in days if each == day.date or features <= {*day.lake.columns(table, each)}]


def held_readers(day: Day, student: Student, judging: date | None = None) -> list[Reader]:
    """What reads, shard by shard, the day's rows of teacher_augmented that no arm was trained on.

    Their labels are corrected and the truth is beside them.

    Args:
        judging: the later day that judges by them: its knowledge of delays corrects labels, and predictions
            of a teacher that the student has had before are left out.
    """
    delays, truth = known_delays(day.on(judging or day.date), student), logged_truth(day, student)
    readers = day.lake.shard_readers(day.table(student.name, "teacher_augmented"), [day.date])
    read = partial(_held, day.cascade, student, delays, truth, judging not in (None, day.date), len(readers))
    return [partial(read, shard, reader) for shard, reader in enumerate(readers)]


def _held(
    cascade: Cascade,
    student: Student,
    delays: KnownDelays | None,
    truth: "LoggedTruth | None",
    judged_later: bool,
    shards: int,
    shard: int,
    read: Callable[[], pl.LazyFrame],
) -> pl.DataFrame:
    held = read().filter("withheld")
    if judged_later:
        held = held.filter((pl.col("domain") == IMP) | (pl.col("teacher") == student.teacher))
    rows = corrected(cascade, student, delays, held.collect())
    rows = rows.with_columns(target=corrected_target(rows))
    if truth is None:
        return rows
    days = rows["requested_at"].dt.date().unique().sort()
    return with_truth(rows, [part for each in days for part in truth(each, shard, shards)])


@dataclass(frozen=True)
class LoggedTruth:
    """The keys and `truth` of the published days of a log, as of one version of it.

    Of a task that is given others their true probability is there too, as `true_given`. Of a log with as many shards
    as are asked of it is the same shard, since a request's rows are in the same one of every table.
    """

    lake: Lake
    table: Table
    version: int
    days: frozenset[date]
    task: str
    conditions: tuple[str, ...]

    def __call__(self, of: date, shard: int, count: int) -> list[pl.LazyFrame]:
        """Of a day in a shard of `count`; nothing where the day is not published."""
        if of not in self.days:
            return []
        readers = _readers(self.lake, self.table, of, self.version)
        columns = [*KEYS, pl.col(truth_column(self.task)).alias("truth")]
        if self.conditions:
            columns.append(pl.reduce(mul, [pl.col(truth_column(task)) for task in self.conditions]).alias(TRUE_GIVEN))
        return [read().select(columns) for read in (readers[shard : shard + 1] if len(readers) == count else readers)]


@lru_cache(maxsize=64)
def _readers(lake: Lake, table: Table, of: date, version: int) -> list[Callable[[], pl.LazyFrame]]:
    return lake.shard_readers(table, [of], version)


def logged_truth(day: Day, student: Student) -> LoggedTruth | None:
    """What finds the truth of a log; None where the source does not know it."""
    if not day.cascade.has_truth:
        return None
    table = day.table("candidate_log")
    days = day.lake.partitions(table)
    newest = day.lake.partition(table, days[-1]) if days else None
    conditions = tuple(day.cascade.conditions_of(student.task))
    return LoggedTruth(day.lake, table, newest.version if newest else 0, frozenset(days), student.task, conditions)


def with_truth(rows: pl.DataFrame, logged: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """The rows with a column `truth`, null where no log has it; logged: keys and `truth`."""
    if not logged:
        return rows.with_columns(truth=pl.lit(None, pl.Float32))
    # Most requests of a log are not asked for; a join that is told so has a fifth of it to look through.
    asked = pl.col(SHARD_KEY).is_in(rows[SHARD_KEY].unique().implode())
    # The log looks for its places among the fewer rows: half the time of rows that look for theirs in the log.
    places = rows.lazy().select(KEYS).with_row_index("_place")
    found = pl.concat(logged).filter(asked).join(places, on=KEYS, how="inner").drop(KEYS).collect()
    place, known = found["_place"], found.drop("_place")
    nothing = known.clear(len(rows))
    return rows.with_columns(nothing[each.name].scatter(place, each) for each in known)
