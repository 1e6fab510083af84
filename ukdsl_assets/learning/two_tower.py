"""Two towers that meet in a dot product: the usual model of retrieval and pre-ranking.

Each tower reads its side's embeddings and numbers through one hidden layer and ends in a vector and a bias per head.
The request's tower runs once a request, whatever the number of candidates.
"""

import math

import torch
from torch import Tensor, nn


class Tower(nn.Module):
    """One side: (ids [n, categorical], numbers [n, numeric]) -> [n, heads, output + 1], the last column a bias."""

    def __init__(self, inputs: int, hidden: int, output: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = _linear(inputs, hidden, generator)
        self.heads = nn.ModuleList(_linear(hidden, output + 1, generator) for _ in range(heads))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.hidden(inputs))
        return torch.stack([head(hidden) for head in self.heads], dim=1)


class TwoTower(nn.Module):
    """logit[row, head] = <request vector, candidate vector> / sqrt(output) + both sides' biases + the head's bias.

    Args:
        table: float32 [embedding rows, embedding width], initial embeddings of all ids of both sides.
        request, candidate: (categorical features, numeric columns) of each side.
        hidden, output: widths of the towers; heads: 1, or 2 for (impression, consideration).
        base_rate: mean target in (0, 1), which the heads' biases start from.
        seed: of the layers' initial weights.
    """

    def __init__(
        self,
        table: Tensor,
        request: tuple[int, int],
        candidate: tuple[int, int],
        hidden: int,
        output: int,
        heads: int,
        base_rate: float,
        seed: int,
    ) -> None:
        super().__init__()
        width = table.shape[1]
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Embedding.from_pretrained(table, freeze=False)
        self.request = Tower(request[0] * width + request[1], hidden, output, 1, generator)
        self.candidate = Tower(candidate[0] * width + candidate[1], hidden, output, 1, generator)
        self.bias = nn.Parameter(torch.full((1,), math.log(base_rate / (1 - base_rate))))
        self.scale = 1 / math.sqrt(output)
        if heads == 2:
            # The second head starts as a copy of the first.
            for tower in (self.request, self.candidate):
                copy = nn.Linear(hidden, output + 1)
                copy.load_state_dict(tower.heads[0].state_dict())
                tower.heads.append(copy)
            self.bias = nn.Parameter(self.bias.detach().repeat(2))

    def forward(
        self, request_ids: Tensor, request_numbers: Tensor, ids: Tensor, numbers: Tensor, request_of_row: Tensor
    ) -> Tensor:
        """Logits [rows, heads].

        Args:
            request_ids: int [requests, categorical]; request_numbers: float32 [requests, numeric].
            ids: int [rows, categorical]; numbers: float32 [rows, numeric].
            request_of_row: int [rows], index of each row's request.
        """
        left = self.request(self._inputs(request_ids, request_numbers))
        right = self.candidate(self._inputs(ids, numbers))
        both = left.index_select(0, request_of_row)
        dot = (both[..., :-1] * right[..., :-1]).sum(-1) * self.scale
        return dot + both[..., -1] + right[..., -1] + self.bias

    def _inputs(self, ids: Tensor, numbers: Tensor) -> Tensor:
        return torch.cat([self.embedding(ids).flatten(1), numbers], dim=1)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with PyTorch's usual uniform start, drawn from the given generator."""
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(max(inputs, 1))
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer
