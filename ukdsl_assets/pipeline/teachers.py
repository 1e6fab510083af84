"""A day of a trained teacher: trained, saved and judged."""

from collections.abc import Iterable
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher, TrainedTeacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.lake.storage import to_json
from ukdsl_assets.learning.code_version import code_version
from ukdsl_assets.learning.teachers import trained as teacher_models
from ukdsl_assets.learning.training.delayed_feedback import told_as_seen
from ukdsl_assets.learning.training.gates import no_withheld_request, same_predictions
from ukdsl_assets.learning.training.requests_read import RequestsRead, recorded
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.pipeline.teacher_labels import reached
from ukdsl_assets.pipeline.workspace import Table, Workspace

# Rows that a reloaded checkpoint is compared on.
COMPARED_ROWS = 4096


def train_teacher(
    cascade: Cascade, workspace: Workspace, teacher: TrainedTeacher | FoundationTeacher, day: date, progress: Any = None
) -> tuple[Checkpoint, list[GateResult], dict[str, Any]]:
    """Train on the window's rows that are not withheld, save, and judge what was saved; figures are for the UI."""
    impressions: Table = (cascade.name, "impressions")
    key, settings = (cascade.name, teacher.name), workspace.settings
    days = workspace.window(impressions, day, teacher.window_days)
    lineage = {str(each): workspace.versions(each, impressions) for each in days}
    readers = impression_readers(cascade, workspace, teacher, days)
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
    content |= told_as_seen(cascade, cascade.tasks_taught(teacher))
    if isinstance(fitted, teacher_models.FittedTeacher):
        saved = workspace.checkpoints.save(key, day, content, text=fitted.text)
    else:
        saved = workspace.checkpoints.save(key, day, content, tensors=fitted.tensors)
    state.clear()
    results = judge_checkpoint(cascade, workspace, saved, fitted, readers[0](), requests.values())
    return saved, results, {**fitted.figures, "days": len(days)}


def impression_readers(
    cascade: Cascade, workspace: Workspace, teacher: TrainedTeacher | FoundationTeacher, days: list[date]
) -> list[Reader]:
    """What reads the rows to train on: each shard over all days, without withheld requests."""
    table: Table = (cascade.name, "impressions")
    version = max(workspace.partition(table, each).version for each in days)

    def reader(shard: pl.LazyFrame) -> Reader:
        def read() -> pl.DataFrame:
            rows = shard.collect()
            return rows.filter(~withheld(rows["request_id"], cascade.withheld_share))

        return read

    return [reader(reached(cascade, teacher, shard)) for shard in workspace.lake.scan_shards(table, days, version)]


def judge_checkpoint(
    cascade: Cascade,
    workspace: Workspace,
    saved: Checkpoint,
    fitted: teacher_models.Fitted,
    rows: pl.DataFrame,
    requests: Iterable[RequestsRead],
) -> list[GateResult]:
    """The gates of a trained teacher that was saved and not yet published.

    Args:
        rows: some that it was trained on; requests: what the training read.
    """
    again = workspace.checkpoints.load(saved.key, saved.day, saved.version)
    sample, threads = rows.head(COMPARED_ROWS), workspace.settings.threads
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
