"""A GPU's way through a training gives what the CPU's gives, within the tolerance of float32 sums in another order."""

import numpy as np
import pytest
import torch

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
    DeepFmArchitecture,
    MlpArchitecture,
    TwoTowerArchitecture,
)
from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows, _torch_look_up
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training import trainer

ROWS = training_rows(requests=120)
ARCHITECTURES = [TwoTowerArchitecture(), MlpArchitecture(kind="mlp"), DeepFmArchitecture(kind="deepfm")]
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.kind)


def fitted(architecture: Architecture, device: str) -> FittedStudent:
    student = STUDENT.model_copy(update={"architecture": architecture, "requests_per_batch": 16, "epochs": 2})
    return fit_student(Training.of(CASCADE, student, "distilled", ROWS, device=device)).student


def assert_close(one: FittedStudent, other: FittedStudent) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for head, prediction in predict_student(one, ROWS).items():
        np.testing.assert_allclose(predict_student(other, ROWS)[head], prediction, atol=1e-4)


@each_architecture
def test_the_steps_of_a_gpu_train_as_the_kernels_do(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_kernels = fitted(architecture, "cpu")
    steps: list[int] = []

    def torch_step(self: EmbeddingRows, places: object, *given: object) -> None:
        steps.append(1)
        self._torch_step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(EmbeddingRows, "_kernel_step", torch_step)
    monkeypatch.setattr(trainer, "look_up", _torch_look_up)
    by_torch = fitted(architecture, "cpu")
    assert len(steps) == 2 * 8
    assert_close(by_kernels, by_torch)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
@each_architecture
def test_a_gpu_trains_as_the_cpu_does(architecture: Architecture) -> None:
    assert_close(fitted(architecture, "cpu"), fitted(architecture, "cuda"))
