"""A day of feature selection: what importance is measured on and a choice is judged by."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import halves
from ukdsl_assets.pipeline.evaluation import held_shards
from ukdsl_assets.pipeline.release import released_before
from ukdsl_assets.pipeline.students import as_selected, as_student
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.selection.sampled_rows import sample_of_shards
from ukdsl_assets.selection.simplified import selection_of

# Domain of teacher_augmented -> table of importance on it.
IMPORTANCE = {"IMP": "impression_importance", "CD": "consideration_importance"}


def checkpoint_name(training: int) -> str:
    """Last part of a simplified student's key in the checkpoint store."""
    return f"simplified_{training}"


def measured_rows(workspace: Workspace, table: Table, days: list[date], most: int, seed: int) -> pl.DataFrame:
    """The rows that importance is measured on: of half the withheld requests, at most `most` rows of each domain."""
    shards = [shard.filter("withheld") for day in days for shard in workspace.lake.scan_shards(table, [day])]
    ids, rows = (
        (halves(shard.collect(), seed)[0] for shard in read)
        for read in ([shard.select("day", "request_id", "domain") for shard in shards], shards)
    )
    return sample_of_shards(ids, rows, most, seed, by_domain=True)


def judged_rows(cascade: Cascade, workspace: Workspace, student: Student, day: date) -> pl.DataFrame:
    """The rows that a selection is judged on: of withheld requests, as many as importance is measured on at most.

    Domains are drawn together, so that a considered row's shown twin is there if it was shown.
    """
    table: Table = (cascade.name, student.name, "teacher_augmented")
    shards = workspace.lake.scan_shards(table, [day])
    ids = (shard.filter("withheld").select("day", "request_id", "domain").collect() for shard in shards)
    rows = held_shards(cascade, workspace, student, day)
    return sample_of_shards(ids, rows, 2 * selection_of(student).rows, student.seed, by_domain=False)


def selected_before(workspace: Workspace, table: Table, day: date) -> pl.DataFrame | None:
    """feature_union of the newest published day before, None where there is none."""
    newest = max((each for each in workspace.lake.partitions(table) if each < day), default=None)
    return None if newest is None else workspace.lake.scan(table, [newest]).collect()


def readers_elsewhere(
    cascade: Cascade, workspace: Workspace, student: Student, day: date
) -> Mapping[str, tuple[set[str], set[str]]]:
    """Who else reads features, and which features hold values in the rows that they read; see `judge_selection`."""
    readers = {}
    for other in cascade.students:
        rows: Table = (cascade.name, other.name, "teacher_augmented")
        names = [feature.name for feature in cascade.columns_of(other)]
        there = workspace.lake.scan(rows, [day]).select(pl.col(names).is_not_null().any()).collect()
        columns = {name for name in names if there[name].item()}
        if other.name != student.name:
            features = cascade.features_of(as_selected(workspace, cascade, other, day))
            readers[other.name] = ({feature.name for feature in features}, columns)
            continue
        readers["segments"] = (set(cascade.segments) & set(names), columns)
        released = released_before(workspace.checkpoints.release_history((cascade.name, other.name)), day)
        if released is not None:
            key = (cascade.name, other.name, released["arm"])
            found = workspace.checkpoints.load(key, date.fromisoformat(released["day"]), released["checkpoint"])
            features = as_student(found).encoder.features
            readers["what is released"] = ({feature.name for feature in features}, columns)
    return readers
