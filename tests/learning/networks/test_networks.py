"""Networks against their formulas, written out row by row."""

import pytest
import torch

from tests.fixtures.network_inputs import ALL, CANDIDATE, REQUEST, REQUEST_OF_ROW, inputs, zeros_like
from ukdsl_assets.declaration.architectures import (
    DcnV2Architecture,
    NeuralArchitecture,
)
from ukdsl_assets.learning.networks.build import build_network
from ukdsl_assets.learning.networks.inputs import Inputs, JoinedLinear, Side


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_two_heads_start_equal_and_near_the_base_rate(architecture: NeuralArchitecture) -> None:
    network = build_network(architecture, REQUEST, CANDIDATE, heads=2, base_rate=0.03, seed=1)
    nothing = zeros_like(inputs(architecture))
    assert torch.allclose(torch.sigmoid(network(nothing)), torch.full((6, 2), 0.03), atol=1e-6)
    logits = network(inputs(architecture))
    # Equal weights in another column of a matrix product, which may add in another order.
    assert torch.allclose(logits[:, 0], logits[:, 1], rtol=1e-5, atol=1e-6)
    assert len(logits[:, 0].unique()) == 6


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_a_rows_logit_does_not_depend_on_the_rows_beside_it(architecture: NeuralArchitecture) -> None:
    network = build_network(architecture, REQUEST, CANDIDATE, heads=1, base_rate=0.1, seed=1)
    whole = inputs(architecture)
    for row, request in enumerate(REQUEST_OF_ROW.tolist()):
        alone = Inputs(whole.request[request : request + 1], whole.candidate[row : row + 1], torch.tensor([0]))
        assert torch.allclose(network(alone), network(whole)[row : row + 1], atol=1e-5)


@pytest.mark.parametrize("architecture", ALL[1:], ids=lambda a: a.kind)
def test_features_may_be_all_of_the_candidate(architecture: NeuralArchitecture) -> None:
    network = build_network(architecture, Side(0, 0), CANDIDATE, heads=1, base_rate=0.1, seed=1)
    some = inputs(architecture)
    none = some._replace(request=some.request[:, :0])
    assert network(none).shape == (6, 1)


def test_features_may_be_ids_alone() -> None:
    network = build_network(ALL[3], Side(2, 0), Side(4, 0), heads=2, base_rate=0.1, seed=1)
    some = inputs(ALL[3])
    bare = some._replace(request=some.request[:, : -REQUEST.numeric], candidate=some.candidate[:, : -CANDIDATE.numeric])
    assert network(bare).shape == (6, 2)
    assert all(parameter.numel() for parameter in network.parameters())


def test_a_joined_layer_is_one_linear_layer_on_both_sides() -> None:
    layer = JoinedLinear(3, 4, 5, torch.Generator().manual_seed(0))
    request, candidate = torch.randn(3, 3), torch.randn(6, 4)
    both = torch.cat([request[REQUEST_OF_ROW], candidate], dim=1)
    assert layer.request is not None
    assert layer.candidate is not None
    weight = torch.cat([layer.request, layer.candidate], dim=1)
    assert torch.allclose(layer(request, candidate, REQUEST_OF_ROW), both @ weight.T + layer.bias, atol=1e-6)


def test_a_cross_layer_multiplies_with_the_first_columns() -> None:
    architecture = DcnV2Architecture(kind="dcn_v2", crosses=1, hidden=(2,))
    network = build_network(architecture, REQUEST, CANDIDATE, heads=1, base_rate=0.5, seed=3)
    some = inputs(architecture)
    start = torch.cat([some.request[REQUEST_OF_ROW], some.candidate], dim=1)
    weights = dict(network.named_parameters())

    def joined(name: str) -> torch.Tensor:
        both = torch.cat([weights[f"{name}.request"], weights[f"{name}.candidate"]], dim=1)
        return start @ both.T + weights[f"{name}.bias"]

    last = torch.cat([start * joined("first_cross") + start, torch.relu(joined("deep.first"))], dim=1)
    assert torch.allclose(network(some), last @ weights["heads.weight"].T + weights["heads.bias"], atol=1e-5)
