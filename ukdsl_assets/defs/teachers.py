"""Group 3: teachers, each with one table of labels that every student reads, audited before it is published."""

from collections.abc import Iterable
from datetime import date
from functools import partial
from hashlib import sha256
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_teachers import LoggedTeacher, TrainedTeacher
from ukdsl_assets.defs.exploration import audit_asset
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, result, told_plainly
from ukdsl_assets.defs.keys import TEACHERS, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.progress import training_progress
from ukdsl_assets.defs.publishing import Events, day_of, publish_staged
from ukdsl_assets.defs.tables import sql_asset
from ukdsl_assets.defs.teacher_labels import judged, reached, write_labels
from ukdsl_assets.foundation import FoundationTeacher
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.lake.staging import removed_on_error
from ukdsl_assets.lake.storage import to_json
from ukdsl_assets.lake.training_state import StateFile
from ukdsl_assets.learning import teacher_models
from ukdsl_assets.learning.audit import no_withheld_request, same_predictions
from ukdsl_assets.learning.code_version import code_version
from ukdsl_assets.learning.delayed_feedback import told_as_seen
from ukdsl_assets.learning.requests_read import RequestsRead, recorded
from ukdsl_assets.learning.teacher_audit import teacher_rules
from ukdsl_assets.learning.training_rows import Reader
from ukdsl_assets.references import tasks_taught
from ukdsl_assets.sql.withheld import withheld

GATES = {
    "reloads_to_the_same_predictions": "The checkpoint read back predicts the same, bit by bit.",
    "no_withheld_request_in_training": "None of the requests trained on is withheld.",
}
# Rows that a reloaded checkpoint is compared on.
COMPARED_ROWS = 4096
LOGGED_MODEL = "logged_teacher_labels"
MODELS = {"trained": "LightGBM", "foundation": "One network"}
KINDS = {"trained": {"lightgbm"}, "foundation": {"pytorch"}}


def teacher_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_labels] and teacher_audit of each teacher, and teacher_checkpoint of the trained ones.

    Labels of those of other cascades need more than their own: see `cross_domain`.
    """
    assets = []
    for teacher in cascade.teachers:
        assets.append(audit_asset(cascade, platform, teacher))
        if teacher.kind == "logged":
            assets.append(logged_labels(cascade, platform, teacher))
        elif teacher.kind != "cross_domain":
            assets += [trained_checkpoint(cascade, platform, teacher), trained_labels(cascade, platform, teacher)]
    return assets


def logged_labels(cascade: Cascade, platform: Platform, teacher: LoggedTeacher) -> dg.AssetsDefinition:
    """What a later stage predicted when it served, as labels: an SQL model with the teacher's audit on top."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")

    rules, audit = teacher_rules(cascade, teacher), partial(judged, cascade, platform, teacher)
    return sql_asset(cascade, platform, LOGGED_MODEL, table, TEACHERS, teacher=teacher, rules=rules, audit=audit)


def trained_checkpoint(
    cascade: Cascade, platform: Platform, teacher: TrainedTeacher | FoundationTeacher
) -> dg.AssetsDefinition:
    """Trees or a network, trained on the impressions of a rolling window that are not withheld."""
    table: Table = (cascade.name, teacher.name, "teacher_checkpoint")
    impressions: Table = (cascade.name, "impressions")
    as_seen = told_as_seen(cascade, tasks_taught(cascade, teacher))
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"{MODELS[teacher.kind]} for {', '.join(tasks_taught(cascade, teacher))} on {teacher.window_days} days of "
        f"impressions, with every feature known at {teacher.stage}."
        + "".join(f" Labels of {told}." for told in as_seen.values()),
        kinds=KINDS[teacher.kind],
        deps=[since(impressions, teacher.window_days)],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES))
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            progress = training_progress(context.log.info, teacher.name)
            saved, results, figures = train_teacher(cascade, platform, teacher, day, progress)
            yield from check_results(table, results)
            refuse_if_blocked({table: results})
            platform.checkpoints.publish(saved)
            yield result(table, saved.version, {"checkpoint": saved.version, **figures, **as_seen})

    return checkpoint


def train_teacher(
    cascade: Cascade, platform: Platform, teacher: TrainedTeacher | FoundationTeacher, day: date, progress: Any = None
) -> tuple[Checkpoint, list[GateResult], dict[str, Any]]:
    """Train on the window's rows that are not withheld, save, and judge what was saved; figures are for the UI."""
    impressions: Table = (cascade.name, "impressions")
    key, settings = (cascade.name, teacher.name), platform.settings
    days = platform.window(impressions, day, teacher.window_days)
    lineage = {str(each): platform.versions(each, impressions) for each in days}
    readers = impression_readers(cascade, platform, teacher, days)
    # An interrupted training of the same input goes on where it stood.
    declared = {"declaration": teacher.model_dump(mode="json"), "note": cascade.note}
    of_input = sha256(
        to_json(
            {
                **declared,
                "lineage": lineage,
                "features": [each.model_dump(mode="json") for each in cascade.features_known_at(teacher.stage)],
                "tasks": [each.model_dump(mode="json") for each in cascade.tasks],
                "code": code_version(),
            },
            teacher.name,
        )
    ).hexdigest()[:16]
    state = StateFile(settings.checkpoints, key, of_input)
    threads = settings.threads if teacher.kind == "trained" else settings.training_threads
    requests: dict[int, RequestsRead] = {}
    readers = recorded(readers, cascade.withheld_share, requests)
    fitted = teacher_models.fit(cascade, teacher, readers, threads, settings.device, progress, state)
    content = {**declared, "lineage": lineage, "figures": fitted.figures, **teacher_models.as_checkpoint(fitted)}
    content |= told_as_seen(cascade, tasks_taught(cascade, teacher))
    if isinstance(fitted, teacher_models.FittedTeacher):
        saved = platform.checkpoints.save(key, day, content, text=fitted.text)
    else:
        saved = platform.checkpoints.save(key, day, content, tensors=fitted.tensors)
    state.clear()
    results = judge_checkpoint(cascade, platform, saved, fitted, readers[0](), requests.values())
    return saved, results, {**fitted.figures, "days": len(days)}


def impression_readers(
    cascade: Cascade, platform: Platform, teacher: TrainedTeacher | FoundationTeacher, days: list[date]
) -> list[Reader]:
    """What reads the rows to train on: each shard over all days, without withheld requests."""
    table: Table = (cascade.name, "impressions")
    version = max(platform.partition(table, each).version for each in days)

    def reader(shard: pl.LazyFrame) -> Reader:
        def read() -> pl.DataFrame:
            rows = shard.collect()
            return rows.filter(~withheld(rows["request_id"], cascade.withheld_share))

        return read

    return [reader(reached(cascade, teacher, shard)) for shard in platform.lake.scan_shards(table, days, version)]


def judge_checkpoint(
    cascade: Cascade,
    platform: Platform,
    saved: Checkpoint,
    fitted: teacher_models.Fitted,
    rows: pl.DataFrame,
    requests: Iterable[RequestsRead],
) -> list[GateResult]:
    """The gates of a trained teacher that was saved and not yet published.

    Args:
        rows: some that it was trained on; requests: what the training read.
    """
    again = platform.checkpoints.load(saved.key, saved.day, saved.version)
    sample, threads = rows.head(COMPARED_ROWS), platform.settings.threads
    first, second = (
        teacher_models.predict(each, sample, threads).drop("request_id", "candidate_id").to_dict(as_series=False)
        for each in (fitted, teacher_models.from_checkpoint(again.metadata, again.tensors, again.text))
    )
    return [
        same_predictions(_arrays(first), _arrays(second)),
        no_withheld_request(requests),
    ]


def _arrays(columns: dict[str, list[float]]) -> dict[str, NDArray[np.float32]]:
    return {name: np.asarray(values, np.float32) for name, values in columns.items()}


def trained_labels(
    cascade: Cascade, platform: Platform, teacher: TrainedTeacher | FoundationTeacher
) -> dg.AssetsDefinition:
    """The teacher's predictions on every row, shown or considered, that its stage scored."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")
    sources: list[Table] = [(cascade.name, "impressions"), (cascade.name, "considerations")]
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"Predictions of {teacher.name} for all rows that {teacher.stage} scored, computed once a day.",
        kinds=KINDS[teacher.kind] | {"deltalake"},
        deps=[dg.AssetKey((*table[:2], "teacher_checkpoint")), *(dg.AssetKey(each) for each in sources)],
    )
    rules = teacher_rules(cascade, teacher)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, rules))
    def labels(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            found = platform.checkpoints.load(table[:2], day)
            inputs = {**platform.versions(day, *sources), "teacher_checkpoint": found.version}
            teaching = teacher_models.from_checkpoint(found.metadata, found.tensors, found.text)
            predict = partial(teacher_models.predict, teaching, threads=platform.settings.threads)
            files = write_labels(cascade, platform, teacher, table, sources, day, predict)
            with removed_on_error(files):
                results = judged(cascade, platform, teacher, day, files)
                staged = platform.lake.stage_files(table, day, files)
            yield from publish_staged(context, platform, staged, results, inputs, {})

    return labels
