"""From a declared architecture to its network."""

from collections.abc import Callable

import torch

from ukdsl_assets.declaration.architectures import NeuralArchitecture
from ukdsl_assets.learning.networks.dcn_v2 import DcnV2
from ukdsl_assets.learning.networks.deepfm import DeepFm
from ukdsl_assets.learning.networks.inputs import HasHeads, Shape, Side
from ukdsl_assets.learning.networks.mlp import Mlp
from ukdsl_assets.learning.networks.two_tower import TwoTower

NETWORKS: dict[str, Callable[..., HasHeads]] = {"two_tower": TwoTower, "mlp": Mlp, "dcn_v2": DcnV2, "deepfm": DeepFm}


def build_network(
    architecture: NeuralArchitecture, request: Side, candidate: Side, heads: int, base_rate: float, seed: int
) -> HasHeads:
    """A network with random weights, which maps `Inputs` to logits float32 [rows, heads].

    Args:
        heads: 1, or 2 for (impression, consideration), which start equal.
        base_rate: mean target in (0, 1), which the heads' biases start from.
        seed: of the layers' initial weights.
    """
    generator = torch.Generator().manual_seed(seed)
    return NETWORKS[architecture.kind](architecture, Shape(request, candidate, heads, base_rate), generator)


def table_width(architecture: NeuralArchitecture) -> int:
    """Columns of the embedding table that the network reads."""
    return architecture.embedding + (architecture.kind == "deepfm")
