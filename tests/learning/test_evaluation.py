"""The evaluation table and the gates that it feeds."""

import math

import numpy as np
import polars as pl
import pytest

from tests.learning.rows import CASCADE, STUDENT
from ukdsl_assets.learning.audit import (
    judge_student,
    no_withheld_request,
    parameters_finite,
    refusals,
    same_predictions,
)
from ukdsl_assets.learning.evaluation import evaluate, figure
from ukdsl_assets.learning.metrics import calibration, normalized_entropy

RNG = np.random.default_rng(0)
ROWS = pl.DataFrame(
    {
        "domain": ["IMP"] * 40 + ["CD"] * 60,
        "target": np.concatenate([RNG.integers(0, 2, 40), RNG.random(60)]).astype(np.float32),
        "weight": np.concatenate([np.ones(40), RNG.random(60) * 3]).astype(np.float32),
        "truth": RNG.random(100).astype(np.float32),
    }
)
PREDICTIONS = {
    ("baseline", "impression"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
    ("distilled", "impression"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
    ("distilled", "consideration"): RNG.uniform(0.2, 0.8, 100).astype(np.float32),
}


def test_one_row_an_arm_head_domain_and_reference_with_the_metrics_of_its_rows() -> None:
    table = evaluate(ROWS, PREDICTIONS)
    assert len(table) == 3 * 4
    considered = ROWS["domain"] == "CD"
    p = PREDICTIONS["distilled", "consideration"][considered.to_numpy()]
    y, w = (ROWS.filter(considered)[name].to_numpy() for name in ("target", "weight"))
    where = {"arm": "distilled", "head": "consideration", "domain": "CD", "reference": "teacher"}
    assert figure(table, "rows", **where) == 60
    assert figure(table, "calibration", **where) == pytest.approx(calibration(p, y, w))
    assert figure(table, "ne", **where) == pytest.approx(normalized_entropy(p, y, w))
    base = figure(table, "ne", **(where | {"arm": "baseline", "head": "impression"}))
    assert figure(table, "ne_change", **where) == pytest.approx(figure(table, "ne", **where) / base - 1)


def test_the_baseline_does_not_differ_from_itself() -> None:
    assert evaluate(ROWS, PREDICTIONS).filter(arm="baseline")["ne_change"].to_list() == [0.0] * 4


def test_without_truth_no_row_claims_one() -> None:
    for rows in (ROWS.drop("truth"), ROWS.with_columns(truth=pl.lit(None, pl.Float32))):
        assert set(evaluate(rows, PREDICTIONS)["reference"]) == {"label", "teacher"}


def test_a_domain_without_rows_is_undefined_not_zero() -> None:
    table = evaluate(ROWS.filter(domain="IMP"), {key: p[:40] for key, p in PREDICTIONS.items()})
    assert math.isnan(figure(table, "calibration", arm="baseline", head="impression", domain="CD", reference="teacher"))


def test_a_figure_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="0 rows match"):
        figure(evaluate(ROWS, PREDICTIONS), "ne", arm="oracle")


def table_with(calibration: float, change: float) -> pl.DataFrame:
    """An evaluation in which impressions are calibrated and considered rows as asked for."""
    chosen = pl.when(domain="CD").then(calibration).otherwise(1.0)
    return evaluate(ROWS, PREDICTIONS).with_columns(calibration=chosen, ne_change=pl.lit(change))


def test_a_good_student_has_nothing_to_refuse() -> None:
    assert refusals(judge_student(CASCADE, STUDENT, table_with(1.0, -0.01))) == []


@pytest.mark.parametrize("seen", [0.5, 1.5, math.nan])
def test_a_miscalibrated_student_is_refused_with_the_figure_and_the_bound(seen: float) -> None:
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(seen, 0)))
    assert len(reasons) == 1
    assert (
        f"calibration {seen:.3f} against the teacher; expected 0.85 to 1.15 (gates.student_calibration)" in reasons[0]
    )


def test_a_student_that_is_off_on_labels_is_refused_only_beyond_two_standard_errors() -> None:
    def judged(rows: int) -> list[str]:
        off = pl.when(domain="IMP").then(1.3).otherwise("calibration")
        few = table_with(1.0, 0.0).with_columns(calibration=off, rows=pl.lit(rows), mean_reference=pl.lit(0.05))
        return refusals(judge_student(CASCADE, STUDENT, few))

    assert judged(rows=1_000) == []
    assert "calibrated_on_impression: calibration 1.300" in judged(rows=10_000)[0]


@pytest.mark.parametrize("change", [0.05, math.nan])
def test_a_student_with_worse_entropy_is_refused_on_both_domains(change: float) -> None:
    reasons = refusals(judge_student(CASCADE, STUDENT, table_with(1.0, change)))
    assert [reason.split(":")[0] for reason in reasons] == [
        "normalized_entropy_on_impression_kept",
        "normalized_entropy_on_consideration_kept",
    ]


def test_parameters_that_are_not_finite_are_found_by_name() -> None:
    assert parameters_finite({"bias": np.zeros(2, np.float32)}).passed
    result = parameters_finite({"bias": np.array([1, np.nan, np.inf], np.float32)})
    assert result.blocks
    assert "{'bias': 2}" in result.message


def test_a_reloaded_prediction_must_be_the_same_bit_by_bit() -> None:
    p = {"impression": np.array([0.1, 0.2], np.float32)}
    assert same_predictions(p, {"impression": p["impression"].copy()}).passed
    assert same_predictions(p, {"impression": np.nextafter(p["impression"], np.float32(1))}).blocks
    assert same_predictions(p, {}).blocks


def test_a_withheld_request_in_training_is_found_and_shown() -> None:
    requests = pl.Series([5, 6, 7])
    assert no_withheld_request(requests, pl.Series([False] * 3)).passed
    result = no_withheld_request(requests, pl.Series([False, True, False]))
    assert result.blocks
    assert "[6]" in result.message
