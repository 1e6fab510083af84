"""A day's labels of a teacher: computed, written and judged one shard at a time."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.served_as import as_scored, shown_as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.teachers.gates import judge_teacher_labels, teacher_sums
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Table


def write_labels(
    day: Day,
    teacher: Teacher,
    table: Table,
    sources: Sequence[Table],
    predict: Callable[[pl.DataFrame], pl.DataFrame],
) -> list[str]:
    """Files of a day's labels, one shard in memory at a time, as many as the sources have.

    The predictions of trees for a row are the same whatever rows are beside it; the last bit of a network's, float32,
    may hang on its batch, hence on the number of shards.

    Args:
        sources: tables of the rows to label, which have equally many shards, or else are labelled as one.
        predict: labels of rows that are sorted by key.
    """
    shards = day.shards(*sources)
    labels = (predict(rows_scored_by(day.cascade, teacher, shard)) for shard in shards)
    return day.lake.write_shards(table, day.date, labels, len(shards))


def rows_scored_by(cascade: Cascade, teacher: Teacher, tables: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Keys and features of the tables' rows that reached the teacher's stage, sorted by key."""
    columns = [*KEYS, *(feature.name for feature in cascade.features_known_at(teacher.stage))]
    rows = [each.filter(reached(cascade, teacher.stage)).select(columns) for each in tables]
    as_before_shown = as_scored(cascade.features_known_at(teacher.stage))
    return pl.concat(rows).sort(KEYS).with_columns(as_before_shown).collect()


def judge_labels(day: Day, teacher: Teacher, files: Sequence[str]) -> list[GateResult]:
    """The teacher's gates on the day's impressions; files as in `shown_and_labelled`."""
    cascade = day.cascade
    columns = ["deepest_stage", "explored", *(task.name for task in cascade.tasks)]
    sums = (
        teacher_sums(cascade, teacher, shown, labels.collect(), withheld(shown["request_id"], cascade.withheld_share))
        for shown, labels in shown_and_labelled(day, teacher, files, columns)
    )
    return judge_teacher_labels(cascade, teacher, reduce(add, sums))


def shown_and_labelled(
    day: Day, teacher: Teacher, files: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[pl.DataFrame, pl.LazyFrame]]:
    """Shard by shard: keys and `columns` of the day's impressions, keys and predictions of the same requests' labels.

    Impressions are those shown as they were labelled: a label is for `served_as`, such as the first slot.

    Args:
        files: Parquet files of the day's labels, in the order of their shards; if they are not as many as the
            impressions', the day is one shard.
    """
    impressions = day.lake.scan_shards(day.table("impressions"), [day.date])
    parts = [[file] for file in files]
    if len(parts) != len(impressions):
        impressions, parts = [pl.concat(impressions)], [list(files)]
    predictions = [label_column(task) for task in day.cascade.tasks_taught(teacher)]
    for scanned, part in zip(impressions, parts, strict=True):
        shown = scanned.filter(shown_as_scored(day.cascade.features)).select(*KEYS, *columns)
        yield shown.collect(), pl.scan_parquet(part, glob=False, hive_partitioning=False).select(*KEYS, *predictions)
