"""The tasks' outputs against their formulas, and where their gradients go."""

import pytest
import torch

from tests.fixtures.network_inputs import ALL, CANDIDATE, REQUEST, inputs
from ukdsl_assets.declaration.architectures import NeuralArchitecture
from ukdsl_assets.learning.networks.build import build_network
from ukdsl_assets.learning.networks.inputs import Heads
from ukdsl_assets.learning.networks.teacher_tasks import WithTeacherTasks

BOTH = ("dependent", "auxiliary")


def built(architecture: NeuralArchitecture, tasks: tuple[str, ...] = BOTH) -> WithTeacherTasks:
    return WithTeacherTasks(build_network(architecture, REQUEST, CANDIDATE, heads=1, base_rate=0.1, seed=1), tasks)


def gradients(network: WithTeacherTasks, architecture: NeuralArchitecture, output: int) -> set[str]:
    """Names of the parameters that an output's loss moves."""
    network.zero_grad(set_to_none=True)
    logits = network(inputs(architecture))
    network(inputs(architecture))[:, output].square().sum().backward()
    assert logits.shape == (6, 1 + len(network.tasks))
    return {n for n, p in network.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)}


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_tasks_start_where_the_main_task_stands(architecture: NeuralArchitecture) -> None:
    logits = built(architecture)(inputs(architecture))
    assert torch.equal(logits[:, 0], logits[:, 1])
    # Equal weights in another column of a matrix product, which may add in another order.
    assert torch.allclose(logits[:, 0], logits[:, 2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_the_dependent_task_is_a_line_on_the_main_logit_and_the_auxiliary_one_is_not(
    architecture: NeuralArchitecture,
) -> None:
    network = built(architecture)
    with torch.no_grad():
        network.slope.fill_(0.5)
        network.shift.fill_(-2)
        for parameter in network.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)), alpha=0.1)
    main, dependent, auxiliary = network(inputs(architecture)).unbind(1)
    assert torch.allclose(dependent, 0.5 * main - 2)
    assert not torch.allclose(auxiliary, main)


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_the_dependent_tasks_gradient_flows_through_the_main_logit(architecture: NeuralArchitecture) -> None:
    network = built(architecture, ("dependent",))
    main, dependent = (gradients(network, architecture, output) for output in (0, 1))
    assert dependent == main | {"slope", "shift"}


@pytest.mark.parametrize("architecture", ALL[1:3], ids=lambda a: a.kind)
def test_the_auxiliary_tasks_gradient_reaches_the_shared_layers_and_not_the_main_output(
    architecture: NeuralArchitecture,
) -> None:
    network = built(architecture)
    assert gradients(network, architecture, 2) == gradients(network, architecture, 0)
    heads = network.network.heads
    assert isinstance(heads, Heads)
    network.zero_grad(set_to_none=True)
    network(inputs(architecture))[:, 2].sum().backward()
    gradient = heads.weight.grad
    assert gradient is not None
    assert torch.equal(gradient[0], torch.zeros_like(gradient[0]))
    assert bool(gradient[1].abs().max() > 0)


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.kind)
def test_what_is_served_is_the_main_task_as_it_was_trained(architecture: NeuralArchitecture) -> None:
    network = built(architecture)
    expected = network(inputs(architecture))[:, :1]
    served = network.served()
    alone = build_network(architecture, REQUEST, CANDIDATE, heads=1, base_rate=0.1, seed=2)
    alone.load_state_dict(served.state_dict())
    assert torch.allclose(alone(inputs(architecture)), expected, atol=1e-6)
