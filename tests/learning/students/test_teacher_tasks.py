"""Dependent and auxiliary tasks teach a student in training and leave nothing behind in what it serves."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import Architecture, DcnV2Architecture, DeepFmArchitecture, MlpArchitecture
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import baseline_shapes, predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.warm_start import can_continue
from ukdsl_assets.learning.training.gates import serves_the_main_task_alone

ARMS = [("impression", "dependent"), ("impression", "auxiliary"), ("impression", "dependent", "auxiliary")]
ARCHITECTURES: list[Architecture] = [
    STUDENT.architecture,
    MlpArchitecture(kind="mlp", hidden=(16,)),
    DcnV2Architecture(kind="dcn_v2", hidden=(16,)),
    DeepFmArchitecture(kind="deepfm", hidden=(16,)),
]


def declared(*heads: str, **changes: object) -> Student:
    fast = {"epochs": 4, "requests_per_batch": 16, "learning_rate": 0.01}
    return STUDENT.model_copy(update={"heads": heads, **fast, **changes})


def unlabeled(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as teacher_augmented has them for such a student: a row is labelled or taught, never both."""
    return rows.filter((pl.col("domain") == "IMP") | (pl.col("candidate_id") >= 3))


ROWS = unlabeled(training_rows(300))


def fitted(*heads: str, arm: str = "distilled", rows: pl.DataFrame = ROWS, **changes: object) -> FittedStudent:
    return fit_student(Training.of(CASCADE, declared(*heads, **changes), arm, rows)).student  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.kind)
@pytest.mark.parametrize("heads", ARMS, ids="+".join)
def test_the_served_parameters_are_the_baselines_no_more(architecture: Architecture, heads: tuple[str, ...]) -> None:
    student = fitted(*heads, architecture=architecture, epochs=1)
    baseline = fitted(*heads, arm="baseline", architecture=architecture, epochs=1)
    assert student.heads == baseline.heads == ("impression",)
    shapes = [{n: v.shape for n, v in s.tensors.items() if n != EMBEDDING} for s in (student, baseline)]
    assert shapes[0] == shapes[1]
    assert serves_the_main_task_alone(student.tensors, baseline_shapes(student)).passed
    assert predict_student(student, ROWS).keys() == {"impression"}


def test_a_parameter_of_a_task_that_was_left_is_named() -> None:
    two = fitted("impression", "consideration", architecture=MlpArchitecture(kind="mlp"), epochs=1)
    result = serves_the_main_task_alone(two.tensors, baseline_shapes(two))
    assert result.blocks
    assert "different: heads.bias, heads.weight" in result.message


@pytest.mark.parametrize("heads", ARMS, ids="+".join)
def test_each_arm_learns_from_rows_without_a_label(heads: tuple[str, ...]) -> None:
    held = training_rows(seed=1).filter(domain="CD")
    truth = held["target"].to_numpy()
    taught = predict_student(fitted(*heads), held)["impression"]
    alone = predict_student(fitted(*heads, arm="baseline"), held)["impression"]
    assert normalized_entropy(taught, truth) < normalized_entropy(alone, truth) - 0.01


@pytest.mark.parametrize("heads", ARMS, ids="+".join)
def test_the_main_task_keeps_the_level_of_labels_under_a_teacher_that_says_half(heads: tuple[str, ...]) -> None:
    half = pl.when(domain="CD").then(pl.col("target") / 2).otherwise("target").cast(pl.Float32)
    rows = ROWS.with_columns(target=half)
    main = predict_student(fitted(*heads, rows=rows, epochs=20, loss=declared().loss), rows)["impression"]
    shown = (rows["domain"] == "IMP").to_numpy()
    assert calibration(main[shown], rows["target"].to_numpy()[shown]) == pytest.approx(1, abs=0.1)


def test_a_student_may_take_tasks_on_and_off_from_day_to_day() -> None:
    yesterday = fitted("impression", "dependent", "auxiliary")
    for today in (declared("impression", "auxiliary"), declared("impression", "dependent")):
        assert can_continue(yesterday, CASCADE, today, "distilled")
        assert fit_student(Training.of(CASCADE, today, "distilled", ROWS, previous=yesterday)).student.heads == (
            "impression",
        )
    assert not can_continue(yesterday, CASCADE, declared("impression", "consideration"), "distilled")


def test_the_same_rows_give_the_same_bytes_and_another_arm_others() -> None:
    one, again, other = (fitted(*heads, epochs=1) for heads in (ARMS[2], ARMS[2], ARMS[1]))
    assert all(value.tobytes() == again.tensors[name].tobytes() for name, value in one.tensors.items())
    assert not np.array_equal(one.tensors["bias"], other.tensors["bias"])


@pytest.mark.parametrize(
    ("heads", "kind"),
    [
        (["dependent"], "mlp"),
        (["dependent", "impression"], "mlp"),
        (["impression", "consideration", "auxiliary"], "mlp"),
        (["impression", "auxiliary", "auxiliary"], "mlp"),
        (["impression", "auxiliary"], "lightgbm"),
    ],
)
def test_heads_that_make_no_sense_are_refused(heads: list[str], kind: str) -> None:
    with pytest.raises(ValueError, match="`heads`"):
        Student.model_validate({**STUDENT.model_dump(), "heads": heads, "architecture": kind})
