"""The training loop: shards read one at a time, shuffled batches of whole requests, reproducible for a seed."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows, look_up
from ukdsl_assets.learning.networks.inputs import Inputs
from ukdsl_assets.learning.networks.model import Model, RowsOnDevice, slice_of
from ukdsl_assets.learning.networks.pooling import pooled
from ukdsl_assets.learning.training.losses import listwise_cross_entropy, soft_label_cross_entropy, squared_error
from ukdsl_assets.learning.training.shards import PlannedShard, Shard
from ukdsl_assets.learning.training.state import Keeper, Position, restore, state_of

Progress = Callable[[int, int, int, float], None]
Precision = Literal["float32", "bfloat16"]


def train(
    model: Model,
    shards: Sequence[PlannedShard],
    epochs: int,
    learning_rate: float,
    seed: int,
    precision: Precision = "float32",
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> float:
    """Train in place with Adam, lazily for embeddings, on one shard in memory at a time.

    Shards, and the requests of each, are shuffled anew every epoch; requests are never split over batches.

    Args:
        learning_rate: of the first step; it falls linearly towards 0 at the last. At a constant rate the last few
            batches sway the calibration: its spread from day to day is three times as large.
        precision: of the matrix products; parameters, sums and the loss stay float32.
        progress: called after each batch with (batches done, batches in all, rows done, loss of the epoch so far).
        keeper: where the state is kept and, if the training was interrupted, found; it goes on with the next batch
            and ends with the same bytes as an uninterrupted one.

    Returns:
        Mean loss of the last epoch; each batch's loss is scaled so that this is the loss over all rows.

    Raises:
        TrainingError: without requests, or when the loss is not finite.
    """
    batches = sum(shard.batches for shard in shards)
    if batches == 0:
        raise TrainingError("no requests to train on; expected at least one that is not withheld")
    embedding = EmbeddingRows(model.table)
    optimizer = torch.optim.Adam([as_one(model.network)], lr=learning_rate, fused=True)
    kept = keeper.kept() if keeper else None
    at = Position()
    if kept is not None:
        position, tensors = kept
        at = Position(**position)  # type: ignore[arg-type]
        restore(tensors, model.network, optimizer, embedding)
    model.network.train()
    total = at.loss
    for epoch in range(at.epoch, epochs):
        # Generators of their own for each epoch and shard, so that a resumed training draws the same.
        order = np.random.default_rng((seed, epoch)).permutation(len(shards))
        for place in range(at.place, len(shards)):
            planned = shards[order[place]]
            if planned.batches == 0:
                continue
            laid_out = _laid_out(planned.read(), (seed, epoch, int(order[place])), model.table.device)
            bounds = np.linspace(0, len(laid_out.offsets) - 1, planned.batches + 1).round().astype(int)
            for batch in range(at.batch, planned.batches):
                rate = learning_rate * (1 - at.done / (epochs * batches))
                part = slice_of(laid_out, bounds[batch], bounds[batch + 1])
                # One batch is a share of 1 / batches of the data: the step's size must not depend on their number.
                total += _step(model, embedding, optimizer, part, rate, precision, batches) / batches
                at = Position(epoch, place, batch + 1, at.done + 1, at.rows + len(part.target), total)
                if progress is not None:
                    progress(at.done, epochs * batches, at.rows, total * batches / (at.done - epoch * batches))
                if keeper is not None and keeper.due():
                    keeper.keep(asdict(at), state_of(model.network, optimizer, embedding))
            at = replace(at, batch=0)
        if not np.isfinite(total):
            raise TrainingError(
                f"loss is {total} after epoch {epoch + 1}; expected a finite number; lower learning_rate"
            )
        mean, total = total, 0.0
        at = replace(at, epoch=epoch + 1, place=0, loss=0.0)
    model.network.eval()
    return mean


def _step(
    model: Model,
    embedding: EmbeddingRows,
    optimizer: torch.optim.Adam,
    part: "RowsOnDevice",
    rate: float,
    precision: Precision,
    batches: int,
) -> float:
    """One step of all parameters on one batch; its loss times `batches`."""
    request = look_up(model.table, part.request_ids, part.request_numbers)
    candidate = look_up(model.table, part.ids, part.numbers)
    sides = [(ids, columns) for ids, columns in ((part.request_ids, request), (part.ids, candidate)) if ids.numel()]
    for _, columns in sides:
        columns.requires_grad_()
    width = model.table.shape[1]
    inputs = Inputs(
        pooled(request, part.request_ids, part.lists_of_ids[0], width),
        pooled(candidate, part.ids, part.lists_of_ids[1], width),
        part.request_of_row,
        None if part.lists_of_ids[1] else embedding.mentions(part.ids),
    )
    with autocast(precision, model.table.device):
        logits = model.network(inputs)
    logits = logits.float()
    of, weight = logits.shape[1] - part.squared, part.weight * batches
    loss = soft_label_cross_entropy(logits[:, :of] * part.logit_scale[:, None], part.target[:, :of], weight[:, :of])
    if part.squared:
        loss = loss + squared_error(logits[:, of:], part.target[:, of:], weight[:, of:])
    if part.lists is not None:
        share, log_value = part.lists
        own = logits[:, part.listed]
        loss = loss + listwise_cross_entropy(own, share * batches, log_value, part.request_of_row, len(request))
    optimizer.param_groups[0]["lr"] = rate
    # To 0 and not to None, which would part the network's gradients from that of its one parameter.
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    # Request features share no row with candidate features, but a step is one step.
    if sides:
        embedding.step([(ids, columns.grad) for ids, columns in sides if columns.grad is not None], rate)
    return loss.item()


def as_one(network: nn.Module) -> nn.Parameter:
    """All parameters of a network as one, of which they become views, as their gradients of its gradient.

    A step on it is the same, and one call instead of one a parameter: those took a fifth of a small network's training.
    """
    parameters = list(network.parameters())
    sizes = [parameter.numel() for parameter in parameters]
    one = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    one.grad = torch.zeros_like(one)
    for parameter, value, gradient in zip(parameters, one.detach().split(sizes), one.grad.split(sizes), strict=True):
        parameter.data, parameter.grad = value.view_as(parameter), gradient.view_as(parameter)
    return one


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass in a precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _laid_out(shard: Shard, seed: tuple[int, int, int], device: torch.device) -> RowsOnDevice:
    """A shard in the order of its shuffled requests, so that a batch is a slice."""
    rows, targets = shard
    order = np.random.default_rng(seed).permutation(len(rows.offsets) - 1)
    lengths = np.diff(rows.offsets)[order]
    offsets = np.append(0, lengths.cumsum())
    # Position of each row: its request's old start plus its place within the request.
    position = np.repeat(rows.offsets[order] - offsets[:-1], lengths) + np.arange(offsets[-1])
    at, by_request = torch.from_numpy(position), torch.from_numpy(order)

    def moved(array: NDArray[Any], index: Tensor) -> Tensor:
        return torch.from_numpy(array).index_select(0, index).to(device)

    return RowsOnDevice(
        request_ids=moved(rows.request.ids, by_request),
        request_numbers=moved(rows.request.numbers, by_request),
        ids=moved(rows.candidate.ids, at),
        numbers=moved(rows.candidate.numbers, at),
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device),
        target=moved(targets.target, at),
        weight=moved(targets.weight, at),
        logit_scale=moved(targets.logit_scale, at),
        lists=(moved(targets.lists.share, at), moved(targets.lists.log_value, at)) if targets.lists else None,
        listed=targets.listed,
        squared=targets.squared,
        offsets=offsets,
        lists_of_ids=(rows.request.lists, rows.candidate.lists),
    )
