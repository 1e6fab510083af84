"""Teachers on explored rows: a day and the pooled days, the gate, and the correction."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE
from tests.fixtures.shifted_predictions import drawn
from ukdsl_assets.learning.teachers.exploration import MEANINGS, audit_on_exploration, correction_of, judge_exploration

DAY, BEFORE = date(2026, 1, 5), date(2026, 1, 4)
TEACHER = CASCADE.teacher("pre_ranking_logged")


def explored(day: date, seed: int, shift: float = 0.5, requests: int = 3000) -> pl.DataFrame:
    prediction, label, weight, request = drawn(seed, shift, requests)
    return pl.DataFrame(
        {
            "day": pl.Series([day] * label.size),
            "request_id": request,
            "propensity": 1 / weight,
            "click": label,
            "click_prediction": prediction,
        }
    )


def test_the_table_has_the_day_and_the_pooled_days_whose_error_is_smaller() -> None:
    table = audit_on_exploration(CASCADE, TEACHER, pl.concat([explored(DAY, 1), explored(BEFORE, 2)]), DAY)
    assert tuple(table.columns) == tuple(MEANINGS)
    day, trailing = table.rows(named=True)
    assert (day["period"], day["days"], day["requests"], day["rows"]) == ("day", 1, 3000, 9000)
    # The same request number on another day is another request.
    assert (trailing["days"], trailing["requests"], trailing["rows"]) == (2, 6000, 18000)
    assert trailing["logit_shift_error"] == pytest.approx(day["logit_shift_error"] / np.sqrt(2), rel=0.1)
    assert trailing["logit_shift"] == pytest.approx(-0.5, abs=3 * trailing["logit_shift_error"])
    assert trailing["logit_shift"] < correction_of(table, "click") < 0
    assert correction_of(table, "click") == trailing["correction"]


def test_a_teacher_far_off_fails_and_one_that_is_right_passes() -> None:
    for shift, passed in ((1.2, False), (0.0, True)):
        table = audit_on_exploration(CASCADE, TEACHER, explored(DAY, 3, shift), DAY)
        (verdict,) = judge_exploration(CASCADE, table)
        assert (verdict.name, verdict.passed) == ("click_agrees_on_exploration", passed)


def test_without_explored_rows_or_positive_labels_nothing_is_judged_and_nothing_corrected() -> None:
    some = explored(DAY, 1)
    for rows in (some.clear(), some.filter(pl.col("click") == 0)):
        table = audit_on_exploration(CASCADE, TEACHER, rows, DAY)
        assert table.height == 2
        assert table["calibration"].null_count() == 2
        assert correction_of(table, "click") == 0
        (verdict,) = judge_exploration(CASCADE, table)
        assert verdict.passed
        assert verdict.message.startswith("not judged")
    with pytest.raises(KeyError, match="'conversion'"):
        correction_of(table, "conversion")
