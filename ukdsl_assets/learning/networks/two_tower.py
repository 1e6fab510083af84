"""Two towers that meet in a dot product: the usual model of retrieval and pre-ranking.

Each tower reads its side's embeddings and numbers through one hidden layer and ends in a vector and a bias per head.
The request's tower runs once a request, whatever the number of candidates.
"""

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from ukdsl_assets.declaration.architectures import TwoTowerArchitecture
from ukdsl_assets.learning.networks.dots import dots
from ukdsl_assets.learning.networks.inputs import HasHeads, Inputs, Shape, linear, longer, shorter


class Tower(nn.Module):
    """One side: [n, inputs] -> of each head [n, output + 1], the last column a bias."""

    def __init__(self, inputs: int, hidden: int, output: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = linear(inputs, hidden, generator)
        self.heads = nn.ModuleList([linear(hidden, output + 1, generator)])
        for _ in range(heads - 1):
            self.heads.append(deepcopy(self.heads[0]))

    def forward(self, inputs: Tensor) -> list[Tensor]:
        hidden = self.hidden.rectified(inputs)
        return [head(hidden) for head in self.heads]


class TwoTower(HasHeads):
    """logit[row, head] = <request vector, candidate vector> / sqrt(output) + both sides' biases + the head's bias."""

    def __init__(self, architecture: TwoTowerArchitecture, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        heads, odds = shape.heads, shape.base_rate / (1 - shape.base_rate)
        width, hidden, output = architecture.embedding, architecture.hidden, architecture.output
        self.request = Tower(shape.request.width(width), hidden, output, heads, generator)
        self.candidate = Tower(shape.candidate.width(width), hidden, output, heads, generator)
        self.bias = nn.Parameter(torch.full((heads,), math.log(odds)))
        self.scale = 1 / math.sqrt(output)

    def add_head(self) -> None:
        """One more head, last, equal to the first."""
        for tower in (self.request, self.candidate):
            tower.heads.append(deepcopy(tower.heads[0]))
        self.bias = longer(self.bias)

    def zero_heads(self, count: int) -> None:
        """The last `count` heads have no bias; their vectors stay: two zero vectors would have no gradient."""
        with torch.no_grad():
            self.bias[-count:] = 0

    def shift_head(self, head: int, by: float) -> None:
        """Add to the logit of a head, the first being 0."""
        with torch.no_grad():
            self.bias[head] += by

    def drop_head(self) -> None:
        """The inverse of `add_head`."""
        for tower in (self.request, self.candidate):
            del tower.heads[-1]
        self.bias = shorter(self.bias)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, heads]."""
        left, right = self.request(inputs.request), self.candidate(inputs.candidate)
        return dots(left, right, inputs.request_of_row, self.scale, self.bias)
