"""Predictions of a trained student."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.architectures import WITH_HIDDEN_LAYER, NeuralArchitecture
from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import EMBEDDING, EncodedRows, Encoder
from ukdsl_assets.learning.students.student import FittedStudent

if TYPE_CHECKING:
    from ukdsl_assets.learning.networks.inputs import HasHeads
    from ukdsl_assets.learning.networks.model import Model


def predict_student(fitted: FittedStudent, rows: pl.DataFrame, threads: int = 1) -> dict[str, NDArray[np.float32]]:
    """Probabilities [rows] of each head, for rows sorted by request_id that have the student's features."""
    return predictor(fitted, threads)(rows)


def predictor(fitted: FittedStudent, threads: int = 1) -> "Predictor":
    """`predict_student` for many frames."""
    made = Predictor(fitted, threads)
    # Now, so that a model that cannot be put together is told at once.
    _ = made.probabilities
    return made


@dataclass(frozen=True)
class Predictor:
    """A student's predictions; its model is put together once, and once more wherever this is sent to."""

    fitted: FittedStudent
    threads: int = 1

    def __call__(self, rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        """As `predict_student`."""
        fitted = self.fitted
        probabilities = self.probabilities(fitted.encoder.encode(rows))
        heads = {head: probabilities[:, index] for index, head in enumerate(fitted.trained_heads)}
        if fitted.level is not None:
            heads[SCORED_HEAD] = fitted.level.moved(probabilities[:, -1])
        return heads

    @cached_property
    def probabilities(self) -> Callable[[EncodedRows], NDArray[np.float32]]:
        """Encoded rows -> float32 [rows, trained heads]."""
        fitted = self.fitted
        if fitted.text is not None:
            from ukdsl_assets.learning.students.trees import predict_trees

            return partial(predict_trees, fitted.text, threads=self.threads)
        import torch

        from ukdsl_assets.learning.networks import model

        torch.set_num_threads(self.threads)
        return partial(model.predict_network, load_model(fitted), heads=len(fitted.trained_heads))

    def __getstate__(self) -> dict[str, Any]:
        return {"fitted": self.fitted, "threads": self.threads}


def student_hidden_layer(fitted: FittedStudent, rows: pl.DataFrame) -> NDArray[np.float32]:
    """What the output layer of a student's network reads, float32 [rows, width], for rows as in `predict_student`.

    Raises:
        TrainingError: for trees and two_tower, which have no such layer.
    """
    from ukdsl_assets.learning.networks.model import hidden_layer

    if fitted.architecture.kind not in WITH_HIDDEN_LAYER:
        raise TrainingError(
            f"a model of architecture {fitted.architecture.kind} has no hidden layer before its output; expected one "
            f"of {', '.join(WITH_HIDDEN_LAYER)}"
        )
    return hidden_layer(load_model(fitted), fitted.encoder.encode(rows), output="heads")


def load_model(fitted: FittedStudent) -> "Model":
    """The network with the student's parameters, on the CPU.

    Raises:
        TrainingError: for trees, which are no network.
    """
    import torch

    from ukdsl_assets.learning.networks.model import Model

    network = new_network(_neural(fitted), fitted.encoder, fitted.trained_heads, base_rate=0.5, seed=0)
    layers = {n: torch.from_numpy(np.array(v)) for n, v in fitted.tensors.items() if n != EMBEDDING}
    network.load_state_dict(layers)
    return Model(torch.from_numpy(np.array(fitted.tensors[EMBEDDING])), network)


def baseline_shapes(fitted: FittedStudent) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every layer of the baseline's network, which has one head and no teacher's task.

    Raises:
        TrainingError: for trees.
    """
    network = new_network(_neural(fitted), fitted.encoder, ("impression",), base_rate=0.5, seed=0)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _neural(fitted: FittedStudent) -> NeuralArchitecture:
    if not fitted.architecture.is_network:
        raise TrainingError("the student's architecture is lightgbm, which has no network; expected another")
    return fitted.architecture


def new_network(
    architecture: NeuralArchitecture, encoder: Encoder, heads: tuple[str, ...], base_rate: float, seed: int
) -> "HasHeads":
    """The network of an architecture with random weights; arguments as `build_network`'s."""
    from ukdsl_assets.learning.networks.build import build_network
    from ukdsl_assets.learning.networks.inputs import Side

    request, candidate = Side(*encoder.count("request")), Side(*encoder.count("candidate"))
    return build_network(architecture, request, candidate, len(heads), base_rate, seed)
