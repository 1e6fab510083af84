"""Tasks that only training has: the teacher's labels shape a network that serves its main task alone.

UKDSL paper, section 4.3 and figure 6: a dependent task reads the main task's output, an auxiliary task the shared
representation; both are trained on unlabeled rows with the teacher's label.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ukdsl_assets.learning.networks.inputs import Inputs


class WithTeacherTasks(nn.Module):
    """The network's logits, and one more for each task: [rows, 1 + tasks], main first, tasks in the given order.

    dependent: slope * main logit + shift, so its gradient flows through the main logit into every layer below, while
        a teacher that is off in level or scale bends the two numbers instead of the main task.
    auxiliary: an output layer of its own on what the main one reads; its gradient reaches the shared layers and
        embeddings, never the main output layer.

    Tasks start where the main task stands: slope 1, shift 0, and a copy of its output layer. They start so every day,
    since a checkpoint holds the main task alone.

    Args:
        network: with one head, any of `build_network`; `served` gives it back without tasks.
        tasks: some of dependent and auxiliary, each at most once.
    """

    def __init__(self, network: nn.Module, tasks: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.tasks = tuple(tasks)
        if "auxiliary" in tasks:
            network.add_head()  # type: ignore[operator]
        if "dependent" in tasks:
            self.slope, self.shift = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits [rows, 1 + tasks]."""
        logits = self.network(inputs)
        main = logits[:, :1]
        outputs = {"dependent": lambda: self.slope * main + self.shift, "auxiliary": lambda: logits[:, 1:2]}
        return torch.cat([main, *(outputs[task]() for task in self.tasks)], dim=1)

    def served(self) -> nn.Module:
        """The network with its main head alone; this module is of no use afterwards."""
        if "auxiliary" in self.tasks:
            self.network.drop_head()  # type: ignore[operator]
        return self.network
