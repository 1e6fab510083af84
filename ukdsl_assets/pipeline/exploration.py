"""A day of the teacher audit: explored rows of the trailing days."""

from datetime import date

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.served_as import shown_as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.pipeline.workspace import Table, Workspace


def audited(cascade: Cascade, workspace: Workspace, teacher: Teacher, day: date) -> pl.DataFrame:
    """The table of a day, from the published days of the window."""
    impressions: Table = (cascade.name, "impressions")
    labels: Table = (cascade.name, teacher.name, "teacher_labels")
    days = workspace.window(labels, day, cascade.exploration_days)
    days = [each for each in workspace.window(impressions, day, cascade.exploration_days) if each in days]
    parts = [
        explored_rows(cascade, teacher, *shard)
        for each in days
        for shard in workspace.shards(each, impressions, labels)
    ]
    # Sums must not depend on the order in which rows were put together.
    return audit_on_exploration(cascade, teacher, pl.concat(parts).sort("day", "request_id", "candidate_id"), day)


def explored_rows(cascade: Cascade, teacher: Teacher, impressions: pl.LazyFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    """What a shard of a day adds to `audited`: explored rows, their own labels and the teacher's."""
    keys, tasks = ["request_id", "candidate_id"], [task.name for task in cascade.tasks]
    scored = impressions.filter(pl.col("explored") & shown_as_scored(cascade.features))
    shown = scored.select("day", *keys, "propensity", *tasks).collect()
    # A teacher that is trained here has learnt from what is not withheld. Of the others' rows those that are
    # withheld are left to the evaluation, since the correction goes into training.
    held = withheld(shown["request_id"], cascade.withheld_share)
    shown = shown.filter(held if teacher.trained_here else ~held)
    predictions = [f"{task}_prediction" for task in cascade.tasks_taught(teacher)]
    said = labels.select(*keys, *predictions).join(shown.lazy(), on=keys, how="semi")
    return shown.join(said.collect(), on=keys, how="inner")
