"""Group 3: teachers, each with one table of labels that every student reads, audited before it is published."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade, LoggedTeacher, Teacher, TrainedTeacher
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, result, told_plainly
from ukdsl_assets.defs.keys import TEACHERS, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of, publish_frame
from ukdsl_assets.defs.tables import sql_asset
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.learning.audit import no_withheld_request, same_predictions
from ukdsl_assets.learning.teacher_audit import audit_teacher, tasks_taught, teacher_rules
from ukdsl_assets.learning.teachers import FittedTeacher, as_checkpoint, fit_teacher, from_checkpoint, predict_teacher
from ukdsl_assets.sql.withheld import withheld

GATES = {
    "reloads_to_the_same_predictions": "The checkpoint read back predicts the same, bit by bit.",
    "no_withheld_request_in_training": "None of the requests trained on is withheld.",
}
# Rows that a reloaded checkpoint is compared on.
COMPARED_ROWS = 4096
LOGGED_MODEL = "logged_teacher_labels"


def teacher_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_labels] of each teacher, and teacher_checkpoint of the trained ones.

    Those of other cascades need more than their own: see `cross_domain`.
    """
    assets = []
    for teacher in cascade.teachers:
        if teacher.kind == "logged":
            assets.append(logged_labels(cascade, platform, teacher))
        elif teacher.kind == "trained":
            assets += [trained_checkpoint(cascade, platform, teacher), trained_labels(cascade, platform, teacher)]
    return assets


def logged_labels(cascade: Cascade, platform: Platform, teacher: LoggedTeacher) -> dg.AssetsDefinition:
    """What a later stage predicted when it served, as labels: an SQL model with the teacher's audit on top."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")

    def audit(day: date, files: Sequence[str]) -> list[GateResult]:
        return judged(cascade, platform, teacher, day, pl.read_parquet(list(files)))

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

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES))
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            days = platform.window(impressions, day, teacher.window_days)
            lineage = {str(each): platform.versions(each, impressions) for each in days}
            rows = reached(cascade, teacher, platform.lake.scan(impressions, days)).collect()
            kept = rows.filter(~withheld(rows["request_id"], cascade.withheld_share))
            fitted = fit_teacher(cascade, teacher, kept, platform.settings.threads)
            declared = {"declaration": teacher.model_dump(mode="json"), "note": cascade.note}
            content = {**declared, "lineage": lineage, "figures": fitted.figures, **as_checkpoint(fitted)}
            saved = platform.checkpoints.save(table[:2], day, content, text=fitted.text)
            results = judge_checkpoint(cascade, platform, saved, fitted, kept)
            yield from check_results(table, results)
            refuse_if_blocked({table: results})
            platform.checkpoints.publish(saved)
            yield result(table, saved.version, {"checkpoint": saved.version, **fitted.figures, "days": len(days)})

    return checkpoint


def judge_checkpoint(
    cascade: Cascade, platform: Platform, saved: Checkpoint, fitted: FittedTeacher, rows: pl.DataFrame
) -> list[GateResult]:
    """The gates of a trained teacher that was saved and not yet published; `rows` are those it was trained on."""
    again = platform.checkpoints.load(saved.key, saved.day, saved.version)
    sample, threads = rows.head(COMPARED_ROWS), platform.settings.threads
    first, second = (
        predict_teacher(each, sample, threads).drop("request_id", "candidate_id").to_dict(as_series=False)
        for each in (fitted, from_checkpoint(again.metadata, again.text or ""))
    )
    requests = rows["request_id"].unique()
    return [
        same_predictions(_arrays(first), _arrays(second)),
        no_withheld_request(requests, withheld(requests, cascade.withheld_share)),
    ]


def _arrays(columns: dict[str, list[float]]) -> dict[str, NDArray[np.float32]]:
    return {name: np.asarray(values, np.float32) for name, values in columns.items()}


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
            inputs = {**platform.versions(day, *sources), "teacher_checkpoint": found.version}
            rows = rows_scored_by(cascade, platform, teacher, sources, day)
            teaching = from_checkpoint(found.metadata, found.text or "")
            predictions = predict_teacher(teaching, rows, platform.settings.threads)
            results = judged(cascade, platform, teacher, day, predictions)
            yield from publish_frame(context, platform, table, predictions, results, inputs)

    return labels


def rows_scored_by(
    cascade: Cascade, platform: Platform, teacher: Teacher, tables: Sequence[Table], day: date
) -> pl.DataFrame:
    """Keys and features of the day's rows that reached the teacher's stage, sorted by key."""
    columns = ["request_id", "candidate_id", *(feature.name for feature in cascade.features_known_at(teacher.stage))]
    parts = [reached(cascade, teacher, platform.lake.scan(table, [day])).select(columns) for table in tables]
    return pl.concat(parts).sort("request_id", "candidate_id").collect()


def reached(cascade: Cascade, teacher: Teacher, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that the teacher's stage scored, which alone have all its features."""
    stages = [stage.name for stage in cascade.stages][cascade.depth(teacher.stage) :]
    return rows.filter(pl.col("deepest_stage").is_in(stages))


def judged(cascade: Cascade, platform: Platform, teacher: Teacher, day: date, labels: pl.DataFrame) -> list[GateResult]:
    """The teacher's gates on the day's impressions."""
    tasks = [task.name for task in cascade.tasks]
    columns = ["request_id", "candidate_id", "deepest_stage", "explored", *tasks]
    impressions = platform.lake.scan((cascade.name, "impressions"), [day], columns=columns).collect()
    held = withheld(impressions["request_id"], cascade.withheld_share)
    return audit_teacher(cascade, teacher, impressions, labels, held)
