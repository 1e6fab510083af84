"""The gates between a teacher's labels and their publication: figures by hand, what blocks, and what only tells."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, TEACHER, impressions
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.teachers.gates import judge_teacher_labels, teacher_rules, teacher_sums
from ukdsl_assets.learning.teachers.sums import Agreement, LabelCounts


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


def test_sums_of_shards_are_those_of_all_rows() -> None:
    # Halves and quarters: their sums are exact on every processor.
    first = Agreement.of(np.array([0.5, 0.25], np.float32), np.array([1, 0], np.float32))
    second = Agreement.of(np.array([np.nan, 1.0, 0.75], np.float32), np.array([0, 1, 1], np.float32))
    assert (first.rows, first.not_finite, first.positives, first.predicted) == (2, 0, 1, 0.75)
    assert first.calibration == 0.75
    both = first + second
    assert (both.rows, both.not_finite, both.positives) == (5, 1, 3)
    assert np.isnan(both.predicted)
    assert (first + first).predicted == 1.5
    counts = LabelCounts(rows=1, wrong=2, repeated=3, scored=4, missing=5)
    assert counts + LabelCounts(10, 20, 30, 40, 50) == LabelCounts(11, 22, 33, 44, 55)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, None, float("nan")])
def test_a_label_outside_zero_and_one_in_any_task_is_wrong(wrong: float | None) -> None:
    keys = {"request_id": [1, 1, 2], "candidate_id": [1, 2, 1]}
    labels = pl.DataFrame(
        {**keys, "click_prediction": [0.0, 1.0, 0.5], "conversion_prediction": [0.5, wrong, 0.5]},
        schema_overrides={"conversion_prediction": pl.Float32},
    )
    assert LabelCounts.of(labels, scored=2, missing=1) == LabelCounts(rows=3, wrong=1, repeated=0, scored=2, missing=1)


@pytest.mark.parametrize(
    ("requests", "candidates", "repeated"),
    [
        ([1, 1, 2], [1, 2, 1], 0),
        ([2, 1, 1], [1, 2, 1], 0),
        ([1, 1, 2], [1, 1, 1], 1),
        ([1, 2, 1], [7, 7, 7], 1),
        (["a", "b", "b", "b"], ["x", "x", "x", "x"], 2),
        ([1], [1], 0),
        ([], [], 0),
    ],
)
def test_labels_of_one_key_are_counted_wherever_they_stand(
    requests: list[Any], candidates: list[Any], repeated: int
) -> None:
    labels = pl.DataFrame({"request_id": requests, "candidate_id": candidates}).with_columns(click_prediction=0.5)
    assert LabelCounts.of(labels, scored=0, missing=0).repeated == repeated


def test_shown_rows_of_the_teachers_stage_without_a_label_are_missing() -> None:
    shown = impressions(4)
    labels = shown.select("request_id", "candidate_id", click_prediction=0.1, conversion_prediction=0.1)
    for kept, missing in (([0, 1, 2, 3], 0), ([2, 0], 2), ([1, 1, 1], 3), ([], 4)):
        sums = teacher_sums(CASCADE, TEACHER, shown, labels[kept], pl.repeat(True, 4, eager=True))
        assert (sums.labels.scored, sums.labels.missing) == (4, missing)
        assert sums.agreement["click", "withheld_impressions"].rows == len(kept)


def test_a_teacher_is_off_beyond_two_standard_errors_of_the_count_of_labels() -> None:
    """400 of 2,000 rows are positive, +- 20: predicted labels may be 0.7 * 360 to 1.4 * 440."""
    shown = impressions(2000).with_columns(click=(pl.int_range(pl.len()) < 400).cast(pl.Float32))
    for predicted, passed in ((250, False), (254, True), (614, True), (618, False)):
        labels = shown.select(
            "request_id", "candidate_id", click_prediction=pl.lit(predicted / 2000), conversion_prediction=pl.lit(0.3)
        )
        assert judged(shown, labels)["click_calibrated_on_withheld_impressions"].passed is passed, predicted
