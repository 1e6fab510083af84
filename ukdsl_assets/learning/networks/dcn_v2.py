"""Explicit crosses of all features beside fully connected layers (Wang et al., DCN V2, WWW 2021, parallel form)."""

import torch
from torch import Tensor, nn

from ukdsl_assets.declaration.architectures import DcnV2Architecture
from ukdsl_assets.learning.networks.inputs import Deep, Heads, Inputs, JoinedLinear, Shape, WithHeads, linear


class DcnV2(WithHeads):
    """x[l + 1] = x[0] * (W[l] x[l] + b[l]) + x[l] on both sides' columns; heads read the last x and the layers."""

    def __init__(self, architecture: DcnV2Architecture, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        request, candidate = shape.request, shape.candidate
        left, right = request.width(architecture.embedding), candidate.width(architecture.embedding)
        self.deep = Deep(left, right, architecture.hidden, generator)
        self.first_cross = JoinedLinear(left, right, left + right, generator)
        self.crosses = nn.ModuleList(
            linear(left + right, left + right, generator) for _ in range(architecture.crosses - 1)
        )
        self.heads = Heads(left + right + architecture.hidden[-1], shape.heads, shape.base_rate, generator)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, heads]."""
        cross = crossed(self.first_cross, self.crosses, inputs)
        return self.heads(torch.cat([cross, self.deep(*inputs)], dim=1))


def crossed(first: JoinedLinear, rest: nn.ModuleList, inputs: Inputs) -> Tensor:
    """The last x, [rows, columns], of the columns of both sides."""
    start = torch.cat([inputs.request.index_select(0, inputs.request_of_row), inputs.candidate], dim=1)
    last = start * first(*inputs) + start
    for layer in rest:
        last = start * layer(last) + last
    return last
