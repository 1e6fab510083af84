"""A factorization machine beside fully connected layers, on the same embeddings (Guo et al., IJCAI 2017)."""

from typing import Any

import torch
from torch import Tensor

from ukdsl_assets.architectures import DeepFmArchitecture
from ukdsl_assets.learning.networks.inputs import Deep, Heads, Inputs, JoinedLinear, Side, WithHeads, flat


class DeepFm(WithHeads):
    """logit = the layers' + sum over pairs of features <e_i, e_j> + a linear function of ids and numbers.

    The last column of the embedding table is an id's own weight; the columns before it are its embedding.
    """

    def __init__(
        self,
        architecture: DeepFmArchitecture,
        request: Side,
        candidate: Side,
        heads: int,
        base_rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        width, hidden = architecture.embedding + 1, architecture.hidden
        # An id's weight is a column like any other to the layers: cutting it out would cost a copy of all columns.
        self.deep = Deep(request.width(width), candidate.width(width), hidden, generator)
        numeric = request.numeric + candidate.numeric
        self.linear = JoinedLinear(request.numeric, candidate.numeric, 1, generator) if numeric else None
        self.heads = Heads(hidden[-1], heads, base_rate, generator)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, heads]."""
        request = flat(inputs.request, inputs.request_numbers)
        candidate = flat(inputs.candidate, inputs.numbers)
        pairs = _Pairs.apply(inputs.candidate, inputs.request, inputs.request_of_row)
        logits = self.heads(self.deep(request, candidate, inputs.request_of_row)) + pairs[:, None]
        if self.linear is None:
            return logits
        return logits + self.linear(inputs.request_numbers, inputs.numbers, inputs.request_of_row)


class _Pairs(torch.autograd.Function):
    """Pairs' products and own weights, [rows], with a gradient that takes one pass over the embeddings."""

    @staticmethod
    def forward(context: Any, candidate: Tensor, request: Tensor, request_of_row: Tensor) -> Tensor:
        # The sum over pairs is half of (square of the sum - sum of squares); the last column is the own weight.
        total = candidate.sum(1) + request.sum(1).index_select(0, request_of_row)
        squares = candidate[..., :-1].square().sum((1, 2))
        squares = squares + request[..., :-1].square().sum((1, 2)).index_select(0, request_of_row)
        context.save_for_backward(candidate, request, request_of_row, total)
        return (total[:, :-1].square().sum(1) - squares) / 2 + total[:, -1]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        candidate, request, request_of_row, total = context.saved_tensors
        of_candidate = (total[:, None, :] - candidate) * gradient[:, None, None]
        of_candidate[..., -1] = gradient[:, None]
        scaled = torch.zeros(len(request), total.shape[1], dtype=total.dtype, device=total.device)
        scaled.index_add_(0, request_of_row, total * gradient[:, None])
        summed = torch.zeros(len(request), dtype=total.dtype, device=total.device)
        summed.index_add_(0, request_of_row, gradient)
        of_request = scaled[:, None, :] - request * summed[:, None, None]
        of_request[..., -1] = summed[:, None]
        return of_candidate, of_request, None
