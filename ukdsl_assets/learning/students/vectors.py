"""A two-tower student as plain vectors, for serving: the logit of a request and a candidate is their dot product."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.students.predict import load_model
from ukdsl_assets.learning.students.student import FittedStudent


def tower_vectors(
    fitted: FittedStudent, rows: pl.DataFrame, head: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of the requests and of the candidates in a frame; biases are folded in.

    Args:
        rows: with the student's features, the rows of a request together.
        head: one of `fitted.heads`.

    Returns:
        float32 [requests, output + 2] in order of appearance, and float32 [rows, output + 2].

    Raises:
        TrainingError: the architecture is not two_tower.
        ValueError: no such head.
    """
    import torch

    from ukdsl_assets.learning.networks.two_tower import TwoTower

    model, index = load_model(fitted), fitted.head_index(head)
    network = model.network
    if not isinstance(network, TwoTower):
        raise TrainingError(f"towers: the student's architecture is {fitted.architecture.kind}, expected two_tower")
    encoded = fitted.encoder.encode(rows)
    with torch.inference_mode():
        sides = []
        for side, tower in ((encoded.request, network.request), (encoded.candidate, network.candidate)):
            columns = model.columns(torch.from_numpy(side.ids), torch.from_numpy(side.numbers), side.lists)
            sides.append(tower(columns)[index])
        request, candidate = sides
        one = torch.ones_like(request[:, :1])
        left = torch.cat([request[:, :-1] * network.scale, request[:, -1:] + network.bias[index], one], dim=1)
        one = torch.ones_like(candidate[:, :1])
        right = torch.cat([candidate[:, :-1], one, candidate[:, -1:]], dim=1)
    if head == SCORED_HEAD and fitted.level is not None:
        # The line of a dot product: one side times the slope, and the request's own term takes the intercept.
        left = left * fitted.level.slope
        left[:, -2] += fitted.level.intercept
    return left.numpy(), right.numpy()
