"""The training loop: shuffled batches of whole requests, reproducible for a seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.encoding import EncodedRows
from ukdsl_assets.learning.losses import soft_label_cross_entropy

if TYPE_CHECKING:
    from ukdsl_assets.learning.two_tower import TwoTower

Progress = Callable[[int, int, float], None]
SCORING_REQUESTS = 1024


@dataclass(frozen=True)
class Targets:
    """What each row teaches.

    target: float32 [rows] in [0, 1]; weight: float32 [rows] >= 0, already times its domain's loss weight and over
    the domain's total, so that the loss is a sum; head: int64 [rows], the head that the row trains.
    """

    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    head: NDArray[np.int64]


def train(
    model: "TwoTower",
    rows: EncodedRows,
    targets: Targets,
    epochs: int,
    batches: int,
    learning_rate: float,
    seed: int,
    progress: Progress | None = None,
) -> float:
    """Train in place with Adam; requests are shuffled every epoch and never split over batches.

    Args:
        batches: of an epoch; requests are spread evenly over them, so there must be at least as many.
        learning_rate: of the first step; it falls linearly towards 0 at the last. At a constant rate the last few
            batches sway the calibration: its spread from day to day is three times as large.
        progress: called after each batch with (batches done, batches in all, mean loss of the epoch so far).

    Returns:
        Mean loss of the last epoch; each batch's loss is scaled so that this is the loss over all rows.

    Raises:
        TrainingError: without requests, or when the loss is not finite.
    """
    requests = len(rows.offsets) - 1
    if requests == 0:
        raise TrainingError("no requests to train on; expected at least one that is not withheld")
    bounds = np.linspace(0, requests, batches + 1).round().astype(int)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    rng = np.random.default_rng(seed)
    model.train()
    total = 0.0
    for epoch in range(epochs):
        total = 0.0
        shuffled, labels = _shuffled(rows, targets, rng.permutation(requests))
        for batch in range(batches):
            inputs, part = _slice(shuffled, bounds[batch], bounds[batch + 1])
            target, weight, head = (column[part] for column in labels)
            logits = model(*inputs).gather(1, head[:, None])[:, 0]
            # One batch is a share of 1 / batches of the data: the step's size must not depend on their number.
            loss = soft_label_cross_entropy(logits, target, weight * batches)
            done = epoch * batches + batch
            optimizer.param_groups[0]["lr"] = learning_rate * (1 - done / (epochs * batches))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item() / batches
            if progress is not None:
                progress(done + 1, epochs * batches, total * batches / (batch + 1))
        if not np.isfinite(total):
            raise TrainingError(
                f"loss is {total} after epoch {epoch + 1}; expected a finite number; lower learning_rate"
            )
    model.eval()
    return total


@torch.inference_mode()
def predict(model: "TwoTower", rows: EncodedRows) -> NDArray[np.float32]:
    """Probabilities [rows, heads] in the order of the rows; empty input gives shape [0, heads]."""
    model.eval()
    requests = len(rows.offsets) - 1
    tensors = _tensors(rows)
    parts = [
        torch.sigmoid(model(*_slice(tensors, first, min(first + SCORING_REQUESTS, requests))[0]))
        for first in range(0, requests, SCORING_REQUESTS)
    ]
    return torch.cat(parts).numpy() if parts else np.empty((0, len(model.bias)), np.float32)


@dataclass(frozen=True)
class _Tensors:
    request_ids: Tensor
    request_numbers: Tensor
    ids: Tensor
    numbers: Tensor
    offsets: NDArray[np.int64]
    request_of_row: Tensor


def _tensors(rows: EncodedRows) -> _Tensors:
    lengths = np.diff(rows.offsets)
    return _Tensors(
        request_ids=torch.from_numpy(rows.request.ids),
        request_numbers=torch.from_numpy(rows.request.numbers),
        ids=torch.from_numpy(rows.candidate.ids),
        numbers=torch.from_numpy(rows.candidate.numbers),
        offsets=rows.offsets,
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)),
    )


def _shuffled(
    rows: EncodedRows, targets: Targets, order: NDArray[np.int64]
) -> tuple[_Tensors, tuple[Tensor, Tensor, Tensor]]:
    """All rows laid out in the order of the shuffled requests, so that a batch is a slice."""
    lengths = np.diff(rows.offsets)[order]
    offsets = np.append(0, lengths.cumsum())
    # Position of each row: its request's old start plus its place within the request.
    position = np.repeat(rows.offsets[order] - offsets[:-1], lengths) + np.arange(offsets[-1])
    at, by_request = torch.from_numpy(position), torch.from_numpy(order)
    tensors = _Tensors(
        request_ids=torch.from_numpy(rows.request.ids).index_select(0, by_request),
        request_numbers=torch.from_numpy(rows.request.numbers).index_select(0, by_request),
        ids=torch.from_numpy(rows.candidate.ids).index_select(0, at),
        numbers=torch.from_numpy(rows.candidate.numbers).index_select(0, at),
        offsets=offsets,
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)),
    )
    labels = (targets.target, targets.weight, targets.head)
    target, weight, head = (torch.from_numpy(column).index_select(0, at) for column in labels)
    return tensors, (target, weight, head)


def _slice(tensors: _Tensors, first: int, last: int) -> tuple[tuple[Tensor, ...], slice]:
    """Inputs of the model for the requests from `first` up to `last`, and the rows they take."""
    part = slice(int(tensors.offsets[first]), int(tensors.offsets[last]))
    inputs = (
        tensors.request_ids[first:last],
        tensors.request_numbers[first:last],
        tensors.ids[part],
        tensors.numbers[part],
        tensors.request_of_row[part] - first,
    )
    return inputs, part
