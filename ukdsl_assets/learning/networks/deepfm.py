"""A factorization machine beside fully connected layers, on the same embeddings (Guo et al., IJCAI 2017)."""

import torch
from torch import Tensor

from ukdsl_assets.declaration.architectures import DeepFmArchitecture
from ukdsl_assets.learning.networks.inputs import Deep, Heads, Inputs, JoinedLinear, Shape, WithHeads
from ukdsl_assets.learning.networks.pairs import Pairs


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
        request, candidate, request_of_row, mentions = inputs
        features = (self.request, self.candidate)
        pairs, request, candidate = Pairs.apply(request, candidate, request_of_row, features, self.width)
        logits = self.heads(self.deep(request, candidate, request_of_row, mentions)) + pairs[:, None]
        if self.linear is None:
            return logits
        # Numbers take no gradient; without `detach` one would be made, as wide as all columns.
        left, right = (
            columns[:, features * self.width :].detach()
            for columns, features in ((request, self.request), (candidate, self.candidate))
        )
        return logits + self.linear(left, right, request_of_row)
