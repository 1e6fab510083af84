"""The training loop: shuffled batches of whole requests, reproducible for a seed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.embedding_rows import EmbeddingRows
from ukdsl_assets.learning.encoding import EncodedRows
from ukdsl_assets.learning.losses import soft_label_cross_entropy
from ukdsl_assets.learning.networks.inputs import Inputs

Progress = Callable[[int, int, float], None]
Precision = Literal["float32", "bfloat16"]
SCORING_ROWS = 16_384


@dataclass
class Model:
    """An embedding table, float32 [embedding rows, width], and the network that reads it, on one device."""

    table: Tensor
    network: nn.Module


@dataclass(frozen=True)
class Targets:
    """What each row teaches.

    target: float32 [rows] in [0, 1]; weight: float32 [rows] >= 0, already times its domain's loss weight and over
    the domain's total, so that the loss is a sum; head: int64 [rows], the head that the row trains;
    logit_scale: float32 [rows], factor of the logit before the loss (1 / temperature).
    """

    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    head: NDArray[np.int64]
    logit_scale: NDArray[np.float32]


def train(
    model: Model,
    rows: EncodedRows,
    targets: Targets,
    epochs: int,
    batches: int,
    learning_rate: float,
    seed: int,
    precision: Precision = "float32",
    progress: Progress | None = None,
) -> float:
    """Train in place with Adam, lazily for embeddings; requests are shuffled every epoch, never split over batches.

    Args:
        batches: of an epoch; requests are spread evenly over them, so there must be at least as many.
        learning_rate: of the first step; it falls linearly towards 0 at the last. At a constant rate the last few
            batches sway the calibration: its spread from day to day is three times as large.
        precision: of the matrix products; parameters, sums and the loss stay float32.
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
    device = model.table.device
    embedding = EmbeddingRows(model.table)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=learning_rate, fused=True)
    rng = np.random.default_rng(seed)
    model.network.train()
    total = 0.0
    for epoch in range(epochs):
        total = 0.0
        shuffled, labels = _shuffled(rows, targets, rng.permutation(requests), device)
        for batch in range(batches):
            ids, numbers, request_of_row, part = _slice(shuffled, bounds[batch], bounds[batch + 1])
            target, weight, head, logit_scale = (column[part] for column in labels)
            looked_up = [embedding.look_up(each) for each in ids]
            with _autocast(precision, device):
                logits = model.network(Inputs(looked_up[0], numbers[0], looked_up[1], numbers[1], request_of_row))
            own = logits.float().gather(1, head[:, None])[:, 0] * logit_scale
            # One batch is a share of 1 / batches of the data: the step's size must not depend on their number.
            loss = soft_label_cross_entropy(own, target, weight * batches)
            done = epoch * batches + batch
            rate = learning_rate * (1 - done / (epochs * batches))
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            _step(embedding, ids, looked_up, rate)
            total += loss.item() / batches
            if progress is not None:
                progress(done + 1, epochs * batches, total * batches / (batch + 1))
        if not np.isfinite(total):
            raise TrainingError(
                f"loss is {total} after epoch {epoch + 1}; expected a finite number; lower learning_rate"
            )
    model.network.eval()
    return total


@torch.inference_mode()
def predict(model: Model, rows: EncodedRows, heads: int) -> NDArray[np.float32]:
    """Probabilities [rows, heads] in the order of the rows; empty input gives shape [0, heads]."""
    model.network.eval()
    tensors = _tensors(rows, model.table.device)
    parts = []
    first, requests = 0, len(rows.offsets) - 1
    while first < requests:
        # Whole requests, up to about as many rows as stay in the processor's cache.
        within = int(np.searchsorted(rows.offsets, rows.offsets[first] + SCORING_ROWS, side="right")) - 1
        last = max(within, first + 1)
        ids, numbers, request_of_row, _ = _slice(tensors, first, last)
        request, candidate = (model.table.index_select(0, i.reshape(-1)).view(*i.shape, -1) for i in ids)
        parts.append(torch.sigmoid(model.network(Inputs(request, numbers[0], candidate, numbers[1], request_of_row))))
        first = last
    return torch.cat(parts).cpu().numpy() if parts else np.empty((0, heads), np.float32)


def device_of(name: str) -> torch.device:
    """The device that a setting names; `auto` is a GPU where PyTorch finds one.

    Raises:
        TrainingError: for a GPU that PyTorch does not find.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise TrainingError("device: expected a GPU for `cuda`, PyTorch finds none; set UKDSL_DEVICE=auto or cpu")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def _step(embedding: EmbeddingRows, ids: list[Tensor], looked_up: list[Tensor], rate: float) -> None:
    """Both sides in one step: request features may share no row with candidate features, but steps are counted."""
    width = embedding.table.shape[1]
    gradients = [each.grad.view(-1, width) for each in looked_up if each.grad is not None]
    named = [i.reshape(-1) for i, each in zip(ids, looked_up, strict=True) if each.grad is not None]
    if len(named) > 1 and named[0].numel():
        embedding.step(torch.cat(named), torch.cat(gradients), rate)
    elif named:
        embedding.step(named[-1], gradients[-1], rate)


def _autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@dataclass(frozen=True)
class _Tensors:
    request_ids: Tensor
    request_numbers: Tensor
    ids: Tensor
    numbers: Tensor
    offsets: NDArray[np.int64]
    request_of_row: Tensor


def _tensors(rows: EncodedRows, device: torch.device) -> _Tensors:
    lengths = np.diff(rows.offsets)
    return _Tensors(
        request_ids=torch.from_numpy(rows.request.ids).to(device),
        request_numbers=torch.from_numpy(rows.request.numbers).to(device),
        ids=torch.from_numpy(rows.candidate.ids).to(device),
        numbers=torch.from_numpy(rows.candidate.numbers).to(device),
        offsets=rows.offsets,
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device),
    )


def _shuffled(
    rows: EncodedRows, targets: Targets, order: NDArray[np.int64], device: torch.device
) -> tuple[_Tensors, list[Tensor]]:
    """All rows laid out in the order of the shuffled requests, so that a batch is a slice."""
    lengths = np.diff(rows.offsets)[order]
    offsets = np.append(0, lengths.cumsum())
    # Position of each row: its request's old start plus its place within the request.
    position = np.repeat(rows.offsets[order] - offsets[:-1], lengths) + np.arange(offsets[-1])
    at, by_request = torch.from_numpy(position), torch.from_numpy(order)
    tensors = _Tensors(
        request_ids=torch.from_numpy(rows.request.ids).index_select(0, by_request).to(device),
        request_numbers=torch.from_numpy(rows.request.numbers).index_select(0, by_request).to(device),
        ids=torch.from_numpy(rows.candidate.ids).index_select(0, at).to(device),
        numbers=torch.from_numpy(rows.candidate.numbers).index_select(0, at).to(device),
        offsets=offsets,
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device),
    )
    labels = (targets.target, targets.weight, targets.head, targets.logit_scale)
    return tensors, [torch.from_numpy(column).index_select(0, at).to(device) for column in labels]


def _slice(tensors: _Tensors, first: int, last: int) -> tuple[list[Tensor], list[Tensor], Tensor, slice]:
    """Ids and numbers of request and candidate for the requests from `first` up to `last`, and the rows they take."""
    part = slice(int(tensors.offsets[first]), int(tensors.offsets[last]))
    ids = [tensors.request_ids[first:last], tensors.ids[part]]
    numbers = [tensors.request_numbers[first:last], tensors.numbers[part]]
    return ids, numbers, tensors.request_of_row[part] - first, part
