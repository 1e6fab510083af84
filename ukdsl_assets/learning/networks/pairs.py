"""The factorization machine's part of DeepFM: one pass over the columns, and one for the gradient.

PyTorch takes a pass for every operation of the formula: in training, half as long as all of the network's products.
"""

from typing import Any

import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

# The device whose columns the kernels read; others' take PyTorch's operations.
KERNELS_ON = "cpu"


class Pairs(torch.autograd.Function):
    """Sum over pairs of features <e_i, e_j>, and own weights, [rows]; then both sides' columns, as they are.

    The last column of a feature's embedding is its own weight. What else reads the columns must read the returned ones:
    its gradient is the array that the pairs' own is added to, so it must be a fresh one, as every product makes it.

    Takes both sides' columns, request_of_row, (features of the request, of the candidate) and an embedding's width.
    """

    @staticmethod
    def forward(
        context: Any, request: Tensor, candidate: Tensor, request_of_row: Tensor, features: tuple[int, int], width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        total, squares = (candidate.new_zeros(len(candidate), width) for _ in range(2))
        if features[0]:
            sums = request.new_zeros(2, len(request), width)
            _add_sums(request, features[0], *sums)
            total, squares = sums.index_select(1, request_of_row)
        _add_sums(candidate, features[1], total, squares)
        context.save_for_backward(request, candidate, request_of_row, total)
        context.features = features
        # The sum over pairs is half of (square of the sum - sum of squares); the last column is the own weight.
        products = torch.addcmul(-squares, total, total)[:, :-1].sum(1) / 2
        return products + total[:, -1], request.view_as(request), candidate.view_as(candidate)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        gradient, of_request, of_candidate = gradients
        request, candidate, request_of_row, total = context.saved_tensors
        of_total = total * gradient[:, None]
        if context.features[0]:
            scaled, summed = total.new_zeros(len(request), total.shape[1]), total.new_zeros(len(request))
            scaled.index_add_(0, request_of_row, of_total)
            summed.index_add_(0, request_of_row, gradient)
            _add_gradient(of_request, request, context.features[0], scaled, summed)
        _add_gradient(of_candidate, candidate, context.features[1], of_total, gradient)
        return of_request, of_candidate, None, None, None


def _add_sums(columns: Tensor, features: int, total: Tensor, squares: Tensor) -> None:
    """Add the sum of the embeddings at the start of [n, columns], and that of their squares, each [n, width]."""
    if columns.device.type == KERNELS_ON:
        _add_sums_kernel(columns.detach().numpy(), features, total.numpy(), squares.numpy())
        return
    embedded = _embedded(columns, features, total.shape[1])
    total += embedded.sum(1)
    squares += embedded.square().sum(1)


def _add_gradient(of_columns: Tensor, columns: Tensor, features: int, of_total: Tensor, gradient: Tensor) -> None:
    """Add of_total [n, width] - embedding * gradient [n] to each embedding's, and gradient to each own weight's."""
    if columns.device.type == KERNELS_ON:
        arrays = (each.detach().numpy() for each in (of_columns, columns, of_total, gradient))
        _add_gradient_kernel(features, *arrays)
        return
    width = of_total.shape[1]
    of_embedded, embedded = (_embedded(each, features, width) for each in (of_columns, columns))
    of_embedded[..., :-1] += of_total[:, None, :-1] - embedded[..., :-1] * gradient[:, None, None]
    of_embedded[..., -1] += gradient[:, None]


def _embedded(columns: Tensor, features: int, width: int) -> Tensor:
    """The embeddings [n, features, width] at the start of [n, columns], a view."""
    return columns[:, : features * width].view(len(columns), features, width)


@njit(cache=True, nogil=True)
def _add_sums_kernel(columns: NDArray[Any], features: int, total: NDArray[Any], squares: NDArray[Any]) -> None:
    width = total.shape[1]
    for i in range(len(columns)):
        for feature in range(features):
            for column in range(width):
                value = columns[i, feature * width + column]
                total[i, column] += value
                squares[i, column] += value * value


@njit(cache=True, nogil=True)
def _add_gradient_kernel(
    features: int, of_columns: NDArray[Any], columns: NDArray[Any], of_total: NDArray[Any], gradient: NDArray[Any]
) -> None:
    width = of_total.shape[1]
    for i in range(len(columns)):
        for feature in range(features):
            start = feature * width
            for column in range(width - 1):
                of_columns[i, start + column] += of_total[i, column] - gradient[i] * columns[i, start + column]
            of_columns[i, start + width - 1] += gradient[i]
