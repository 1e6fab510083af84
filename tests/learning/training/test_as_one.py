"""All parameters of a network as one, against the network's own."""

from copy import deepcopy

import torch
from torch import nn

from ukdsl_assets.learning.training.trainer import as_one


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3, bias=False), nn.Linear(3, 1))


def test_steps_on_one_are_steps_on_each() -> None:
    network = fresh()
    other, rows = deepcopy(network), torch.randn(20, 5)
    each = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    one = as_one(other)
    together = torch.optim.Adam([one], lr=0.1, fused=True)
    for _ in range(5):
        each.zero_grad()
        network(rows).square().sum().backward()
        each.step()
        assert one.grad is not None
        one.grad.zero_()
        other(rows).square().sum().backward()
        together.step()
    assert other.state_dict().keys() == network.state_dict().keys()
    for mine, theirs in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
        assert not torch.equal(mine, torch.zeros_like(mine))


def test_parameters_that_are_loaded_are_those_of_the_one() -> None:
    network, loaded = fresh(), fresh()
    one = as_one(network)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    network.load_state_dict(loaded.state_dict())
    assert torch.equal(one, torch.cat([parameter.flatten() for parameter in loaded.parameters()]))
