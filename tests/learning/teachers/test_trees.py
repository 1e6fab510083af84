"""The LightGBM teacher: learns, repeats itself, survives its checkpoint, and is audited against labels."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, TEACHER, impressions
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.teachers.gates import judge_teacher_labels, teacher_rules, teacher_sums
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


def audited(scale: float, rows: int = 3000) -> dict[str, GateResult]:
    shown = impressions(rows)
    labels = shown.select(
        "request_id",
        "candidate_id",
        click_prediction=pl.lit(float(shown["click"].mean()) * scale),  # type: ignore[arg-type]
        conversion_prediction=pl.lit(0.3 * scale),
    )
    return judged(shown, labels)


def judged(shown: pl.DataFrame, labels: pl.DataFrame) -> dict[str, GateResult]:
    withheld = pl.Series([True] * len(shown))
    teacher = CASCADE.teacher("ranking_logged")
    results = judge_teacher_labels(CASCADE, teacher, teacher_sums(CASCADE, teacher, shown, labels, withheld))
    return {result.name: result for result in results}


def test_a_calibrated_teacher_passes_every_gate_that_is_declared() -> None:
    results = audited(1)
    assert results.keys() == teacher_rules(CASCADE, CASCADE.teacher("ranking_logged")).keys()
    assert all(result.passed for result in results.values())


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_a_teacher_that_is_off_is_blocked_and_the_bound_is_named(scale: float) -> None:
    result = audited(scale)["click_calibrated_on_withheld_impressions"]
    assert result.blocks
    assert f"calibration {scale:.3f}" in result.message
    assert "seen; expected a calibration of 0.7 to 1.4" in result.message
    assert "gates.teacher_calibration" in result.message
    assert audited(scale)["click_calibrated_on_exploration"].blocks


def test_a_teacher_that_is_not_a_number_is_blocked() -> None:
    shown = impressions()
    labels = shown.select("request_id", "candidate_id", click_prediction=np.nan, conversion_prediction=0.3)
    results = judged(shown, labels)
    assert results["labels_valid"].blocks
    assert results["click_calibrated_on_withheld_impressions"].blocks
    assert "3000 of 3000 predictions are not finite" in results["click_calibrated_on_withheld_impressions"].message


def test_a_teacher_that_predicts_clicks_where_there_are_none_is_blocked() -> None:
    shown = impressions().with_columns(click=pl.lit(0.0), conversion=pl.lit(None, pl.Float32))
    labels = shown.select("request_id", "candidate_id", click_prediction=0.1, conversion_prediction=0.3)
    assert judged(shown, labels)["click_calibrated_on_withheld_impressions"].blocks


def test_missing_and_repeated_labels_are_counted() -> None:
    shown = impressions(100)
    labels = shown.select("request_id", "candidate_id", click_prediction=0.3, conversion_prediction=0.3)
    result = judged(shown, labels[:90].vstack(labels[:5]))["labels_valid"]
    assert result.blocks
    assert "5 repeated, 10 of 100 shown rows without one" in result.message


def test_delayed_labels_tell_and_do_not_block() -> None:
    shown = impressions().with_columns(conversion=pl.lit(0.0))
    labels = shown.select("request_id", "candidate_id", click_prediction=0.3, conversion_prediction=0.3)
    result = judged(shown, labels)["conversion_calibrated_on_withheld_impressions"]
    assert not result.passed
    assert not result.blocks
    assert "delayed" in result.message


def test_few_positives_tell_but_do_not_block() -> None:
    result = audited(3, rows=60)["click_calibrated_on_exploration"]
    assert not result.blocks
    assert "cannot block" in result.message


def test_a_trained_teacher_is_judged_on_withheld_rows_alone() -> None:
    shown = impressions(400)
    labels = shown.select("request_id", "candidate_id", click_prediction=pl.lit(0.3), conversion_prediction=pl.lit(0.3))
    withheld = shown["request_id"] % 4 == 0
    for result in judge_teacher_labels(CASCADE, TEACHER, teacher_sums(CASCADE, TEACHER, shown, labels, withheld))[1:]:
        assert result.seen["rows"] <= withheld.sum()


def test_a_teacher_teaches_what_its_stage_logs() -> None:
    assert CASCADE.tasks_taught(CASCADE.teacher("pre_ranking_logged")) == ["click"]
    assert CASCADE.tasks_taught(TEACHER) == ["click", "conversion"]
