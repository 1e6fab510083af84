"""What the trainer reads: rows of a shard, with targets and weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.features.encoding import EncodedRows
from ukdsl_assets.learning.training.losses import Lists


@dataclass(frozen=True)
class Targets:
    """What each row teaches each output of the network.

    target: float32 [rows, outputs], in [0, 1] but for the last `squared` outputs, whose targets are numbers under
    squared error; weight: float32 [rows, outputs] >= 0, 0 where the row does not train
    the output, already times its domain's loss weight and over the domain's total, so that the loss is a sum;
    logit_scale: float32 [rows], factor of the logits before the loss (1 / temperature).
    lists: the requests' considered candidates as lists, which train output `listed`; None without a listwise term.
    """

    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    logit_scale: NDArray[np.float32]
    lists: Lists | None = None
    listed: int = 0
    squared: int = 0


class Shard(NamedTuple):
    """Rows that fit into memory together, and what they teach."""

    rows: EncodedRows
    targets: Targets


class PlannedShard(NamedTuple):
    """A shard yet to be read: how, and the batches that its requests are spread over (at most as many)."""

    read: Callable[[], Shard]
    batches: int
