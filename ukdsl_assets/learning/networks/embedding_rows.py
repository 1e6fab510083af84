"""The embedding table of all ids, of which a step touches only the rows that its batch names.

A dense gradient would walk over the whole table in every step: with a million ids that is most of the training's time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from ukdsl_assets.learning.networks.prefetch import prefetch
from ukdsl_assets.learning.networks.repeats import Mentions

# How far ahead kernels ask for rows: in rows of a batch, and in rows of the table.
BATCH_ROWS_AHEAD, TABLE_ROWS_AHEAD = 2, 16
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass
class EmbeddingRows:
    """A table [rows, width], float32, and the moments of its lazy Adam (as torch.optim.SparseAdam).

    A row that a batch does not name keeps its value and its moments; bias corrections count all steps.
    """

    table: Tensor
    first: Tensor = field(init=False)
    second: Tensor = field(init=False)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        # Unlike PyTorch, numpy asks for large pages and for zeros only where a row is first stepped.
        self.first, self.second = (
            torch.from_numpy(np.zeros(self.table.shape, np.float32)).to(self.table.device) for _ in range(2)
        )
        # Where a row's gradient is summed within a step; -1 between steps.
        self._places = np.full(len(self.table), -1, np.int32) if self.table.device.type == "cpu" else None
        self._summed = np.empty((0, self.table.shape[1]), np.float32)

    def mentions(self, ids: Tensor) -> Mentions | None:
        """What a first layer needs to know of the batch's int32 ids [n, features]; None on a GPU."""
        return None if self._places is None else Mentions(ids, self._places, self.table.shape[1])

    def step(self, named: Sequence[tuple[Tensor, Tensor]], learning_rate: float) -> None:
        """One step of Adam on all rows that are named, the gradients of each row's mentions summed.

        Args:
            named: pairs of int32 ids [n, features] and the gradient of what `look_up` gave for them, [n, columns]; -1
                names no row.
        """
        self.steps += 1
        rate = learning_rate * (1 - BETA2**self.steps) ** 0.5 / (1 - BETA1**self.steps)
        # Adam adds epsilon to the corrected root; here the correction is in the rate.
        epsilon = EPSILON * (1 - BETA2**self.steps) ** 0.5
        if self._places is None:
            self._torch_step(named, rate, epsilon)
        else:
            self._kernel_step(self._places, named, rate, epsilon)

    def _kernel_step(
        self, places: NDArray[np.int32], named: Sequence[tuple[Tensor, Tensor]], rate: float, epsilon: float
    ) -> None:
        mentions = sum(ids.numel() for ids, _ in named)
        if mentions > len(self._summed):
            self._summed = np.empty((mentions, self.table.shape[1]), np.float32)
        rows, count = np.empty(mentions, np.int32), 0
        for ids, gradient in named:
            count = _sum(places, rows, self._summed, count, ids.numpy(), gradient.numpy())
        _adam(
            self.table.numpy(),
            self.first.numpy(),
            self.second.numpy(),
            places,
            rows[:count],
            self._summed,
            np.float32(rate),
            np.float32(epsilon),
        )

    def _torch_step(self, named: Sequence[tuple[Tensor, Tensor]], rate: float, epsilon: float) -> None:
        width = self.table.shape[1]
        mentions = torch.cat([ids.reshape(-1) for ids, _ in named])
        gradients = torch.cat([g[:, : ids.shape[1] * width].reshape(-1, width) for ids, g in named])
        there = mentions >= 0
        rows, places = torch.unique(mentions[there], return_inverse=True)
        summed = torch.zeros(len(rows), width, dtype=gradients.dtype, device=gradients.device)
        summed.index_add_(0, places, gradients[there])
        first = self.first[rows].lerp_(summed, 1 - BETA1)
        second = self.second[rows].mul_(BETA2).addcmul_(summed, summed, value=1 - BETA2)
        self.first[rows], self.second[rows] = first, second
        self.table[rows] -= rate * first / (second.sqrt() + epsilon)


def look_up(table: Tensor, ids: Tensor, numbers: Tensor) -> Tensor:
    """Columns [n, features * width + numbers]: the embeddings of int32 ids [n, features], then numbers [n, numbers].

    The embedding of -1 is zero.
    """
    if table.device.type != "cpu":
        return _torch_look_up(table, ids, numbers)
    columns = torch.empty(len(ids), ids.shape[1] * table.shape[1] + numbers.shape[1])
    _look_up(table.numpy(), ids.numpy(), numbers.numpy(), columns.numpy())
    return columns


def _torch_look_up(table: Tensor, ids: Tensor, numbers: Tensor) -> Tensor:
    flat = ids.reshape(-1, 1)
    embedded = table.index_select(0, flat[:, 0].clamp(min=0)).masked_fill(flat < 0, 0.0)
    return torch.cat([embedded.view(len(ids), ids.shape[1] * table.shape[1]), numbers], dim=1)


@njit(cache=True, nogil=True)
def _look_up(
    table: NDArray[np.float32], ids: NDArray[np.int32], numbers: NDArray[np.float32], columns: NDArray[np.float32]
) -> None:
    """One pass that writes embeddings and numbers side by side; PyTorch would write them one by one, then join."""
    width, features = table.shape[1], ids.shape[1]
    for i in range(len(ids)):
        ahead = min(i + BATCH_ROWS_AHEAD, len(ids) - 1)
        for feature in range(features):
            prefetch(table, ids[ahead, feature])
        for feature in range(features):
            row = ids[i, feature]
            for column in range(width):
                columns[i, feature * width + column] = table[row, column] if row >= 0 else np.float32(0)
        for number in range(numbers.shape[1]):
            columns[i, features * width + number] = numbers[i, number]


@njit(cache=True, nogil=True)
def _sum(
    places: NDArray[np.int32],
    rows: NDArray[np.int32],
    summed: NDArray[np.float32],
    count: int,
    ids: NDArray[np.int32],
    gradient: NDArray[np.float32],
) -> int:
    """Sums the gradients of each row in the order of the batch; returns how many rows are named so far."""
    width = summed.shape[1]
    for i in range(len(ids)):
        ahead = min(i + BATCH_ROWS_AHEAD, len(ids) - 1)
        for feature in range(ids.shape[1]):
            prefetch(places, ids[ahead, feature])
        for feature in range(ids.shape[1]):
            row = ids[i, feature]
            if row < 0:
                continue
            place = places[row]
            if place < 0:
                places[row] = count
                rows[count] = row
                for column in range(width):
                    summed[count, column] = gradient[i, feature * width + column]
                count += 1
            else:
                for column in range(width):
                    summed[place, column] += gradient[i, feature * width + column]
    return count


# Python's division, which may raise, would keep the loop from using the processor's vectors.
@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _adam(
    table: NDArray[np.float32],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    places: NDArray[np.int32],
    rows: NDArray[np.int32],
    summed: NDArray[np.float32],
    rate: np.float32,
    epsilon: np.float32,
) -> None:
    """Steps every named row once; unsigned numbers spare the loops a test for places counted from the end."""
    beta1, beta2 = np.float32(BETA1), np.float32(BETA2)
    left1, left2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    for place in range(len(rows)):
        ahead = rows[min(place + TABLE_ROWS_AHEAD, len(rows) - 1)]
        prefetch(table, ahead)
        prefetch(first, ahead)
        prefetch(second, ahead)
        row = np.uint64(rows[place])
        places[row] = -1
        for column in range(np.uint64(table.shape[1])):
            gradient = summed[place, column]
            moment = beta1 * first[row, column] + left1 * gradient
            square = beta2 * second[row, column] + left2 * gradient * gradient
            first[row, column] = moment
            second[row, column] = square
            table[row, column] -= rate * moment / (np.sqrt(square) + epsilon)
