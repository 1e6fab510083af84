"""The embedding table of all ids, of which a step touches only the rows that its batch names.

A dense gradient would walk over the whole table in every step: with a million ids that is most of the training's time.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

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
        self.first, self.second = torch.zeros_like(self.table), torch.zeros_like(self.table)
        # Where a row's gradient is summed within a step; -1 between steps.
        self._places = np.full(len(self.table), -1, np.int32) if self.table.device.type == "cpu" else None

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings [n, features, width] of int ids [n, features], a leaf that takes a gradient."""
        found = self.table.index_select(0, ids.reshape(-1)).view(*ids.shape, self.table.shape[1])
        return found.requires_grad_()

    def step(self, ids: Tensor, gradients: Tensor, learning_rate: float) -> None:
        """One step of Adam on the rows that int ids [n] name, with the gradients [n, width] of each mention summed."""
        self.steps += 1
        rate = learning_rate * (1 - BETA2**self.steps) ** 0.5 / (1 - BETA1**self.steps)
        # Adam adds epsilon to the corrected root; here the correction is in the rate.
        epsilon = EPSILON * (1 - BETA2**self.steps) ** 0.5
        if self._places is None:
            self._torch_step(ids, gradients, rate, epsilon)
        else:
            _adam(
                self.table.numpy(),
                self.first.numpy(),
                self.second.numpy(),
                self._places,
                ids.numpy(),
                gradients.numpy(),
                np.float32(rate),
                np.float32(epsilon),
            )

    def _torch_step(self, ids: Tensor, gradients: Tensor, rate: float, epsilon: float) -> None:
        rows, places = torch.unique(ids, return_inverse=True)
        summed = torch.zeros(len(rows), gradients.shape[1], dtype=gradients.dtype, device=gradients.device)
        summed.index_add_(0, places, gradients)
        first = self.first[rows].lerp_(summed, 1 - BETA1)
        second = self.second[rows].mul_(BETA2).addcmul_(summed, summed, value=1 - BETA2)
        self.first[rows], self.second[rows] = first, second
        self.table[rows] -= rate * first / (second.sqrt() + epsilon)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _adam(
    table: NDArray[np.float32],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    places: NDArray[np.int32],
    ids: NDArray[np.int32],
    gradients: NDArray[np.float32],
    rate: np.float32,
    epsilon: np.float32,
) -> None:
    """Sums the gradients of each row in the order of the batch, then steps every named row once."""
    width = table.shape[1]
    named = np.empty(len(ids), np.int32)
    summed = np.empty((len(ids), width), np.float32)
    count = 0
    for i in range(len(ids)):
        row = ids[i]
        place = places[row]
        if place < 0:
            places[row] = count
            named[count] = row
            for column in range(width):
                summed[count, column] = gradients[i, column]
            count += 1
        else:
            for column in range(width):
                summed[place, column] += gradients[i, column]
    beta1, beta2 = np.float32(BETA1), np.float32(BETA2)
    left1, left2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    for place in range(count):
        row = named[place]
        places[row] = -1
        for column in range(width):
            gradient = summed[place, column]
            moment = beta1 * first[row, column] + left1 * gradient
            square = beta2 * second[row, column] + left2 * gradient * gradient
            first[row, column] = moment
            second[row, column] = square
            table[row, column] -= rate * moment / (np.sqrt(square) + epsilon)
