"""Group 3: teachers, each with one table of labels that every student reads, audited before it is published."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade, LoggedTeacher, TrainedTeacher
from ukdsl_assets.defs.gates import check_specs, result, told_plainly
from ukdsl_assets.defs.keys import TEACHERS, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of, publish_frame
from ukdsl_assets.defs.tables import sql_asset
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.teacher_audit import audit_teacher, tasks_taught, teacher_rules
from ukdsl_assets.learning.teachers import as_checkpoint, fit_teacher, from_checkpoint, predict_teacher
from ukdsl_assets.sql.withheld import withheld

LOGGED_MODEL = "logged_teacher_labels"


def teacher_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_labels] of each teacher, and teacher_checkpoint of the trained ones."""
    assets = []
    for teacher in cascade.teachers:
        if teacher.kind == "logged":
            assets.append(logged_labels(cascade, platform, teacher))
        else:
            assets += [trained_checkpoint(cascade, platform, teacher), trained_labels(cascade, platform, teacher)]
    return assets


def logged_labels(cascade: Cascade, platform: Platform, teacher: LoggedTeacher) -> dg.AssetsDefinition:
    """What a later stage predicted when it served, as labels: an SQL model with the teacher's audit on top."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")

    def audit(day: date, files: Sequence[str]) -> list[GateResult]:
        return judged(cascade, platform, teacher, day, pl.scan_parquet(list(files)))

    rules = teacher_rules(cascade, teacher)
    return sql_asset(cascade, platform, LOGGED_MODEL, table, TEACHERS, teacher=teacher, rules=rules, audit=audit)


def trained_checkpoint(cascade: Cascade, platform: Platform, teacher: TrainedTeacher) -> dg.AssetsDefinition:
    """A foundation teacher, trained on the impressions of a rolling window that are not withheld."""
    table: Table = (cascade.name, teacher.name, "teacher_checkpoint")
    impressions: Table = (cascade.name, "impressions")
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"LightGBM for {', '.join(tasks_taught(cascade, teacher))} on {teacher.window_days} days of impressions, "
        f"with every feature known at {teacher.stage}.",
        kinds={"lightgbm"},
        deps=[since(impressions, teacher.window_days)],
    )

    @dg.multi_asset(name="__".join(table), specs=[described])
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            days = platform.window(impressions, day, teacher.window_days)
            rows = platform.lake.scan(impressions, days).collect()
            kept = rows.filter(~withheld(rows["request_id"], cascade.withheld_share))
            fitted = fit_teacher(cascade, teacher, kept, platform.settings.threads)
            lineage = {str(each): platform.versions(each, impressions) for each in days}
            content = {"declaration": teacher.model_dump(mode="json"), "lineage": lineage, **as_checkpoint(fitted)}
            saved = platform.checkpoints.save(table[:2], day, content, text=fitted.text)
            platform.checkpoints.publish(saved)
            yield result(table, saved.version, {"checkpoint": saved.version, "rows": len(kept), "days": len(days)})

    return checkpoint


def trained_labels(cascade: Cascade, platform: Platform, teacher: TrainedTeacher) -> dg.AssetsDefinition:
    """The foundation teacher's predictions on every row, shown or considered, that its stage scored."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")
    sources: list[Table] = [(cascade.name, "impressions"), (cascade.name, "considerations")]
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"Predictions of {teacher.name} for all rows that {teacher.stage} scored, computed once a day.",
        kinds={"lightgbm", "deltalake"},
        deps=[dg.AssetKey((*table[:2], "teacher_checkpoint")), *(dg.AssetKey(each) for each in sources)],
    )
    rules = teacher_rules(cascade, teacher)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, rules))
    def labels(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            found = platform.checkpoints.load(table[:2], day)
            rows = rows_scored_by(cascade, platform, teacher, sources, day)
            predictions = predict_teacher(
                from_checkpoint(found.metadata, found.text or ""), rows, platform.settings.threads
            )
            results = judged(cascade, platform, teacher, day, predictions.lazy())
            inputs = {**platform.versions(day, *sources), "teacher_checkpoint": found.version}
            yield from publish_frame(context, platform, table, predictions, results, inputs)

    return labels


def rows_scored_by(
    cascade: Cascade, platform: Platform, teacher: TrainedTeacher, tables: Sequence[Table], day: date
) -> pl.DataFrame:
    """Keys and features of the day's rows that reached the teacher's stage, sorted by key."""
    reached = [stage.name for stage in cascade.stages][cascade.depth(teacher.stage) :]
    columns = ["request_id", "candidate_id", *(feature.name for feature in cascade.features_known_at(teacher.stage))]
    parts = [
        platform.lake.scan(table, [day]).filter(pl.col("deepest_stage").is_in(reached)).select(columns)
        for table in tables
    ]
    return pl.concat(parts).sort("request_id", "candidate_id").collect()


def judged(
    cascade: Cascade, platform: Platform, teacher: LoggedTeacher | TrainedTeacher, day: date, labels: pl.LazyFrame
) -> list[GateResult]:
    """The teacher's gates on the day's impressions."""
    impressions = platform.lake.scan((cascade.name, "impressions"), [day]).collect()
    held = withheld(impressions["request_id"], cascade.withheld_share)
    return audit_teacher(cascade, teacher, impressions, labels, held)
