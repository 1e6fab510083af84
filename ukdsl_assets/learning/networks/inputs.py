"""What every network reads, and the layers that several of them share."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ukdsl_assets.learning.networks.affine import Linear, affine
from ukdsl_assets.learning.networks.repeats import Mentions, affine_of_mentions


class Inputs(NamedTuple):
    """A batch of whole requests with its ids looked up.

    request: float32 [requests, categorical features * width + numeric columns], the embeddings of the request's ids
    side by side, then its numbers; candidate: likewise, [rows, columns].
    request_of_row: int64 [rows], index of each row's request.
    mentions: in training, the ids behind the candidate's columns; None where one of its features is a list, or on a
    GPU.
    """

    request: Tensor
    candidate: Tensor
    request_of_row: Tensor
    mentions: Mentions | None = None


class Side(NamedTuple):
    """How many categorical features and numeric columns the request or the candidate has."""

    categorical: int
    numeric: int

    def width(self, embedding: int) -> int:
        """Columns once ids are embedded and all is laid side by side."""
        return self.categorical * embedding + self.numeric


class Shape(NamedTuple):
    """What a network is built for: the sides it reads, its outputs, and the mean target that they start from."""

    request: Side
    candidate: Side
    heads: int
    base_rate: float


class JoinedLinear(nn.Module):
    """A linear layer on [request columns, candidate columns] whose request half is computed once a request.

    One of the sides may have no columns.
    """

    def __init__(self, request: int, candidate: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        whole = linear(request + candidate, outputs, generator)
        self.request = nn.Parameter(whole.weight[:, :request].detach().clone()) if request else None
        self.candidate = nn.Parameter(whole.weight[:, request:].detach().clone()) if candidate else None
        self.bias = whole.bias

    def forward(
        self,
        request: Tensor,
        candidate: Tensor,
        request_of_row: Tensor,
        mentions: Mentions | None = None,
        rectified: bool = False,
    ) -> Tensor:
        """[rows, outputs] of [requests, request columns] and [rows, candidate columns], or the larger of that and 0."""
        if self.request is None:
            assert self.candidate is not None, "a layer without columns"
            return affine_of_mentions(candidate, self.candidate, self.bias, mentions, rectified)
        made = affine(request, self.request, self.bias).index_select(0, request_of_row)
        if self.candidate is not None:
            made = made + affine_of_mentions(candidate, self.candidate, None, mentions)
        return torch.relu_(made) if rectified else made


class Deep(nn.Module):
    """Fully connected layers with rectified units: [rows, hidden[-1]]."""

    def __init__(self, request: int, candidate: int, hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.first = JoinedLinear(request, candidate, hidden[0], generator)
        self.rest = nn.ModuleList(linear(before, after, generator) for before, after in pairwise(hidden))

    def forward(
        self, request: Tensor, candidate: Tensor, request_of_row: Tensor, mentions: Mentions | None = None
    ) -> Tensor:
        rows = self.first(request, candidate, request_of_row, mentions, rectified=True)
        for layer in self.rest:
            assert isinstance(layer, Linear)
            rows = layer.rectified(rows)
        return rows


class Heads(nn.Module):
    """Logits [rows, heads] of [rows, inputs]; a second head starts as a copy of the first, at the same base rate."""

    def __init__(self, inputs: int, heads: int, base_rate: float, generator: torch.Generator) -> None:
        super().__init__()
        layer = linear(inputs, 1, generator)
        self.weight = nn.Parameter(layer.weight.detach().repeat(heads, 1))
        self.bias = nn.Parameter(torch.full((heads,), math.log(base_rate / (1 - base_rate))))

    def add_head(self) -> None:
        """One more head, last, equal to the first."""
        self.weight, self.bias = longer(self.weight), longer(self.bias)

    def zero_heads(self, count: int) -> None:
        """The logits of the last `count` heads are 0, until they learn."""
        with torch.no_grad():
            self.weight[-count:] = 0
            self.bias[-count:] = 0

    def shift_head(self, head: int, by: float) -> None:
        """Add to the logit of a head, the first being 0."""
        with torch.no_grad():
            self.bias[head] += by

    def drop_head(self) -> None:
        """The inverse of `add_head`."""
        self.weight, self.bias = shorter(self.weight), shorter(self.bias)

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.linear(rows, self.weight, self.bias)


class HasHeads(nn.Module):
    """A network of `build_network`: logits [rows, heads], to which training may add outputs and take them away."""

    def add_head(self) -> None:
        """One more head, last, equal to the first."""
        raise NotImplementedError

    def zero_heads(self, count: int) -> None:
        """The logits of the last `count` heads are 0, until they learn."""
        raise NotImplementedError

    def shift_head(self, head: int, by: float) -> None:
        """Add to the logit of a head, the first being 0."""
        raise NotImplementedError

    def drop_head(self) -> None:
        """The inverse of `add_head`."""
        raise NotImplementedError


class WithHeads(HasHeads):
    """A network whose output layer is `heads`."""

    heads: Heads

    def add_head(self) -> None:
        """One more head, last, equal to the first."""
        self.heads.add_head()

    def zero_heads(self, count: int) -> None:
        """The logits of the last `count` heads are 0, until they learn."""
        self.heads.zero_heads(count)

    def shift_head(self, head: int, by: float) -> None:
        """Add to the logit of a head, the first being 0."""
        self.heads.shift_head(head, by)

    def drop_head(self) -> None:
        """The inverse of `add_head`."""
        self.heads.drop_head()


def linear(inputs: int, outputs: int, generator: torch.Generator) -> Linear:
    """A linear layer with PyTorch's usual uniform start, drawn from the given generator."""
    layer = Linear(inputs, outputs)
    bound = 1 / math.sqrt(max(inputs, 1))
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer


def longer(parameter: nn.Parameter) -> nn.Parameter:
    """One more row [rows + 1, ...], equal to the first."""
    return nn.Parameter(torch.cat([parameter.detach(), parameter.detach()[:1]]))


def shorter(parameter: nn.Parameter) -> nn.Parameter:
    """Without the last row."""
    return nn.Parameter(parameter.detach()[:-1].clone())
