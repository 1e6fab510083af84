"""Gates of a trained checkpoint."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.training.requests_read import RequestsRead

# Rows that a reloaded checkpoint is compared on: enough for every head, id and pooling, few enough to cost nothing.
COMPARED_ROWS = 4096
# Name of each gate -> what it demands.
RULES = {
    "parameters_finite": demand(
        "Every parameter is a finite number.",
        "lower learning_rate; look for numeric features of enormous values.",
    ),
    "reloads_to_the_same_predictions": demand(
        "The checkpoint read back predicts the same, bit by bit.",
        "run the day again; if it fails again, the disk or a library of another version changes what is read: compare "
        "with constraints.txt and report it.",
    ),
    "no_withheld_request_in_training": demand(
        "None of the requests trained on is withheld.",
        "an SQL model of your own lost or changed the column `withheld`; filter the rows by it.",
    ),
    "serves_the_main_task_alone": demand(
        "The checkpoint's layers are the baseline's, no more.",
        "parameters of a task that only teaches would be served; report it with the message.",
    ),
}


def no_withheld_request(read_of_shards: Iterable[RequestsRead]) -> GateResult:
    """That none of the requests of the shards that a trainer read is withheld."""
    read = sum(read_of_shards, RequestsRead())
    return GateResult(
        name="no_withheld_request_in_training",
        passed=not read.withheld,
        message=f"{read.withheld} of {read.requests} requests trained on are withheld"
        + (f", e.g. {list(read.examples)}; filter teacher_augmented by `withheld`" if read.withheld else ""),
        seen={"requests": read.requests, "withheld": read.withheld},
    )


def parameters_finite(tensors: Mapping[str, NDArray[np.float32]]) -> GateResult:
    """That every parameter is a finite number."""
    wrong = {name: int((~np.isfinite(value)).sum()) for name, value in tensors.items()}
    wrong = {name: count for name, count in wrong.items() if count}
    size = sum(value.size for value in tensors.values())
    return GateResult(
        name="parameters_finite",
        passed=not wrong,
        message=f"{size} parameters, not finite: {wrong or 'none'}" + ("; lower learning_rate" if wrong else ""),
        seen={"parameters": size, "not_finite": sum(wrong.values())},
    )


def serves_the_main_task_alone(
    tensors: Mapping[str, NDArray[np.float32]], baseline: Mapping[str, tuple[int, ...]]
) -> GateResult:
    """That a checkpoint's layers are those of the baseline, by name and shape: no parameter of a teacher's task left.

    Args:
        tensors: of the checkpoint; `embedding.weight`, a row for each id seen in training, has no bound.
        baseline: name -> shape of every layer.
    """
    shapes = {name: value.shape for name, value in tensors.items() if name != EMBEDDING}
    wrong = sorted(name for name in shapes.keys() | baseline.keys() if shapes.get(name) != baseline.get(name))
    size = sum(math.prod(shape) for shape in shapes.values())
    expected = sum(math.prod(shape) for shape in baseline.values())
    return GateResult(
        name="serves_the_main_task_alone",
        passed=not wrong,
        message=f"{size} parameters in {len(shapes)} layers; expected the baseline's {expected} in {len(baseline)}; "
        f"different: {', '.join(wrong) or 'none'}",
        seen={"parameters": size, "baseline": expected},
    )


def same_predictions(
    fitted: Mapping[str, NDArray[np.float32]], reloaded: Mapping[str, NDArray[np.float32]]
) -> GateResult:
    """That the checkpoint read back predicts, bit by bit, what the model in memory predicts."""
    same = fitted.keys() == reloaded.keys() and all(np.array_equal(fitted[key], reloaded[key]) for key in fitted)
    worst = max((float(np.abs(fitted[k] - reloaded[k]).max(initial=0)) for k in fitted if k in reloaded), default=0.0)
    return GateResult(
        name="reloads_to_the_same_predictions",
        passed=same,
        message=f"largest difference of a reloaded prediction: {worst:g}; expected 0",
        seen={"largest_difference": worst},
    )
