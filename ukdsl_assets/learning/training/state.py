"""Where a training stands, so that an interrupted one goes on with the next batch instead of from its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Position:
    """The batch that comes next: its epoch, the place of its shard in that epoch's order, its number in the shard.

    done: batches done in all; rows: rows done in all; loss: sum of the epoch's scaled batch losses so far.
    """

    epoch: int = 0
    place: int = 0
    batch: int = 0
    done: int = 0
    rows: int = 0
    loss: float = 0.0


class Keeper(Protocol):
    """Keeps the state of one training; two trainings of different input must not share one."""

    def kept(self) -> tuple[Mapping[str, int | float], Tensors] | None:
        """What was kept last, the fields of a position by name; None when nothing was."""

    def due(self) -> bool:
        """Whether enough was done since the last time that keeping is worth its cost."""

    def keep(self, position: Mapping[str, int | float], tensors: Tensors) -> None:
        """Replace what was kept."""


def state_of(network: nn.Module, optimizer: torch.optim.Adam, embedding: EmbeddingRows) -> Tensors:
    """Parameters and moments as arrays by name."""
    named = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        named |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    named |= {"embedding.table": embedding.table, "embedding.first": embedding.first}
    named |= {"embedding.second": embedding.second, "embedding.steps": torch.tensor(float(embedding.steps))}
    return {name: value.detach().cpu().numpy().copy() for name, value in named.items()}


def restore(tensors: Tensors, network: nn.Module, optimizer: torch.optim.Adam, embedding: EmbeddingRows) -> None:
    """The inverse of `state_of`, in place."""
    given = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in given.items() if name.startswith("network.")}
    )
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in given.items():
        if name.startswith("optimizer."):
            _, index, part = name.split(".")
            moments.setdefault(int(index), {})[part] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    embedding.table.copy_(given["embedding.table"])
    embedding.first.copy_(given["embedding.first"])
    embedding.second.copy_(given["embedding.second"])
    embedding.steps = int(given["embedding.steps"])
