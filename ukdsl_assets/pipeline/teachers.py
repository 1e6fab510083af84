"""A day of a trained teacher: trained, saved and judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial, reduce
from operator import add
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
from ukdsl_assets.learning.evaluation.mapped import summed
from ukdsl_assets.learning.teachers import trained
from ukdsl_assets.learning.teachers.request_sample import RequestSample, rows_by_place
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
# Key of a checkpoint whose training drew rows: which.
SAMPLED = "sampled_rows"
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
    # A bound that nothing reaches changes nothing: the checkpoint is what it was without one.
    declared = {"declaration": teacher.model_dump(mode="json", exclude={"most_rows"}), "note": cascade.note}
    sample = request_sample(day, teacher, days)
    if sample is not None:
        declared[SAMPLED] = sample.facts
    if cascade.corrected_on_exploration(teacher):
        declared[KEPT_FOR_CORRECTION] = "explored rows of half of the requests, by hash"
    lineage = {str(each): day.on(each).versions(impressions) for each in days}
    # An interrupted training of the same input goes on where it stood.
    features = [each.model_dump(mode="json") for each in cascade.features_known_at(teacher.stage)]
    tasks = [each.model_dump(mode="json") for each in cascade.tasks]
    read = {**declared, "lineage": lineage, "features": features, "tasks": tasks}
    keeper = StateFile(settings.checkpoints, key, training_fingerprint(read, teacher.name))
    requests: dict[int, RequestsRead] = {}
    readers = recorded(impression_readers(day, teacher, days, sample), cascade.withheld_share, requests)
    threads = settings.threads if teacher.kind == "trained" else settings.training_threads
    fitted = trained.fit(cascade, teacher, readers, threads, settings.device, progress, keeper)
    content = {**declared, "lineage": lineage, "figures": fitted.figures, **trained.as_checkpoint(fitted)}
    content |= labels_as_seen_messages(cascade, cascade.tasks_taught(teacher))
    if isinstance(fitted, trained.FittedTeacher):
        saved = day.checkpoints.save(key, day.date, content, text=fitted.text)
    else:
        saved = day.checkpoints.save(key, day.date, content, tensors=fitted.tensors)
    keeper.clear()
    results = judge_checkpoint(day, saved, fitted, _some_rows(readers), requests.values())
    told = {} if sample is None else {"trained on": sample.told}
    return TrainedTeacherOfDay(saved, results, {**fitted.figures, "days": len(days), **told})


def checkpoint_rules() -> dict[str, str]:
    """Gates of `judge_checkpoint`, in their order, and what they demand."""
    return {name: RULES[name] for name in ("reloads_to_the_same_predictions", "no_withheld_request_in_training")}


def impression_readers(
    day: Day, teacher: TrainedHere, days: list[date], sample: RequestSample | None = None
) -> list[Reader]:
    """What reads the rows to train on: each shard over all days, without withheld requests.

    Where explored rows correct the teacher, those of half of the requests are left out too.

    Args:
        sample: of `request_sample`; its requests alone are kept, shard by shard.
    """
    return [partial(_rows_to_train_on, read, sample) for read in _unread(day, teacher, days)]


def request_sample(day: Day, teacher: TrainedHere, days: list[date]) -> RequestSample | None:
    """The requests that trees are trained on, where the window has more than `most_rows`; else None."""
    if teacher.kind != "trained" or teacher.most_rows is None:
        return None
    if sum(day.lake.row_counts(day.table("impressions"), days).values()) <= teacher.most_rows:
        return None
    name = f"{'/'.join(day.table(teacher.name, 'teacher_checkpoint'))}, requests of {day.date}"
    mapped = partial(day.workspace.engine.map, name=name)
    counts = reduce(add, summed(partial(_counted, teacher.seed), add, _unread(day, teacher, days), mapped))
    return RequestSample.of(counts, teacher.most_rows, teacher.seed)


@dataclass(frozen=True)
class _Unread:
    """A shard of impressions, and which of its rows may train."""

    read: Callable[[], pl.LazyFrame]
    scored: pl.Expr
    withheld_share: float
    corrected: bool

    def rows(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All that may, with these columns; None for all."""
        shard = self.read().filter(self.scored)
        rows = (shard if columns is None else shard.select(columns)).collect()
        rows = rows.filter(~withheld(rows["request_id"], self.withheld_share))
        if not self.corrected:
            return rows
        # Their other rows stay: where each request explores in one slot, half of all would be lost without them.
        return rows.filter(~(rows["explored"] & for_correction(rows["request_id"])))


def _unread(day: Day, teacher: TrainedHere, days: list[date]) -> list[_Unread]:
    table, corrected = day.table("impressions"), day.cascade.corrected_on_exploration(teacher)
    version = max(day.on(each).partition(table).version for each in days)
    scored = reached(day.cascade, teacher.stage)
    shards = day.lake.shard_readers(table, days, version)
    return [_Unread(read, scored, day.cascade.withheld_share, corrected) for read in shards]


def _rows_to_train_on(shard: _Unread, sample: RequestSample | None) -> pl.DataFrame:
    rows = shard.rows()
    return rows if sample is None else rows.filter(sample.drawn(rows["request_id"]))


def _counted(seed: int, shard: _Unread) -> NDArray[np.int64]:
    columns = ["request_id", "explored"] if shard.corrected else ["request_id"]
    return rows_by_place(shard.rows(columns)["request_id"], seed)


def _some_rows(readers: Sequence[Reader]) -> pl.DataFrame:
    """The rows of the first shard that has any."""
    for read in readers:
        rows = read()
        if len(rows):
            break
    return rows


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
