"""A network with what feeds it: prediction, and the layer that other models may match."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import EncodedRows, ListsOfIds
from ukdsl_assets.learning.networks.embedding_rows import look_up
from ukdsl_assets.learning.networks.inputs import Inputs
from ukdsl_assets.learning.networks.pooling import pooled

SCORING_ROWS = 16_384


@dataclass
class Model:
    """An embedding table, float32 [embedding rows, width], and the network that reads it, on one device."""

    table: Tensor
    network: nn.Module

    def columns(self, ids: Tensor, numbers: Tensor, lists: ListsOfIds | None) -> Tensor:
        """One side as the network reads it: embeddings of the ids, pooled where they are lists, then numbers."""
        return pooled(look_up(self.table, ids, numbers), ids, lists, self.table.shape[1])


def predict_network(model: Model, rows: EncodedRows, heads: int) -> NDArray[np.float32]:
    """Probabilities [rows, heads] in the order of the rows; empty input gives shape [0, heads]."""
    parts = _applied(model, rows, lambda inputs: torch.sigmoid(model.network(inputs)))
    return torch.cat(parts).cpu().numpy() if parts else np.empty((0, heads), np.float32)


def hidden_layer(model: Model, rows: EncodedRows, output: str) -> NDArray[np.float32]:
    """What the network's output layer reads, float32 [rows, width].

    Args:
        output: name of that layer, a module of the network with a `weight`; AttributeError if it has none.
    """
    batches: list[Tensor] = []
    layer = model.network.get_submodule(output)
    hook = layer.register_forward_pre_hook(lambda _, read: batches.append(read[0]))
    try:
        _applied(model, rows, model.network)
    finally:
        hook.remove()
    return (
        torch.cat(batches).cpu().numpy()
        if batches
        else np.empty((0, layer.get_parameter("weight").shape[1]), np.float32)
    )


@torch.inference_mode()
def _applied(model: Model, rows: EncodedRows, function: Callable[[Inputs], Tensor]) -> list[Tensor]:
    """The function's values of batches of whole requests, in order."""
    model.network.eval()
    tensors = _tensors(rows, model.table.device)
    parts: list[Tensor] = []
    first, requests = 0, len(rows.offsets) - 1
    while first < requests:
        # Whole requests, up to about as many rows as stay in the processor's cache.
        within = int(np.searchsorted(rows.offsets, rows.offsets[first] + SCORING_ROWS, side="right")) - 1
        last = max(within, first + 1)
        part = slice_of(tensors, first, last)
        request = model.columns(part.request_ids, part.request_numbers, part.lists_of_ids[0])
        candidate = model.columns(part.ids, part.numbers, part.lists_of_ids[1])
        parts.append(function(Inputs(request, candidate, part.request_of_row)))
        first = last
    return parts


def device_of(name: str) -> torch.device:
    """The device that a setting names; `auto` is a GPU where PyTorch finds one.

    Raises:
        TrainingError: for a GPU that PyTorch does not find.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise TrainingError("device: expected a GPU for `cuda`, PyTorch finds none; set UKDSL_DEVICE=auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@dataclass(frozen=True)
class RowsOnDevice:
    """Rows on the device: request side once a request, and `offsets` as in EncodedRows where whole shards are meant."""

    request_ids: Tensor
    request_numbers: Tensor
    ids: Tensor
    numbers: Tensor
    request_of_row: Tensor
    target: Tensor
    weight: Tensor
    logit_scale: Tensor
    lists: tuple[Tensor, Tensor] | None
    listed: int
    squared: int
    offsets: NDArray[np.int64]
    lists_of_ids: tuple[ListsOfIds | None, ListsOfIds | None]


def _tensors(rows: EncodedRows, device: torch.device) -> RowsOnDevice:
    """Rows in their order, without anything to learn."""
    nothing = torch.empty(0)
    lengths = np.diff(rows.offsets)
    return RowsOnDevice(
        request_ids=torch.from_numpy(rows.request.ids).to(device),
        request_numbers=torch.from_numpy(rows.request.numbers).to(device),
        ids=torch.from_numpy(rows.candidate.ids).to(device),
        numbers=torch.from_numpy(rows.candidate.numbers).to(device),
        request_of_row=torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device),
        target=nothing,
        weight=nothing,
        logit_scale=nothing,
        lists=None,
        listed=0,
        squared=0,
        offsets=rows.offsets,
        lists_of_ids=(rows.request.lists, rows.candidate.lists),
    )


def slice_of(rows: RowsOnDevice, first: int, last: int) -> RowsOnDevice:
    """The requests from `first` up to `last`, with requests counted from 0."""
    part = slice(int(rows.offsets[first]), int(rows.offsets[last]))
    return RowsOnDevice(
        request_ids=rows.request_ids[first:last],
        request_numbers=rows.request_numbers[first:last],
        ids=rows.ids[part],
        numbers=rows.numbers[part],
        request_of_row=rows.request_of_row[part] - first,
        target=rows.target[part],
        weight=rows.weight[part],
        logit_scale=rows.logit_scale[part],
        lists=(rows.lists[0][part], rows.lists[1][part]) if rows.lists else None,
        listed=rows.listed,
        squared=rows.squared,
        offsets=rows.offsets[first : last + 1] - rows.offsets[first],
        lists_of_ids=rows.lists_of_ids,
    )
