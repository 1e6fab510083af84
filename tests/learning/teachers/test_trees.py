"""The LightGBM teacher: learns, repeats itself, and survives its checkpoint."""

import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, TEACHER, impressions
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.teachers.trees import (
    FittedTeacher,
    as_checkpoint,
    fit_teacher,
    from_checkpoint,
    predict_teacher,
)


@pytest.fixture(scope="module")
def teacher() -> FittedTeacher:
    return fit_teacher(CASCADE, TEACHER, impressions(), threads=1)


def test_learns_from_features_that_the_student_lacks(teacher: FittedTeacher) -> None:
    held = impressions(seed=1)
    labels = predict_teacher(teacher, held, threads=1)
    assert labels.columns == ["request_id", "candidate_id", "click_prediction", "conversion_prediction"]
    assert labels["request_id"].equals(held["request_id"])
    assert normalized_entropy(labels["click_prediction"].to_numpy(), held["click"].to_numpy()) < 0.9


def test_is_the_same_for_the_same_rows(teacher: FittedTeacher) -> None:
    again = fit_teacher(CASCADE, TEACHER, impressions(), threads=2)
    assert (again.text, again.figures) == (teacher.text, teacher.figures)


def test_checkpoint_round_trip_predicts_the_same(teacher: FittedTeacher) -> None:
    again = from_checkpoint(as_checkpoint(teacher), teacher.text)
    rows = impressions(seed=2)
    assert predict_teacher(again, rows, 1).equals(predict_teacher(teacher, rows, 1))


def test_unknown_ids_and_missing_vectors_are_predicted(teacher: FittedTeacher) -> None:
    rows = impressions(20).with_columns(ad=pl.lit(999), pair_signals=pl.lit(None, pl.Array(pl.Float32, 8)))
    assert predict_teacher(teacher, rows, 1)["click_prediction"].is_between(0, 1).all()


def test_a_task_without_both_outcomes_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"task click: 0 positives among 3000 rows; expected both outcomes"):
        fit_teacher(CASCADE, TEACHER, impressions().with_columns(click=pl.lit(0.0)), 1)


def test_a_teacher_teaches_what_its_stage_logs() -> None:
    assert CASCADE.tasks_taught(CASCADE.teacher("pre_ranking_logged")) == ["click"]
    assert CASCADE.tasks_taught(TEACHER) == ["click", "conversion"]
