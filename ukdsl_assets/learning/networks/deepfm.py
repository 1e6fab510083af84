"""A factorization machine beside fully connected layers, on the same embeddings (Guo et al., IJCAI 2017)."""

from typing import Any

import torch
from torch import Tensor

from ukdsl_assets.architectures import DeepFmArchitecture
from ukdsl_assets.learning.networks.inputs import Deep, Heads, Inputs, JoinedLinear, Shape, WithHeads


class DeepFm(WithHeads):
    """logit = the layers' + sum over pairs of features <e_i, e_j> + a linear function of ids and numbers.

    The last column of the embedding table is an id's own weight; the columns before it are its embedding.
    """

    def __init__(self, architecture: DeepFmArchitecture, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        request, candidate = shape.request, shape.candidate
        width, hidden = architecture.embedding + 1, architecture.hidden
        # An id's weight is a column like any other to the layers: cutting it out would cost a copy of all columns.
        self.deep = Deep(request.width(width), candidate.width(width), hidden, generator)
        numeric = request.numeric + candidate.numeric
        self.linear = JoinedLinear(request.numeric, candidate.numeric, 1, generator) if numeric else None
        self.heads = Heads(hidden[-1], shape.heads, shape.base_rate, generator)
        self.request, self.candidate, self.width = request.categorical, candidate.categorical, width

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, heads]."""
        request, candidate, request_of_row = inputs
        pairs = _Pairs.apply(request, candidate, request_of_row, (self.request, self.candidate), self.width)
        logits = self.heads(self.deep(*inputs)) + pairs[:, None]
        if self.linear is None:
            return logits
        # Numbers take no gradient; without `detach` one would be made, as wide as all columns.
        left, right = (
            columns[:, features * self.width :].detach()
            for columns, features in ((request, self.request), (candidate, self.candidate))
        )
        return logits + self.linear(left, right, request_of_row)


class _Pairs(torch.autograd.Function):
    """Pairs' products and own weights, [rows], with a gradient that takes one pass over the columns.

    Takes both sides' columns, request_of_row, (features of the request, of the candidate) and an embedding's width.
    """

    @staticmethod
    def forward(
        context: Any, request: Tensor, candidate: Tensor, request_of_row: Tensor, features: tuple[int, int], width: int
    ) -> Tensor:
        left, right = _embedded(request, features[0], width), _embedded(candidate, features[1], width)
        # The sum over pairs is half of (square of the sum - sum of squares); the last column is the own weight.
        total = right.sum(1) + left.sum(1).index_select(0, request_of_row)
        squares = right[..., :-1].square().sum((1, 2))
        squares = squares + left[..., :-1].square().sum((1, 2)).index_select(0, request_of_row)
        context.save_for_backward(request, candidate, request_of_row, total)
        context.features = features
        return (total[:, :-1].square().sum(1) - squares) / 2 + total[:, -1]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        request, candidate, request_of_row, total = context.saved_tensors
        summed = torch.zeros(len(request), dtype=total.dtype, device=total.device)
        summed.index_add_(0, request_of_row, gradient)
        of_total = total * gradient[:, None]
        scaled = torch.zeros(len(request), total.shape[1], dtype=total.dtype, device=total.device)
        scaled.index_add_(0, request_of_row, of_total)
        of_request = _gradient(request, context.features[0], scaled, summed)
        return of_request, _gradient(candidate, context.features[1], of_total, gradient), None, None, None


def _embedded(columns: Tensor, features: int, width: int) -> Tensor:
    """The embeddings [n, features, width] at the start of [n, columns], a view."""
    return columns[:, : features * width].view(len(columns), features, width)


def _gradient(columns: Tensor, features: int, of_total: Tensor, gradient: Tensor) -> Tensor:
    """of_total [n, width] - embedding * gradient [n] for each embedding, gradient for an own weight, 0 for a number."""
    made = torch.empty_like(columns)
    made[:, features * of_total.shape[1] :] = 0
    embeddings = _embedded(made, features, of_total.shape[1])
    torch.mul(_embedded(columns, features, of_total.shape[1]), -gradient[:, None, None], out=embeddings)
    embeddings += of_total[:, None, :]
    embeddings[..., -1] = gradient[:, None]
    return made
