"""Fully connected layers on all features."""

import torch
from torch import Tensor

from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.learning.networks.inputs import Deep, Heads, Inputs, Shape, WithHeads


class Mlp(WithHeads):
    """logit[row, head] = the head's linear function of the last layer."""

    def __init__(self, architecture: MlpArchitecture, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        request, candidate = shape.request, shape.candidate
        width, hidden = architecture.embedding, architecture.hidden
        self.deep = Deep(request.width(width), candidate.width(width), hidden, generator)
        self.heads = Heads(hidden[-1], shape.heads, shape.base_rate, generator)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, heads]."""
        return self.heads(self.deep(*inputs))
