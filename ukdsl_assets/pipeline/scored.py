"""All rows that a student's stage scored of a day's withheld requests, from the log: domain SCORED of evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, EXPLORED, KEYS, REJECTED, SCORED, truth_column
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.frames.splits import BUCKETS, SHARD_KEY, md5_numbers, shard_of, withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.learning.evaluation.explored import SUMS, pooled
from ukdsl_assets.learning.evaluation.table import LATER_FIGURES, completed
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import Reader, held_readers

# Rows of a judged day that are scored for OWN, and for SCORED against the truth, about: of longer slates fewer requests
# are taken, for more would cost more than all else that is evaluated. What the teacher labelled is not thinned.
MOST_ROWS = 100_000


def judged_readers(day: Day, student: Student, scored: "ScoredLog | None", judging: date | None = None) -> list[Reader]:
    """What reads `held_readers`'s shards, each with the rows of domain SCORED of its requests behind it.

    Column `_taught` (Boolean) says whether the teacher's labels of the day stand for all that the stage scored: it
    labelled a withheld row that the stage rejected, or the stage is the last.

    Args:
        scored: `ScoredLog.of` the day.
        judging: the later day that judges by them. Explored rows are then left to the day's own evaluation, so that
            none counts twice when days are pooled.
    """
    readers = held_readers(day, student, judging)
    stands_for_all = is_last(day.cascade, student) or _labels_rejected(day, student)
    read = partial(_judged, scored, judging not in (None, day.date), stands_for_all, len(readers))
    return [partial(read, shard, reader) for shard, reader in enumerate(readers)]


def _judged(
    scored: "ScoredLog | None", judged_later: bool, stands_for_all: bool, shards: int, shard: int, read: Reader
) -> pl.DataFrame:
    rows = read()
    rows = rows.drop("propensity", strict=False) if judged_later else rows
    rows = rows if scored is None else scored.beside(rows, shard, shards)
    return rows.with_columns(_taught=pl.lit(stands_for_all))


def earlier_readers(day: Day, earlier: date, student: Student) -> list[Reader]:
    """`judged_readers` of an earlier day, for the day that judges by them."""
    of = day.on(earlier)
    return judged_readers(of, student, ScoredLog.of(of, student), day.date)


def _labels_rejected(day: Day, student: Student) -> bool:
    """Whether the student's teacher labelled a rejected row of a day's withheld requests."""
    readers = day.lake.shard_readers(day.table(student.name, "teacher_augmented"), [day.date])
    taught = pl.col("withheld") & (pl.col("domain") == REJECTED) & (pl.col("teacher") == student.teacher)
    # The first shard tells in nearly every case; a map of the others is not left early, which would end its workers.
    if any(_any(taught, read) for read in readers[:1]):
        return True
    return any([*day.workspace.engine.map(partial(_any, taught), readers[1:], "rejected rows that are taught")])


def _any(rows: pl.Expr, read: Callable[[], pl.LazyFrame]) -> bool:
    return bool(read().select(rows.any()).collect().item())


@dataclass(frozen=True)
class ScoredLog:
    """A day's candidate log in shards, and the share of the withheld requests whose rows are taken, by hash."""

    cascade: Cascade
    student: Student
    readers: tuple[Callable[[], pl.LazyFrame], ...]
    share: float

    @classmethod
    def of(cls, day: Day, student: Student) -> "ScoredLog | None":
        """None where the day has no log, or there is nothing to judge them by: neither truth nor labels of the teacher
        on all that the stage scored.
        """
        table = day.table("candidate_log")
        if not (day.cascade.has_truth or labels_all(day.cascade, student)) or day.date not in day.lake.partitions(
            table
        ):
            return None
        readers = day.lake.shard_readers(table, [day.date])
        counted = day.workspace.engine.map(
            partial(_count, reached(day.cascade, student.stage)), readers, f"{'/'.join(table)}, day {day.date}"
        )
        rows = sum(counted) * day.cascade.withheld_share
        return cls(day.cascade, student, tuple(readers), min(1.0, MOST_ROWS / rows) if rows else 1.0)

    def beside(self, held: pl.DataFrame, shard: int, count: int) -> pl.DataFrame:
        """The held rows, and behind them all that the student's stage scored of the shard's requests that are taken.

        Those have the teacher's target and weight where it labelled them, null else, `_beyond`, whether they got beyond
        the stage, and the features as they are before anything is shown.

        Args:
            held: the withheld rows of teacher_augmented of a shard of `count`.
        """
        taught = held.filter(pl.col("domain").is_in([CD, REJECTED]))
        scored = self._of_shard(shard, count, taught)
        scored = scored.join(taught.select(*KEYS, "target", "weight"), on=KEYS, how="left").sort(KEYS)
        types: dict[Any, Any] = {name: dtype for name, dtype in held.schema.items() if name in scored.columns}
        return pl.concat([held, scored.with_columns(domain=pl.lit(SCORED)).cast(types)], how="diagonal")

    def _of_shard(self, shard: int, count: int, taught: pl.DataFrame) -> pl.DataFrame:
        """The log's rows; of one with as many shards it is the same, since a request is in the same of every table."""
        same = len(self.readers) == count
        log = self.readers[shard]() if same else pl.concat([read() for read in self.readers])
        requests = log.select(pl.col(SHARD_KEY).unique()).collect().to_series()
        requests = requests.filter(withheld(requests, self.cascade.withheld_share))
        if self.share < 1:
            requests = requests.filter(md5_numbers(requests, "scored") % BUCKETS < self.share * BUCKETS)
        if not same:
            requests = requests.filter(shard_of(requests, count) == shard)
        # Two filters and the engine that streams: files are then read where a request was taken, and no further.
        rows = log.filter(pl.col(SHARD_KEY).is_in(requests.implode()))
        rows = rows.filter(reached(self.cascade, self.student.stage))
        features = self._features()
        vectors = [each.name for each in features if _vector_of_request(each) and each.name in taught.columns]
        with_vectors = taught.select(SHARD_KEY, *vectors).drop_nulls()
        of_request = with_vectors.unique(SHARD_KEY, keep="first", maintain_order=True)
        if not vectors or not requests.is_in(of_request[SHARD_KEY].implode()).all():
            return rows.select(*KEYS, *self._columns(features)).collect(engine="streaming")
        # All requests have rows here that hold their vectors already; in Parquet these stand in every row of a request,
        # which is three quarters of the time of a read.
        others = self._columns([each for each in features if each.name not in vectors])
        return rows.select(*KEYS, *others).collect(engine="streaming").join(of_request, on=SHARD_KEY, how="left")

    def _features(self) -> list[Feature]:
        """What the stage knows of what the student's rows have."""
        known = set(self.cascade.features_known_at(self.student.stage))
        return [feature for feature in self.cascade.columns_of(self.student) if feature in known]

    def _columns(self, features: Sequence[Feature]) -> list[pl.Expr]:
        cascade, student = self.cascade, self.student
        stages = [stage.name for stage in cascade.stages]
        after = stages[cascade.depth(student.stage) + 1 :]
        beyond = reached(cascade, after[0]) if after else pl.col("shown")
        columns = [beyond.alias("_beyond"), *(pl.col(each.name) for each in features if each.served_as is None)]
        columns += as_scored(features)
        if cascade.has_bid:
            columns.append(pl.col("bid"))
        if cascade.has_truth:
            columns.append(pl.col(truth_column(student.task)).alias("truth"))
        return columns


def _vector_of_request(feature: Feature) -> bool:
    return feature.kind == "vector" and feature.side == "request" and feature.served_as is None


def _count(rows: pl.Expr, read: Callable[[], pl.LazyFrame]) -> int:
    return int(read().filter(rows).select(pl.len()).collect().item())


def with_trailing(day: Day, student: Student, table: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, str]]:
    """The evaluation with rows of EXPLORED_TRAILING, and data versions of the earlier evaluations that these pool.

    Of each arm and head of today: explored rows of today and of what was published of the cascade's `exploration_days`
    before, each day with the predictions of its own checkpoints.
    """
    key = day.table(student.name, "evaluation")
    first = day.date - timedelta(days=day.cascade.exploration_days - 1)
    days = [each for each in day.lake.partitions(key) if first <= each < day.date]
    earlier = completed(day.lake.scan(key, days).filter(domain=EXPLORED).collect()) if days else table.clear()
    columns = ["arm", "head", "reference", "domain", "rows", "positives", SUMS]
    both = pl.concat([earlier.select(columns), table.select(columns)])
    today = table.unique(["arm", "head"], keep="first", maintain_order=True)
    names = today.select("cascade", "note", "student", "arm", "head", "checkpoint")
    rows = pooled(both).join(names, on=["arm", "head"], how="inner", maintain_order="left")
    undefined = [name for name, dtype in table.schema.items() if dtype == pl.Float64 and name not in rows.columns]
    undefined = [name for name in undefined if name not in LATER_FIGURES]
    rows = rows.with_columns(pl.lit(float("nan")).alias(name) for name in undefined)
    versions = {f"{'/'.join(key)}/{each}": day.on(each).partition(key).data_version for each in days}
    return pl.concat([table, rows], how="diagonal").select(table.columns), versions


def share_told(scored: ScoredLog | None) -> dict[str, str]:
    """Of how many of the day's withheld requests OWN, and SCORED against the truth, are, for people; empty for all."""
    if scored is None or scored.share == 1:
        return {}
    return {"own choice": f"of {scored.share:.0%} of the withheld requests, by hash, about {MOST_ROWS:,} rows a day"}


def labels_all(cascade: Cascade, student: Student) -> bool:
    """Whether the teacher may label rows that the student's stage rejected, or its stage is the last."""
    teacher = cascade.teacher(student.teacher)
    own_stage = not teacher.logged and cascade.depth(teacher.stage) <= cascade.depth(student.stage)
    return cascade.has_probes or own_stage or is_last(cascade, student)


def is_last(cascade: Cascade, student: Student) -> bool:
    """Whether the student's stage is the last, so that CD is all that it scored."""
    return student.stage == cascade.stages[-1].name
