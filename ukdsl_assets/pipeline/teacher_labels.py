"""A day's labels of a teacher: computed, written, counted and staged a shard at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import NamedTuple

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.served_as import as_scored, shown_as_scored
from ukdsl_assets.frames.splits import shard_of, withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.tables.reading import ShardReader
from ukdsl_assets.lake.tables.staging import StagedPartition, write_rows
from ukdsl_assets.learning.teachers.gates import TeacherSums, judge_teacher_labels, teacher_sums
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.shards import staged_by_shard
from ukdsl_assets.pipeline.tables import Audit
from ukdsl_assets.pipeline.workspace import Table


class LabelledShard(NamedTuple):
    """What is known of a shard's labels where they were made.

    Attributes:
        sums: that the teacher's gates add up.
        shown: keys and labels of its withheld impressions; without rows where they are not kept.
        predictions: keys and the teacher's labels of the same.
    """

    sums: TeacherSums
    shown: pl.DataFrame
    predictions: pl.DataFrame


@dataclass(frozen=True)
class ShownShard:
    """The impressions of a day's shard: those of the same requests as the labels of shard `shard` of `shards`."""

    readers: tuple[ShardReader, ...]
    shard: int
    shards: int

    @classmethod
    def of(cls, day: Day, shards: int) -> "list[ShownShard]":
        """One for each of a day's shards of labels, whatever number the impressions have."""
        readers = day.lake.shard_readers(day.table("impressions"), [day.date])
        if len(readers) == shards:
            return [cls((reader,), shard, shards) for shard, reader in enumerate(readers)]
        return [cls(tuple(readers), shard, shards) for shard in range(shards)]

    def rows(self, cascade: Cascade) -> pl.DataFrame:
        """Keys, what gates ask for and labels of the rows that were shown as they were labelled.

        A label is for `served_as`, such as the first slot.
        """
        columns = [*KEYS, "deepest_stage", "explored", *(task.name for task in cascade.tasks)]
        shown = pl.concat(read() for read in self.readers).filter(shown_as_scored(cascade.features))
        rows = shown.select(columns).collect()
        others = len(self.readers) > 1 and self.shards > 1
        return rows.filter(shard_of(rows["request_id"], self.shards) == self.shard) if others else rows


def stage_labels(
    day: Day,
    teacher: Teacher,
    table: Table,
    sources: Sequence[Table],
    predict: Callable[[pl.DataFrame], pl.DataFrame],
    keep_withheld: bool = False,
) -> tuple[StagedPartition, list[LabelledShard]]:
    """A day's labels, one shard in memory at a time, as many as the sources have.

    The predictions of trees for a row are the same whatever rows are beside it; the last bit of a network's, float32,
    may hang on its batch, hence on the number of shards.

    Args:
        sources: tables of the rows to label, which have equally many shards, or else are labelled as one.
        predict: labels of rows that are sorted by key.
        keep_withheld: whether withheld impressions and their labels are given too.
    """
    parts = day.shard_readers(*sources)
    work = partial(_label, day.cascade, teacher, predict, keep_withheld)
    return staged_by_shard(day, table, work, list(zip(parts, ShownShard.of(day, len(parts)), strict=True)))


def _label(
    cascade: Cascade,
    teacher: Teacher,
    predict: Callable[[pl.DataFrame], pl.DataFrame],
    keep_withheld: bool,
    part: tuple[tuple[ShardReader, ...], ShownShard],
    path: str,
) -> LabelledShard:
    tables, shown = part
    labels = predict(rows_scored_by(cascade, teacher, [read() for read in tables]))
    write_rows(path, labels)
    rows = shown.rows(cascade)
    held = rows.filter(withheld(rows["request_id"], cascade.withheld_share) if keep_withheld else pl.lit(False))
    # Labels may have more columns, such as what a network passes on.
    told = labels.select(*KEYS, *map(label_column, cascade.tasks_taught(teacher)))
    sums = _sums(cascade, teacher, rows, told)
    tasks = (task.name for task in cascade.tasks)
    return LabelledShard(sums, held.select(*KEYS, *tasks), told.join(held, on=KEYS, how="semi"))


def label_sums(cascade: Cascade, teacher: Teacher, shown: ShownShard, file: str) -> TeacherSums:
    """What the teacher's gates add up of a file of labels."""
    predictions = [label_column(task) for task in cascade.tasks_taught(teacher)]
    labels = pl.scan_parquet(file, glob=False, hive_partitioning=False).select(*KEYS, *predictions)
    return _sums(cascade, teacher, shown.rows(cascade), labels.collect())


def _sums(cascade: Cascade, teacher: Teacher, shown: pl.DataFrame, labels: pl.DataFrame) -> TeacherSums:
    return teacher_sums(cascade, teacher, shown, labels, withheld(shown["request_id"], cascade.withheld_share))


def rows_scored_by(cascade: Cascade, teacher: Teacher, tables: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Keys and features of the tables' rows that reached the teacher's stage, sorted by key."""
    columns = [*KEYS, *(feature.name for feature in cascade.features_known_at(teacher.stage))]
    rows = [each.filter(reached(cascade, teacher.stage)).select(columns) for each in tables]
    as_before_shown = as_scored(cascade.features_known_at(teacher.stage))
    return pl.concat(rows).sort(KEYS).with_columns(as_before_shown).collect()


def judge_labels(cascade: Cascade, teacher: Teacher, sums: Sequence[TeacherSums]) -> list[GateResult]:
    """The teacher's gates on the day's impressions, by the sums of its shards."""
    return judge_teacher_labels(cascade, teacher, reduce(add, sums))


def label_audit(cascade: Cascade, teacher: Teacher) -> Audit:
    """The verdicts of `judge_labels` on labels that an SQL model makes."""

    def judge(day: Day, sums: Sequence[TeacherSums]) -> list[GateResult]:
        return judge_labels(cascade, teacher, sums)

    return Audit(partial(label_sums, cascade, teacher), judge, ShownShard.of)
