"""The foundation teacher's network: crosses of all features, shared layers or gated experts, a tower a task."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ukdsl_assets.declaration.architectures import MultiTaskArchitecture
from ukdsl_assets.learning.networks.dcn_v2 import crossed
from ukdsl_assets.learning.networks.inputs import Deep, Inputs, JoinedLinear, Side, linear


class Foundation(nn.Module):
    """logit[row, task] = the task's tower on [crosses, the task's mixture of the experts].

    With one expert (shared_bottom) all tasks read the same; with several (mmoe) a softmax of a linear function of the
    features, a task its own, says how much of each.

    Args:
        base_rates: mean label of each task in (0, 1), where its bias starts.
    """

    def __init__(
        self,
        architecture: MultiTaskArchitecture,
        request: Side,
        candidate: Side,
        base_rates: Sequence[float],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        left, right = request.width(architecture.embedding), candidate.width(architecture.embedding)
        self.experts_count = architecture.experts if architecture.kind == "mmoe" else 1
        self.experts = nn.ModuleList(
            Deep(left, right, architecture.hidden, generator) for _ in range(self.experts_count)
        )
        gates = self.experts_count * len(base_rates)
        self.gates = JoinedLinear(left, right, gates, generator) if self.experts_count > 1 else None
        self.first_cross = JoinedLinear(left, right, left + right, generator)
        self.crosses = nn.ModuleList(
            linear(left + right, left + right, generator) for _ in range(architecture.crosses - 1)
        )
        widths = (left + right + architecture.hidden[-1], *architecture.tower, 1)
        self.towers = nn.ModuleList(_tower(widths, rate, generator) for rate in base_rates)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, tasks]; of a task that is given another, that of the probability given it."""
        cross = crossed(self.first_cross, self.crosses, inputs)
        deep = [expert(*inputs) for expert in self.experts]
        if self.gates is None:
            mixtures = deep * len(self.towers)
        else:
            shares = torch.softmax(self.gates(*inputs).unflatten(1, (len(self.towers), self.experts_count)), dim=2)
            mixtures = list(torch.bmm(shares, torch.stack(deep, dim=1)).unbind(1))
        towers = [tower(torch.cat([cross, mix], dim=1)) for tower, mix in zip(self.towers, mixtures, strict=True)]
        return torch.cat(towers, dim=1)


class WholeSpace(nn.Module):
    """Logits of tasks over all shown rows: p(task and all it is given) = the product along the chain.

    So a conversion is learnt on impressions, not on clicks alone, and what is learnt is the probability given a click
    all the same, since that of a click is learnt beside it (Ma et al., ESMM, SIGIR 2018).

    Args:
        network: logits [rows, tasks] of each task given the one before it.
        given: of each task, the index of the task that it is given, None for none; chains end.
    """

    def __init__(self, network: nn.Module, given: Sequence[int | None]) -> None:
        super().__init__()
        self.network = network
        self.given = tuple(given)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, tasks]."""
        logits = self.network(inputs).float()
        own = torch.nn.functional.logsigmoid(logits)
        columns = []
        for task, before in enumerate(self.given):
            if before is None:
                columns.append(logits[:, task])
                continue
            log = own[:, task]
            while before is not None:
                log = log + own[:, before]
                before = self.given[before]
            # Just below 0, so that the logit of a certain event is finite.
            log = log.clamp(max=-1e-7)
            columns.append(log - torch.log(-torch.expm1(log)))
        return torch.stack(columns, dim=1)


def _tower(widths: Sequence[int], base_rate: float, generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [linear(before, after, generator), nn.ReLU()]
    last = layers[-2]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.bias, math.log(base_rate / (1 - base_rate)))
    return nn.Sequential(*layers[:-1])
