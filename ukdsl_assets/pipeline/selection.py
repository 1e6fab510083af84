"""A day of feature selection: what importance is measured on and a choice is judged by."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, REJECTED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import halves
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import held_readers
from ukdsl_assets.pipeline.students import as_selected, as_student
from ukdsl_assets.pipeline.workspace import Table
from ukdsl_assets.selection.sampled_rows import sample_of_shards
from ukdsl_assets.selection.simplified import selection_of
from ukdsl_assets.selection.tables import importance_tables

# Domain of teacher_augmented -> table of importance on it.
IMPORTANCE = {IMP: "impression_importance", CD: "consideration_importance"}
ID_COLUMNS = ("day", "request_id", "domain")


def checkpoint_name(training: int) -> str:
    """Last part of a simplified student's key in the checkpoint store."""
    return f"simplified_{training}"


def measured_importance(
    day: Day, student: Student, days: list[date], students: Sequence[FittedStudent], log: Callable[[str], None]
) -> dict[str, pl.DataFrame]:
    """The tables of importance by domain, of `importance_tables`; to the same bits wherever they are worked on.

    Args:
        days: whose withheld rows are read.
        students: trainings of the simplified student.
    """
    table, selection = day.table(student.name, "teacher_augmented"), selection_of(student)
    rows = measured_rows(day, table, days, selection.rows, student.seed)
    engine = day.workspace.engine
    return importance_tables(
        students,
        rows,
        day.cascade.candidates_of(student),
        selection,
        student.seed,
        day.settings.threads,
        log,
        mapped_by(day, table) if engine.apart else None,
    )


def measured_rows(day: Day, table: Table, days: list[date], most: int, seed: int) -> pl.DataFrame:
    """The rows that importance is measured on: of half the withheld requests, at most `most` rows of each domain."""
    shards = [read for each in days for read in day.lake.shard_readers(table, [each])]
    both = _both_stages(day.cascade, table[1])
    ids, rows = ([partial(_first_half, both, columns, seed, read) for read in shards] for columns in (ID_COLUMNS, None))
    return sample_of_shards(ids, rows, most, seed, by_domain=True, mapped=mapped_by(day, table))


def judged_rows(day: Day, student: Student) -> pl.DataFrame:
    """The rows that a selection is judged on: of withheld requests, as many as importance is measured on at most.

    Domains are drawn together, so that a considered row's shown twin is there if it was shown.
    """
    table, both = day.table(student.name, "teacher_augmented"), _both_stages(day.cascade, student.name)
    ids = [partial(_withheld, both, ID_COLUMNS, read) for read in day.lake.shard_readers(table, [day.date])]
    rows = [partial(_held, both, read) for read in held_readers(day, student)]
    most = 2 * selection_of(student).rows
    return sample_of_shards(ids, rows, most, student.seed, by_domain=False, mapped=mapped_by(day, table))


def comparison_readers(day: Day, student: Student) -> list[Callable[[], pl.DataFrame]]:
    """What reads the rows by which rules are compared: of the half of the withheld requests by which none chose."""
    return [partial(_second_half, student.seed, read) for read in held_readers(day, student)]


def mapped_by(day: Day, table: Table) -> Mapped:
    """Works on shards of a selection by the day's engine; table: of its rows, for messages."""
    return partial(day.workspace.engine.map, name=f"selection on {'/'.join(table)}, day {day.date}")


def _withheld(both: bool, columns: Sequence[str] | None, read: Callable[[], pl.LazyFrame]) -> pl.DataFrame:
    rows = read().filter("withheld")
    return _shown_and_considered(both, rows if columns is None else rows.select(columns)).collect()


def _first_half(both: bool, columns: Sequence[str] | None, seed: int, read: Callable[[], pl.LazyFrame]) -> pl.DataFrame:
    return halves(_withheld(both, columns, read), seed)[0]


def _second_half(seed: int, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    return halves(read(), seed)[1]


def _held(both: bool, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    return _shown_and_considered(both, read().lazy()).collect()


def _both_stages(cascade: Cascade, name: str) -> bool:
    """Whether the student's teacher labels all that the student's stage scored."""
    student = cascade.student(name)
    return cascade.teacher(student.teacher).stage == student.stage


def _shown_and_considered(both: bool, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows without those that the student's stage rejected, unless its teacher labels `both` kinds.

    Then they are considered rows like others. Probes are few and stand for many: no feature is chosen by them.
    """
    rejected = pl.col("domain") == REJECTED
    if not both:
        return rows.filter(~rejected)
    return rows.with_columns(domain=pl.when(rejected).then(pl.lit(CD)).otherwise("domain"))


def _there(names: Sequence[str], read: Callable[[], pl.LazyFrame]) -> pl.DataFrame:
    """Whether each column has a value in a shard, in one row."""
    return read().select(pl.col(names).is_not_null().any()).collect()


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
        of_shards = mapped_by(day, rows)(partial(_there, names), day.lake.shard_readers(rows, [day.date]))
        there = pl.concat(of_shards).select(pl.all().any())
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
