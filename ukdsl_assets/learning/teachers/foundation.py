"""Foundation teachers: fitted on a long window of impressions, calibrated per task, applied to frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ukdsl_assets.declaration.architectures import FoundationArchitecture, MultiTaskArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.parts import Task
from ukdsl_assets.declaration.teachers import FoundationTeacher
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import EMBEDDING, EncodedRows, Encoder, grow
from ukdsl_assets.learning.features.matrix import held_out
from ukdsl_assets.learning.metrics.calibration import row_entropy
from ukdsl_assets.learning.metrics.least_positives import TO_CALIBRATE_A_NETWORK
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt
from ukdsl_assets.learning.training.rows import Reader

if TYPE_CHECKING:
    from ukdsl_assets.learning.networks.foundation import Foundation
    from ukdsl_assets.learning.networks.model import Model
    from ukdsl_assets.learning.training.shards import Shard
    from ukdsl_assets.learning.training.state import Keeper
    from ukdsl_assets.learning.training.trainer import Progress


@dataclass(frozen=True)
class FittedFoundation:
    """A foundation teacher's parameters and what is needed to apply them.

    tensors: parameter name -> float32 array; tasks: of the outputs, in order; lines: task -> (slope, shift) of its
    calibration; figures: of its training, empty when read back from a checkpoint.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    encoder: Encoder
    architecture: MultiTaskArchitecture
    tasks: tuple[str, ...]
    lines: Mapping[str, tuple[float, float]]
    figures: Mapping[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Survey:
    """What one pass over the shards found. base_rates: of each task, given what it is given; shards: requests of
    each."""

    encoder: Encoder
    rows: int
    base_rates: tuple[float, ...]
    shards: tuple[int, ...]


def fit_foundation(
    cascade: Cascade,
    teacher: FoundationTeacher,
    readers: Sequence[Reader],
    threads: int = 1,
    device: str = "cpu",
    progress: "Progress | None" = None,
    keeper: "Keeper | None" = None,
) -> FittedFoundation:
    """Train one network for all tasks of the cascade; a tenth of the requests is left out and calibrates each task.

    Args:
        readers: each reads a shard of the window's impressions that are not withheld, a request's rows together; one
            is in memory at a time.

    Raises:
        TrainingError: for a task without a positive or without a negative label; when the loss diverges.
    """
    import torch

    from ukdsl_assets.learning.networks.foundation import WholeSpace
    from ukdsl_assets.learning.networks.model import Model, device_of
    from ukdsl_assets.learning.training.shards import PlannedShard
    from ukdsl_assets.learning.training.trainer import train

    torch.set_num_threads(threads)
    survey = _survey(cascade, teacher, readers)
    on = device_of(device)
    network = _network(teacher.architecture, survey.encoder, survey.base_rates, teacher.seed)
    names = [task.name for task in cascade.tasks]
    whole = WholeSpace(network, [names.index(task.given) if task.given else None for task in cascade.tasks])
    width = teacher.architecture.embedding
    table = grow(np.empty((0, width), np.float32), survey.encoder.size, teacher.seed)
    model = Model(torch.from_numpy(table).to(on), whole.to(on))
    planned = [
        PlannedShard(partial(_shard, cascade, teacher, survey, read), -(-requests // teacher.requests_per_batch))
        for read, requests in zip(readers, survey.shards, strict=True)
    ]
    loss = train(model, planned, teacher.epochs, teacher.learning_rate, teacher.seed, "float32", progress, keeper)
    tensors = {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}
    tensors[EMBEDDING] = model.table.cpu().numpy()
    fitted = FittedFoundation(tensors, survey.encoder, teacher.architecture, tuple(names), {})
    lines, entropies = _calibrated(fitted, cascade.tasks, teacher, readers, threads)
    figures = {
        "rows": survey.rows,
        "parameters": sum(value.size for value in tensors.values()),
        "loss": loss,
        **{f"{task}_held_out_log_loss": entropy for task, entropy in entropies.items()},
        **{f"{task}_calibration_slope": slope for task, (slope, _) in lines.items()},
        **{f"{task}_calibration_shift": shift for task, (_, shift) in lines.items()},
    }
    return FittedFoundation(tensors, survey.encoder, teacher.architecture, tuple(names), lines, figures)


def predict_foundation(fitted: FittedFoundation, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Labels of every task: request_id, candidate_id and Float32 `<task>_prediction` in (0, 1), in the rows' order.

    Args:
        rows: a request's rows together, with every feature of the teacher.
    """
    predictions = _scorer(fitted, threads)(rows)
    labels = {
        label_column(task): pl.Series(apply_platt(predictions[:, index], *fitted.lines[task]))
        for index, task in enumerate(fitted.tasks)
    }
    return rows.select(KEYS).with_columns(**labels)


def tower_hidden_layer(fitted: FittedFoundation, rows: pl.DataFrame, task: str) -> NDArray[np.float32]:
    """What the output of a task's tower reads, float32 [rows, width], for rows as in `predict_foundation`."""
    from ukdsl_assets.learning.networks.model import hidden_layer

    model = load_foundation(fitted)
    tower = f"towers.{fitted.tasks.index(task)}"
    last: Any = model.network.get_submodule(tower)
    return hidden_layer(model, fitted.encoder.encode(rows), output=f"{tower}.{len(last) - 1}")


def as_checkpoint(fitted: FittedFoundation) -> dict[str, Any]:
    """Everything but the tensors, as JSON values."""
    return {
        "encoder": fitted.encoder.as_json(),
        "architecture": fitted.architecture.model_dump(mode="json"),
        "tasks": list(fitted.tasks),
        "lines": {task: list(line) for task, line in fitted.lines.items()},
    }


def from_checkpoint(content: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]]) -> FittedFoundation:
    """The inverse of `as_checkpoint` and `FittedFoundation.tensors`."""
    architecture = TypeAdapter[MultiTaskArchitecture](FoundationArchitecture).validate_python(content["architecture"])
    lines = {task: (float(slope), float(shift)) for task, (slope, shift) in content["lines"].items()}
    return FittedFoundation(
        tensors, Encoder.from_json(content["encoder"]), architecture, tuple(content["tasks"]), lines
    )


def _survey(cascade: Cascade, teacher: FoundationTeacher, readers: Sequence[Reader]) -> _Survey:
    encoder = Encoder(cascade.features_known_at(teacher.stage))
    rows, shards = 0, []
    counts = {task.name: (0.0, 0) for task in cascade.tasks}
    for read in readers:
        frame = _taught(teacher, read())
        _check_numbers(cascade, teacher, frame)
        if len(frame):
            encoder = encoder.extended(frame, teacher.minimum_id_rows)
        for task, (positive, labelled) in counts.items():
            label = frame[task].drop_nulls()
            counts[task] = (positive + float(label.sum()), labelled + len(label))
        rows += len(frame)
        shards.append(frame.select(n for n in ("day", "request_id") if n in frame.columns).n_unique())
    for task, (positive, labelled) in counts.items():
        if not 0 < positive < labelled:
            raise TrainingError(
                f"teacher {teacher.name}, task {task}: {positive:.0f} positives among {labelled} rows; expected both "
                "outcomes; widen window_days or check the event log"
            )
    rates = tuple(positive / labelled for positive, labelled in counts.values())
    return _Survey(encoder, rows, rates, tuple(shards))


def _taught(teacher: FoundationTeacher, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~held_out(rows["request_id"], teacher.seed))


def _shard(cascade: Cascade, teacher: FoundationTeacher, survey: _Survey, read: Reader) -> "Shard":
    """Whole-space labels: a task has happened only if all that it is given has, so no label there is a 0."""
    from ukdsl_assets.learning.training.shards import Shard, Targets

    frame = _taught(teacher, read())
    labels = frame.select(pl.col(task.name).fill_null(0).cast(pl.Float32) for task in cascade.tasks)
    target = np.array(labels.to_numpy(), order="C")
    weight = np.full(target.shape, 1 / survey.rows, np.float32)
    return Shard(survey.encoder.encode(frame), Targets(target, weight, np.ones(len(frame), np.float32)))


def _calibrated(
    fitted: FittedFoundation, tasks: Sequence[Task], teacher: FoundationTeacher, readers: Sequence[Reader], threads: int
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Each task's line, and its mean cross entropy before it, on the requests that were left out."""
    score, names = _scorer(fitted, threads), [task.name for task in tasks]
    parts, scores = [], []
    for read in readers:
        rows = read()
        rows = rows.filter(held_out(rows["request_id"], teacher.seed))
        parts.append(rows.select(names))
        scores.append(score(rows))
    held, predictions = pl.concat(parts), np.concatenate(scores)
    lines, entropies = {}, {}
    for index, task in enumerate(names):
        labelled = held[task].is_not_null().to_numpy()
        p, y = predictions[labelled, index], held[task].drop_nulls().to_numpy()
        rarer = min(y.sum(), len(y) - y.sum())
        lines[task] = fit_platt(p, y) if rarer >= TO_CALIBRATE_A_NETWORK else (1.0, 0.0)
        if len(y):
            entropies[task] = float(row_entropy(p.astype(np.float64), y.astype(np.float64)).mean())
    return lines, entropies


def _scorer(fitted: FittedFoundation, threads: int) -> Callable[[pl.DataFrame], NDArray[np.float32]]:
    """Probabilities [rows, tasks] before calibration, for many frames: the model is put together once."""
    import torch

    from ukdsl_assets.learning.networks.model import predict_network

    torch.set_num_threads(threads)
    model = load_foundation(fitted)

    def score(rows: pl.DataFrame) -> NDArray[np.float32]:
        encoded: EncodedRows = fitted.encoder.encode(rows)
        return predict_network(model, encoded, heads=len(fitted.tasks))

    return score


def load_foundation(fitted: FittedFoundation) -> "Model":
    """The network with the teacher's parameters, on the CPU."""
    import torch

    from ukdsl_assets.learning.networks.model import Model

    network = _network(fitted.architecture, fitted.encoder, [0.5] * len(fitted.tasks), seed=0)
    network.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in fitted.tensors.items() if n != EMBEDDING})
    return Model(torch.from_numpy(np.array(fitted.tensors[EMBEDDING])), network)


def _network(
    architecture: MultiTaskArchitecture, encoder: Encoder, base_rates: Sequence[float], seed: int
) -> "Foundation":
    import torch

    from ukdsl_assets.learning.networks.foundation import Foundation
    from ukdsl_assets.learning.networks.inputs import Side

    request, candidate = Side(*encoder.count("request")), Side(*encoder.count("candidate"))
    return Foundation(architecture, request, candidate, base_rates, torch.Generator().manual_seed(seed))


def _check_numbers(cascade: Cascade, teacher: FoundationTeacher, rows: pl.DataFrame) -> None:
    for feature in cascade.features_known_at(teacher.stage):
        if not feature.of_ids and not feature.may_be_missing and (nulls := rows[feature.name].null_count()):
            raise TrainingError(
                f"teacher {teacher.name}: column `{feature.name}` of impressions is null in {nulls} of {len(rows)} "
                "rows; expected a number; materialize the window's days again if the feature is new"
            )
