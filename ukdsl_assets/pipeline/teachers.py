"""A day of a trained teacher: trained, saved and judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.teachers import FoundationTeacher, TrainedTeacher
from ukdsl_assets.frames.splits import for_correction, withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.interrupted import StateFile
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.teachers import trained
from ukdsl_assets.learning.training.delayed_feedback import labels_as_seen_messages
from ukdsl_assets.learning.training.gates import COMPARED_ROWS, RULES, no_withheld_request, same_predictions
from ukdsl_assets.learning.training.requests_read import RequestsRead, recorded
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.fingerprint import training_fingerprint

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.trainer import Progress

# Key of a checkpoint whose training left requests out that explored, so that they may correct it: what was left out.
KEPT_FOR_CORRECTION = "kept_for_correction"
# The declarations of teachers that are trained here.
TrainedHere = TrainedTeacher | FoundationTeacher


@dataclass(frozen=True)
class TrainedTeacherOfDay:
    """A saved, not yet published checkpoint, the verdicts on it, and figures for the UI."""

    checkpoint: Checkpoint
    results: list[GateResult]
    figures: dict[str, Any]


def train_teacher(day: Day, teacher: TrainedHere, progress: "Progress | None" = None) -> TrainedTeacherOfDay:
    """Train on the window's rows that are not withheld, save, and judge what was saved."""
    cascade, settings, impressions = day.cascade, day.settings, day.table("impressions")
    key, days = day.table(teacher.name), day.window(impressions, teacher.window_days)
    declared = {"declaration": teacher.model_dump(mode="json"), "note": cascade.note}
    if cascade.corrected_on_exploration(teacher):
        declared[KEPT_FOR_CORRECTION] = "explored rows of half of the requests, by hash"
    lineage = {str(each): day.on(each).versions(impressions) for each in days}
    # An interrupted training of the same input goes on where it stood.
    features = [each.model_dump(mode="json") for each in cascade.features_known_at(teacher.stage)]
    tasks = [each.model_dump(mode="json") for each in cascade.tasks]
    read = {**declared, "lineage": lineage, "features": features, "tasks": tasks}
    keeper = StateFile(settings.checkpoints, key, training_fingerprint(read, teacher.name))
    requests: dict[int, RequestsRead] = {}
    readers = recorded(impression_readers(day, teacher, days), cascade.withheld_share, requests)
    threads = settings.threads if teacher.kind == "trained" else settings.training_threads
    fitted = trained.fit(cascade, teacher, readers, threads, settings.device, progress, keeper)
    content = {**declared, "lineage": lineage, "figures": fitted.figures, **trained.as_checkpoint(fitted)}
    content |= labels_as_seen_messages(cascade, cascade.tasks_taught(teacher))
    if isinstance(fitted, trained.FittedTeacher):
        saved = day.checkpoints.save(key, day.date, content, text=fitted.text)
    else:
        saved = day.checkpoints.save(key, day.date, content, tensors=fitted.tensors)
    keeper.clear()
    results = judge_checkpoint(day, saved, fitted, readers[0](), requests.values())
    return TrainedTeacherOfDay(saved, results, {**fitted.figures, "days": len(days)})


def checkpoint_rules() -> dict[str, str]:
    """Gates of `judge_checkpoint`, in their order, and what they demand."""
    return {name: RULES[name] for name in ("reloads_to_the_same_predictions", "no_withheld_request_in_training")}


def impression_readers(day: Day, teacher: TrainedHere, days: list[date]) -> list[Reader]:
    """What reads the rows to train on: each shard over all days, without withheld requests.

    Where explored rows correct the teacher, those of half of the requests are left out too.
    """
    table = day.table("impressions")
    version = max(day.on(each).partition(table).version for each in days)

    def reader(shard: pl.LazyFrame) -> Reader:
        def read() -> pl.DataFrame:
            rows = shard.collect()
            rows = rows.filter(~withheld(rows["request_id"], day.cascade.withheld_share))
            if not corrected:
                return rows
            # Their other rows stay: where each request explores in one slot, half of all would be lost without them.
            return rows.filter(~(rows["explored"] & for_correction(rows["request_id"])))

        return read

    scored = reached(day.cascade, teacher.stage)
    corrected = day.cascade.corrected_on_exploration(teacher)
    return [reader(shard.filter(scored)) for shard in day.lake.scan_shards(table, days, version)]


def judge_checkpoint(
    day: Day, saved: Checkpoint, fitted: trained.Fitted, rows: pl.DataFrame, requests: Iterable[RequestsRead]
) -> list[GateResult]:
    """The gates of a trained teacher that was saved and not yet published.

    Args:
        rows: some that it was trained on; requests: what the training read.
    """
    reloaded = loaded_teacher(day.checkpoints.load(saved.key, saved.day, saved.version))
    sample, threads = rows.head(COMPARED_ROWS), day.settings.threads
    first, second = (
        trained.predict(each, sample, threads).drop(KEYS).to_dict(as_series=False) for each in (fitted, reloaded)
    )
    return [same_predictions(_arrays(first), _arrays(second)), no_withheld_request(requests)]


def loaded_teacher(checkpoint: Checkpoint) -> trained.Fitted:
    """A teacher that was trained here, from its stored checkpoint."""
    return trained.from_checkpoint(checkpoint.metadata, checkpoint.tensors, checkpoint.text)


def _arrays(columns: dict[str, list[float]]) -> dict[str, NDArray[np.float32]]:
    return {name: np.asarray(values, np.float32) for name, values in columns.items()}
