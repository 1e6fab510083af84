"""Tasks that only training has: they shape a network that serves its heads alone.

UKDSL paper, section 4.3 and figure 6: a dependent task reads the main task's output, an auxiliary task the shared
representation; both are trained on unlabeled rows with the teacher's label. A further task of labels, and a projection
that matches the teacher's hidden layer, read the shared representation too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ukdsl_assets.learning.networks.inputs import HasHeads, Inputs


class WithTeacherTasks(nn.Module):
    """The network's logits, and one more output for each task: [rows, heads + tasks], tasks in the given order.

    dependent: slope * main logit + shift, so its gradient flows through the main logit into every layer below, while
        a teacher that is off in level or scale bends the two numbers instead of the main task.
    auxiliary: an output layer of its own on what the main one reads; its gradient reaches the shared layers and
        embeddings, never the main output layer.
    label, representation: outputs like an auxiliary task's; a representation's are numbers, one a place.

    Tasks start where the main task stands, slope 1 and a copy of its output layer, but at their own level (`levels`):
    else the shared layers would make up for the difference. A representation starts at 0. They start so every day,
    since a checkpoint holds the main task alone.

    Args:
        network: any of `build_network`; `served` gives it back without tasks.
        tasks: kind of each output; dependent at most once.
        heads: outputs that the network has; the first is the main one.
        levels: of each task, what its logits have more than the main task's on average; 0 where left out.
    """

    def __init__(self, network: HasHeads, tasks: Sequence[str], heads: int = 1, levels: Sequence[float] = ()) -> None:
        super().__init__()
        self.network = network
        self.tasks = tuple(tasks)
        self.heads = heads
        self.added = sum(task != "dependent" for task in tasks)
        for _ in range(self.added):
            network.add_head()
        if places := self.tasks.count("representation"):
            network.zero_heads(places)
        if "dependent" in tasks:
            shift = levels[self.tasks.index("dependent")] if levels else 0.0
            self.slope, self.shift = nn.Parameter(torch.ones(1)), nn.Parameter(torch.full((1,), shift))
        own = [level for task, level in zip(tasks, levels, strict=False) if task != "dependent"]
        for place, level in enumerate(own):
            network.shift_head(heads + place, level)

    def forward(self, inputs: Inputs) -> Tensor:
        """Outputs [rows, heads + tasks]."""
        outputs = self.network(inputs)
        if "dependent" not in self.tasks:
            return outputs
        before = self.heads + self.tasks.index("dependent")
        dependent = self.slope * outputs[:, :1] + self.shift
        return torch.cat([outputs[:, :before], dependent, outputs[:, before:]], dim=1)

    def served(self) -> HasHeads:
        """The network with its heads alone; this module is of no use afterwards."""
        for _ in range(self.added):
            self.network.drop_head()
        return self.network
