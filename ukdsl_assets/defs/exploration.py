"""Group 3: teacher_audit, what a teacher says on explored rows of the trailing days, and a check."""

from datetime import date

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_teachers import Teacher
from ukdsl_assets.defs.gates import check_results, check_specs, told_plainly
from ukdsl_assets.defs.keys import TEACHERS, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.learning.exploration_audit import MEANINGS, audit_on_exploration, audit_rules, judge_exploration
from ukdsl_assets.learning.served import shown_as_scored
from ukdsl_assets.references import tasks_taught
from ukdsl_assets.sql.withheld import withheld


def audit_asset(cascade: Cascade, platform: Platform, teacher: Teacher) -> dg.AssetsDefinition:
    """[cascade, teacher, teacher_audit]: published whatever it says; its checks only tell."""
    table: Table = (cascade.name, teacher.name, "teacher_audit")
    read: list[Table] = [(cascade.name, "impressions"), (cascade.name, teacher.name, "teacher_labels")]
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"Calibration of {teacher.name} on rows that exploration showed, weighted by 1 / propensity, on the day and "
        f"over {cascade.exploration_days} days, with 95% intervals, and the correction that they support.",
        kinds={"polars", "deltalake"},
        deps=[since(each, cascade.exploration_days) for each in read],
    )
    rules = audit_rules(cascade, teacher)
    checks = check_specs(cascade, table, rules, blocking=False)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def audit(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            frame = audited(cascade, platform, teacher, day)
            yield from check_results(table, judge_exploration(cascade, frame))
            staged = platform.lake.stage_frame(table, day, frame)
            yield committed(context, platform, staged, platform.versions(day, *read), {}, MEANINGS)

    return audit


def audited(cascade: Cascade, platform: Platform, teacher: Teacher, day: date) -> pl.DataFrame:
    """The table of a day, from the published days of the window."""
    impressions: Table = (cascade.name, "impressions")
    labels: Table = (cascade.name, teacher.name, "teacher_labels")
    days = platform.window(labels, day, cascade.exploration_days)
    days = [each for each in platform.window(impressions, day, cascade.exploration_days) if each in days]
    parts = [
        explored_rows(cascade, teacher, *shard) for each in days for shard in platform.shards(each, impressions, labels)
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
    shown = shown.filter(held if teacher.kind in ("trained", "foundation") else ~held)
    predictions = [f"{task}_prediction" for task in tasks_taught(cascade, teacher)]
    said = labels.select(*keys, *predictions).join(shown.lazy(), on=keys, how="semi")
    return shown.join(said.collect(), on=keys, how="inner")
