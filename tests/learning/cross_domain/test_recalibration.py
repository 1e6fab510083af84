"""A foreign teacher's predictions on a line that this surface's labels fit, or as they are where labels are too few."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.cross_domain.recalibration import Line, fit_line, recalibrated
from ukdsl_assets.learning.metrics.calibration import calibration, cross_entropy
from ukdsl_assets.learning.metrics.least_positives import TO_JUDGE_A_FOREIGN_TEACHER
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt


def drawn(rows: int = 3000, level: float = -2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A teacher's predictions, three times too high at this level, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    truth = sigmoid(rng.normal(level, 1, rows))
    return (3 * truth / (1 + 2 * truth)).astype(np.float32), (rng.random(rows) < truth).astype(np.float32)


def test_the_line_is_platts_and_brings_the_level_of_the_labels() -> None:
    prediction, label = drawn()
    line = fit_line(prediction, label)
    assert (line.slope, line.intercept) == fit_platt(prediction, label)
    assert (line.rows, line.positives) == (3000, int(label.sum()))
    # Three times the odds is log 3 in the logit.
    assert line.slope == pytest.approx(1, abs=0.15)
    assert line.intercept == pytest.approx(-np.log(3), abs=0.25)
    moved = line.moved(prediction)
    assert moved.dtype == np.float32
    assert calibration(moved, label) == pytest.approx(1, abs=1e-4)
    assert cross_entropy(moved, label) < cross_entropy(prediction, label)
    assert (np.diff(moved[np.argsort(prediction, kind="stable")]) >= 0).all()
    assert line.message.startswith(
        f"slope {line.slope:.6g}, intercept {line.intercept:.6g}, fitted to 3000 impressions"
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_it_takes_as_many_labels_of_either_kind_and_else_nothing_is_moved(positives: int, negatives: int) -> None:
    prediction = drawn(positives + negatives)[0]
    label = np.repeat([1.0, 0.0], [positives, negatives]).astype(np.float32)
    line = fit_line(prediction, label)
    fewer = min(positives, negatives)
    assert line.fitted == (fewer >= TO_JUDGE_A_FOREIGN_TEACHER)
    if not line.fitted:
        assert (line.slope, line.intercept) == (1, 0)
        assert line.moved(prediction) is prediction
        kind = "positive" if positives <= negatives else "negative"
        assert (
            f"as it is, since {fewer} {kind} labels are fewer than the {TO_JUDGE_A_FOREIGN_TEACHER} it takes"
            in line.message
        )
        assert f"({positives + negatives} impressions that are not withheld, with {positives} positive" in line.message


def test_a_teacher_that_says_one_thing_or_no_number_stays_as_it_is() -> None:
    prediction, label = drawn()
    for wrong in (np.full_like(prediction, 0.2), np.where(label == 1, np.nan, prediction)):
        line = fit_line(wrong, label)
        assert not line.fitted
        assert "do not differ or are not numbers" in line.message
        np.testing.assert_array_equal(line.moved(wrong), wrong)


def test_a_reversed_order_is_told() -> None:
    prediction, label = drawn()
    assert "below 0, so the teacher's order is reversed" in fit_line(1 - prediction, label).message


def test_only_the_tasks_with_a_line_are_moved_and_all_else_stays() -> None:
    prediction, label = drawn()
    line, none = fit_line(prediction, label), Line(5, 0, why_not="too few")
    columns = {"click_prediction": prediction, "view_prediction": prediction, "representation": [[1.0]] * 3000}
    frame = pl.DataFrame({"request_id": range(3000), **columns})
    found = recalibrated(frame, {"click": line, "view": none})
    assert found.columns == frame.columns
    assert found.schema == frame.schema
    expected = apply_platt(prediction, line.slope, line.intercept)
    np.testing.assert_array_equal(found["click_prediction"].to_numpy(), expected)
    assert found.drop("click_prediction").equals(frame.drop("click_prediction"))
    assert recalibrated(frame, {}).equals(frame)
