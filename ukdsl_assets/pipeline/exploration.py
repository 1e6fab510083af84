"""A day of the teacher audit: explored rows of the trailing days."""

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.served_as import shown_as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.pipeline.day import Day


def audited(day: Day, teacher: Teacher) -> pl.DataFrame:
    """The table of a day, from the published days of the window."""
    cascade = day.cascade
    impressions, labels = day.table("impressions"), day.table(teacher.name, "teacher_labels")
    labelled = day.window(labels, cascade.exploration_days)
    days = [each for each in day.window(impressions, cascade.exploration_days) if each in labelled]
    shards = (shard for each in days for shard in day.on(each).shards(impressions, labels))
    parts = [explored_rows(cascade, teacher, *shard) for shard in shards]
    # Sums must not depend on the order in which rows were put together.
    return audit_on_exploration(cascade, teacher, pl.concat(parts).sort("day", *KEYS), day.date)


def explored_rows(cascade: Cascade, teacher: Teacher, impressions: pl.LazyFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    """What a shard of a day adds to `audited`: explored rows, their own labels and the teacher's."""
    tasks = [task.name for task in cascade.tasks]
    scored = impressions.filter(pl.col("explored") & shown_as_scored(cascade.features))
    shown = scored.select("day", *KEYS, "propensity", *tasks).collect()
    # A teacher that is trained here has learnt from what is not withheld. Of the others' rows those that are
    # withheld are left to the evaluation, since the correction goes into training.
    held = withheld(shown["request_id"], cascade.withheld_share)
    shown = shown.filter(held if teacher.trained_here else ~held)
    columns = [label_column(task) for task in cascade.tasks_taught(teacher)]
    predictions = labels.select(*KEYS, *columns).join(shown.lazy(), on=KEYS, how="semi")
    return shown.join(predictions.collect(), on=KEYS, how="inner")
