"""A day of feature selection: what importance is measured on and a choice is judged by."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, REJECTED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import halves
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import held_shards
from ukdsl_assets.pipeline.students import as_selected, as_student
from ukdsl_assets.pipeline.workspace import Table
from ukdsl_assets.selection.sampled_rows import sample_of_shards
from ukdsl_assets.selection.simplified import selection_of

# Domain of teacher_augmented -> table of importance on it.
IMPORTANCE = {IMP: "impression_importance", CD: "consideration_importance"}


def checkpoint_name(training: int) -> str:
    """Last part of a simplified student's key in the checkpoint store."""
    return f"simplified_{training}"


def measured_rows(day: Day, table: Table, days: list[date], most: int, seed: int) -> pl.DataFrame:
    """The rows that importance is measured on: of half the withheld requests, at most `most` rows of each domain."""
    shards = [shard.filter("withheld") for each in days for shard in day.lake.scan_shards(table, [each])]
    shards = [_shown_and_considered(day, shard, table[1]) for shard in shards]
    ids, rows = (
        (halves(shard.collect(), seed)[0] for shard in read)
        for read in ([shard.select("day", "request_id", "domain") for shard in shards], shards)
    )
    return sample_of_shards(ids, rows, most, seed, by_domain=True)


def judged_rows(day: Day, student: Student) -> pl.DataFrame:
    """The rows that a selection is judged on: of withheld requests, as many as importance is measured on at most.

    Domains are drawn together, so that a considered row's shown twin is there if it was shown.
    """
    shards = day.lake.scan_shards(day.table(student.name, "teacher_augmented"), [day.date])
    shards = [_shown_and_considered(day, shard.filter("withheld"), student.name) for shard in shards]
    ids = (shard.select("day", "request_id", "domain").collect() for shard in shards)
    rows = (_shown_and_considered(day, held.lazy(), student.name).collect() for held in held_shards(day, student))
    return sample_of_shards(ids, rows, 2 * selection_of(student).rows, student.seed, by_domain=False)


def _shown_and_considered(day: Day, rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """The rows without those that the student's stage rejected, unless its teacher labels all that the stage scored.

    Then they are considered rows like others. Probes are few and stand for many: no feature is chosen by them.
    """
    student, rejected = day.cascade.student(name), pl.col("domain") == REJECTED
    if day.cascade.teacher(student.teacher).stage != student.stage:
        return rows.filter(~rejected)
    return rows.with_columns(domain=pl.when(rejected).then(pl.lit(CD)).otherwise("domain"))


def selected_before(day: Day, table: Table) -> pl.DataFrame | None:
    """feature_union of the newest published day before, None where there is none."""
    newest = day.newest_before(table)
    return None if newest is None else day.lake.scan(table, [newest]).collect()


def readers_elsewhere(day: Day, student: Student) -> Mapping[str, tuple[set[str], set[str]]]:
    """Who else reads features, and which features hold values in the rows that they read; see `judge_selection`."""
    cascade, readers = day.cascade, {}
    for other in cascade.students:
        rows = day.table(other.name, "teacher_augmented")
        names = [feature.name for feature in cascade.columns_of(other)]
        there = day.lake.scan(rows, [day.date]).select(pl.col(names).is_not_null().any()).collect()
        # What may be missing may be so in all rows: it is there if the rows have the column.
        written = {*day.lake.columns(rows, day.date)}
        missing = {feature.name for feature in cascade.columns_of(other) if feature.may_be_missing} & written
        columns = {name for name in names if there[name].item()} | missing
        if other.name != student.name:
            features = cascade.features_of(as_selected(day, other))
            readers[other.name] = ({feature.name for feature in features}, columns)
            continue
        readers["segments"] = (set(cascade.segments) & set(names), columns)
        released = day.checkpoints.load_released(day.table(other.name), day.date)
        if released is not None:
            features = as_student(released).encoder.features
            readers["what is released"] = ({feature.name for feature in features}, columns)
    return readers
