"""Where the towers meet: each row's dot product of its request's vector with its own, in one pass over the rows.

PyTorch takes nine passes, and more for the gradients; of small batches each costs more by its call than by its work.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

# Products are added up in as many sums, and these then to one: PyTorch's own order on processors with AVX2.
LANES = 8


def dots(left: Sequence[Tensor], right: Sequence[Tensor], request_of_row: Tensor, scale: float, bias: Tensor) -> Tensor:
    """Logits [rows, heads]: of each head <left, right> * scale + both sides' own biases + the head's.

    Args:
        left: of each head [requests, width + 1], the last column a bias; right: likewise, [rows, width + 1].
        request_of_row: int64 [rows], the row of `left` that each row meets; bias: [heads].
    """
    if right[0].device.type == "cpu" and right[0].dtype == torch.float32:
        return _Dots.apply(request_of_row, scale, bias, *left, *right)
    both = torch.stack(list(left), dim=1).index_select(0, request_of_row)
    rows = torch.stack(list(right), dim=1)
    dot = (both[..., :-1] * rows[..., :-1]).sum(-1) * scale
    return dot + both[..., -1] + rows[..., -1] + bias


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, request_of_row: Tensor, scale: float, bias: Tensor, *sides: Tensor) -> Tensor:
        heads, requests = len(bias), request_of_row.numpy()
        logits = torch.empty(len(requests), heads)
        made, biases = logits.numpy(), bias.detach().numpy()
        for head in range(heads):
            left, right = sides[head].detach().numpy(), sides[heads + head].detach().numpy()
            _meet(left, right, requests, np.float32(scale), biases[head], made[:, head])
        context.save_for_backward(request_of_row, *sides)
        context.scale = np.float32(scale)
        return logits

    @staticmethod
    def backward(context: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        gradient, (request_of_row, *sides) = given[0].contiguous(), context.saved_tensors
        heads, requests = gradient.shape[1], request_of_row.numpy()
        of_left = [torch.zeros_like(side) for side in sides[:heads]]
        of_right = [torch.empty_like(side) for side in sides[heads:]]
        for head, (left, right) in enumerate(zip(sides[:heads], sides[heads:], strict=True)):
            of_logits = gradient.numpy()[:, head]
            into = of_left[head].numpy(), of_right[head].numpy()
            _part(of_logits, left.numpy(), right.numpy(), requests, context.scale, *into)
        return None, None, gradient.sum(0), *of_left, *of_right


@njit(cache=True, nogil=True)
def _meet(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    request_of_row: NDArray[np.int64],
    scale: np.float32,
    bias: np.float32,
    logits: NDArray[np.float32],
) -> None:
    width = right.shape[1] - 1
    whole, lanes = width - width % LANES, np.empty(LANES, np.float32)
    for i in range(len(right)):
        request = np.uint64(request_of_row[i])
        total = np.float32(0)
        for column in range(whole, width):
            total += left[request, column] * right[i, column]
        lanes[:] = 0
        for first in range(0, whole, LANES):
            for lane in range(LANES):
                lanes[lane] += left[request, first + lane] * right[i, first + lane]
        for lane in range(LANES):
            total += lanes[lane]
        logits[i] = total * scale + left[request, width] + right[i, width] + bias


@njit(cache=True, nogil=True)
def _part(
    gradient: NDArray[np.float32],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    request_of_row: NDArray[np.int64],
    scale: np.float32,
    of_left: NDArray[np.float32],
    of_right: NDArray[np.float32],
) -> None:
    """Gradients of both sides, from that of one head's logits [rows]; those of `left` are added to what is there."""
    width = right.shape[1] - 1
    for i in range(len(right)):
        request = np.uint64(request_of_row[i])
        of_dot = gradient[i] * scale
        for column in range(width):
            of_left[request, column] += of_dot * right[i, column]
            of_right[i, column] = of_dot * left[request, column]
        of_left[request, width] += gradient[i]
        of_right[i, width] = gradient[i]
