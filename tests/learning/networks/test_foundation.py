"""The foundation teacher's network against its formulas, written out."""

import math

import numpy as np
import pytest
import torch

from tests.fixtures.network_inputs import CANDIDATE, REQUEST, REQUEST_OF_ROW, inputs, zeros_like
from ukdsl_assets.declaration.architectures import (
    MlpArchitecture,
    MmoeArchitecture,
    MultiTaskArchitecture,
    SharedBottomArchitecture,
)
from ukdsl_assets.learning.networks.foundation import Foundation, WholeSpace
from ukdsl_assets.learning.networks.inputs import Inputs

BOTH: list[MultiTaskArchitecture] = [
    SharedBottomArchitecture(embedding=8, hidden=(12, 6), tower=(5,)),
    MmoeArchitecture(kind="mmoe", embedding=8, experts=3, hidden=(12, 6), tower=(5,)),
]
INPUTS = inputs(MlpArchitecture(kind="mlp"))
RATES = (0.03, 0.2)


def built(architecture: MultiTaskArchitecture) -> Foundation:
    return Foundation(architecture, REQUEST, CANDIDATE, RATES, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", BOTH, ids=lambda a: a.kind)
def test_every_task_starts_at_its_own_base_rate(architecture: MultiTaskArchitecture) -> None:
    nothing = zeros_like(INPUTS)
    assert torch.allclose(torch.sigmoid(built(architecture)(nothing)), torch.tensor([RATES] * 6), atol=1e-6)


@pytest.mark.parametrize("architecture", BOTH, ids=lambda a: a.kind)
def test_a_rows_logits_do_not_depend_on_the_rows_beside_it(architecture: MultiTaskArchitecture) -> None:
    network, request, row = built(architecture), 2, 5
    alone = Inputs(INPUTS.request[request : request + 1], INPUTS.candidate[row : row + 1], torch.tensor([0]))
    assert torch.allclose(network(alone), network(INPUTS)[row : row + 1], atol=1e-5)


def test_a_gate_mixes_the_experts_by_a_softmax_of_its_own() -> None:
    network = built(BOTH[1])
    start = torch.cat([INPUTS.request[REQUEST_OF_ROW], INPUTS.candidate], dim=1)
    weights = dict(network.named_parameters())

    def joined(name: str) -> torch.Tensor:
        both = torch.cat([weights[f"{name}.request"], weights[f"{name}.candidate"]], dim=1)
        return start @ both.T + weights[f"{name}.bias"]

    experts = [
        torch.relu(torch.relu(joined(f"experts.{e}.first")) @ weights[f"experts.{e}.rest.0.weight"].T) for e in range(3)
    ]
    cross = start * joined("first_cross") + start
    cross = start * (cross @ weights["crosses.0.weight"].T + weights["crosses.0.bias"]) + cross
    logits = network(INPUTS)
    for task in range(2):
        share = torch.softmax(joined("gates")[:, 3 * task : 3 * task + 3], dim=1)
        mixed = torch.stack([share[:, e : e + 1] * experts[e] for e in range(3)]).sum(0)
        expected = network.towers[task](torch.cat([cross, mixed], dim=1))
        assert torch.allclose(logits[:, task], expected[:, 0], atol=1e-5)


def test_tasks_of_a_shared_bottom_move_the_same_layers_and_towers_of_their_own() -> None:
    network = built(BOTH[0])
    moved = []
    for task in range(2):
        network.zero_grad(set_to_none=True)
        network(INPUTS)[:, task].sum().backward()
        moved.append({n for n, p in network.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)})
    assert moved[0] & moved[1] == {name for name, _ in network.named_parameters() if not name.startswith("towers.")}
    assert all(name.startswith(f"towers.{task}.") for task in range(2) for name in moved[task] - moved[1 - task])


class Fixed(torch.nn.Module):
    """Says the same whatever it is asked."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _: Inputs) -> torch.Tensor:
        return self.logits


def test_the_whole_space_probability_is_the_product_along_the_chain() -> None:
    logits = torch.tensor([[0.0, 1.0, -2.0], [3.0, -1.0, 0.5]])
    whole = torch.sigmoid(WholeSpace(Fixed(logits), [None, 0, 1])(INPUTS))
    assert np.allclose(whole.numpy(), torch.sigmoid(logits).numpy().cumprod(axis=1), atol=1e-6)
    order = torch.sigmoid(WholeSpace(Fixed(logits), [2, None, 1])(INPUTS))
    assert np.allclose(order[:, 0].numpy(), torch.sigmoid(logits).numpy().prod(axis=1), atol=1e-6)


def test_a_whole_space_logit_is_finite_at_the_ends_and_so_is_its_gradient() -> None:
    logits = torch.tensor([[200.0, 200.0], [-80.0, 5.0], [40.0, -40.0]], requires_grad=True)
    whole = WholeSpace(Fixed(logits), [None, 0])(INPUTS)
    whole[:, 1].sum().backward()
    assert torch.isfinite(whole).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(whole[1, 1].detach()) == pytest.approx(-80 - math.log1p(math.exp(-5)), rel=1e-4)
