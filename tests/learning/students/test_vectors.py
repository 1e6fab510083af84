"""Vectors of the towers give the student's own predictions."""

import numpy as np
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.vectors import tower_vectors


def test_dot_products_are_the_logits_of_each_head() -> None:
    rows = training_rows(60)
    fitted = fit_student(Training.of(CASCADE, STUDENT, "distilled", rows)).student
    request_of_row = rows["request_id"].rank("dense").to_numpy() - 1
    assert STUDENT.architecture.kind == "two_tower"
    for head, expected in predict_student(fitted, rows).items():
        request, candidate = tower_vectors(fitted, rows, head)
        assert request.shape == (60, STUDENT.architecture.output + 2)
        assert len(candidate) == len(rows)
        logits = (request[request_of_row] * candidate).sum(1)
        np.testing.assert_allclose(sigmoid(logits), expected, rtol=1e-5)


def test_only_two_towers_have_vectors() -> None:
    student = STUDENT.model_copy(update={"architecture": MlpArchitecture(kind="mlp")})
    rows = training_rows(30)
    fitted = fit_student(Training.of(CASCADE, student, "baseline", rows)).student
    with pytest.raises(TrainingError, match="architecture is mlp, expected two_tower"):
        tower_vectors(fitted, rows, "impression")
