"""Teachers on explored rows: a day and the pooled days, the gate, and the correction."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import logit

from tests.fixtures.rows import CASCADE
from tests.fixtures.shifted_predictions import drawn
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.teachers.exploration import MEANINGS, audit_on_exploration, correction_of
from ukdsl_assets.learning.teachers.verdicts import judge_exploration

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


def rows_of(*groups: tuple[int, int, float, float]) -> pl.DataFrame:
    """Requests of one row each.

    Args:
        groups: requests, how many of them have a positive label, propensity, prediction.
    """
    frames = [
        pl.DataFrame(
            {
                "day": [DAY] * requests,
                "request_id": [number * 10**6 + each for each in range(requests)],
                "propensity": pl.Series([propensity] * requests, dtype=pl.Float32),
                "click": pl.Series([1.0] * positives + [0.0] * (requests - positives), dtype=pl.Float32),
                "click_prediction": pl.Series([prediction] * requests, dtype=pl.Float32),
            }
        )
        for number, (requests, positives, propensity, prediction) in enumerate(groups)
    ]
    return pl.concat(frames)


def trailing(rows: pl.DataFrame) -> tuple[dict[str, Any], GateResult]:
    """The row of the pooled days, and the verdict on it."""
    table = audit_on_exploration(CASCADE, TEACHER, rows, DAY)
    (verdict,) = judge_exploration(CASCADE, table)
    return table.row(by_predicate=pl.col("period") == "trailing", named=True), verdict


def test_each_row_stands_for_as_many_as_its_propensity_says() -> None:
    """300 rows at a half stand for 600 that are clicked less than the teacher says, 300 at a tenth for 3,000 that are
    clicked more: as logged the two balance, among all candidates they do not."""
    row, verdict = trailing(rows_of((300, 30, 0.5, 0.2), (300, 90, 0.1, 0.2)))
    assert row["positives"] / row["rows"] == pytest.approx(0.2)
    assert row["mean_prediction"] == pytest.approx(0.2)
    assert row["mean_label"] == pytest.approx(960 / 3600)
    assert row["calibration"] == pytest.approx(0.75)
    assert row["logit_shift"] == pytest.approx(logit(960 / 3600) - logit(0.2))
    # Labels' errors inside each group, weighted; predictions are all the same.
    residuals = [(30, 2, 11 / 15), (270, 2, -4 / 15), (90, 10, 11 / 15), (210, 10, -4 / 15)]
    spread = sum(rows * (weight * residual) ** 2 for rows, weight, residual in residuals)
    error = np.sqrt(spread) / (3600 * 4 / 15 * 11 / 15)
    assert row["logit_shift_error"] == pytest.approx(error)
    assert row["correction"] == pytest.approx(row["logit_shift"] * (1 - (error / row["logit_shift"]) ** 2))
    # (sum w)^2 / sum w^2
    assert row["effective_requests"] == pytest.approx(3600**2 / (300 * 4 + 300 * 100))
    assert row["effective_positives"] == pytest.approx(960**2 / (30 * 4 + 90 * 100))
    assert row["effective_negatives"] == pytest.approx(2640**2 / (270 * 4 + 210 * 100))
    assert row["effective_predicted"] == pytest.approx(720**2 / (60 * 4 + 60 * 100))
    assert verdict.passed
    assert verdict.message.endswith(f"a correction adds {row['correction']:+.3f} to its logits")


# What there is too little of -> (rows, the reason).
TOO_FEW = {
    "one negative row of a tiny propensity": (
        rows_of((400, 80, 0.5, 0.2), (1, 0, 1e-6, 0.2)),
        "1.0 effective explored requests of 100 needed, 1.0 effective negative labels",
    ),
    "one positive row of a tiny propensity": (
        rows_of((400, 80, 0.5, 0.2), (1, 1, 1e-9, 0.2)),
        "1.0 effective explored requests of 100 needed, 1.0 effective positive labels",
    ),
    "one positive label": (rows_of((1142, 1, 0.25, 0.02)), "1.0 effective positive labels in explored rows of 50"),
    "none at all": (rows_of((1142, 0, 0.25, 0.02)), "0.0 effective positive labels in explored rows of 50 needed"),
    "one positive label too few": (rows_of((1000, 49, 0.25, 0.1)), "49.0 effective positive labels"),
    "one negative label too few": (rows_of((1000, 951, 0.25, 0.9)), "49.0 effective negative labels"),
    "one request too few": (rows_of((99, 49, 1.0, 0.2)), "99.0 effective explored requests of 100 needed, 49.0"),
    "a weight on a few positive labels": (
        rows_of((5000, 400, 1.0, 0.2), (5, 5, 0.01, 0.2)),
        "effective positive labels in explored rows of 50 needed",
    ),
    "requests that show much": (
        rows_of((3000, 600, 0.25, 0.1)).with_columns(request_id=pl.col("request_id") % 60),
        "60.0 effective explored requests of 100 needed",
    ),
}


@pytest.mark.parametrize(("rows", "reason"), TOO_FEW.values(), ids=TOO_FEW)
def test_too_few_labels_or_requests_correct_nothing_and_say_so(rows: pl.DataFrame, reason: str) -> None:
    row, verdict = trailing(rows)
    assert row["correction"] == 0
    assert reason in row["not_corrected"]
    assert f"not corrected, because of {row['not_corrected']}" in verdict.message


def test_from_the_least_number_on_a_teacher_is_corrected() -> None:
    row, verdict = trailing(rows_of((100, 50, 0.25, 0.2)))
    assert row["not_corrected"] is None
    assert row["correction"] == pytest.approx(row["logit_shift"], rel=0.05)
    assert not verdict.passed
    agreeing, verdict = trailing(rows_of((1000, 100, 0.25, 0.101)))
    assert agreeing["correction"] == 0
    assert "not corrected, because the shift of -0.011 is within its error of" in verdict.message


def test_an_audit_judges_from_the_least_number_of_positive_labels_seen_or_predicted() -> None:
    def judged(requests: int, positives: int, prediction: float) -> GateResult:
        return trailing(rows_of((requests, positives, 0.25, prediction)))[1]

    assert judged(1000, 19, 0.0005).message.startswith("not judged: 19 positive labels in 1000 explored rows; 19.0 eff")
    assert not judged(1000, 20, 0.005).passed
    # Few clicks where many were predicted are evidence.
    assert not judged(1000, 3, 0.05).passed
    assert judged(1000, 3, 0.004).message.startswith("not judged: 3 positive")
    assert judged(99, 40, 0.2).message.startswith("not judged: 40 positive labels in 99 explored rows; 99.0 effective")


def test_without_explored_rows_or_positive_labels_nothing_is_judged_and_nothing_corrected() -> None:
    some = explored(DAY, 1)
    for rows in (some.clear(), some.filter(pl.col("click") == 0)):
        table = audit_on_exploration(CASCADE, TEACHER, rows, DAY)
        assert table.height == 2
        assert table["calibration"].null_count() == 2
        assert correction_of(table, "click") == 0
        (verdict,) = judge_exploration(CASCADE, table)
        assert (verdict.passed, verdict.judged, verdict.blocks) == (False, False, False)
        assert verdict.message.startswith("not judged")
    with pytest.raises(KeyError, match="'conversion'"):
        correction_of(table, "conversion")
