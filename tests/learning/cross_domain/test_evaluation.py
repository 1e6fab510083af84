"""A teacher's figures in the cascade that it teaches, and the gate that a constant sets."""

import math

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.cross_domain.evaluation import (
    MEANINGS,
    constant_rules,
    evaluate_teacher,
    judge_against_constant,
)
from ukdsl_assets.learning.metrics.bootstrap import draws_of
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy


def shown(rows: int = 4000, seed: int = 0) -> pl.DataFrame:
    """Impressions, a request each, whose true click probability is a column."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.01, 0.3, rows)
    click = (rng.random(rows) < truth).astype(np.float32)
    conversion = pl.Series(np.where(click == 1, 0.0, np.nan).astype(np.float32)).fill_nan(None)
    return pl.DataFrame(
        {"request_id": np.arange(rows), "candidate_id": 1, "truth": truth, "click": click, "conversion": conversion}
    )


def labelled(rows: pl.DataFrame, prediction: pl.Expr) -> pl.DataFrame:
    return rows.select("request_id", "candidate_id", click_prediction=prediction, conversion_prediction=prediction)


def test_the_mean_label_has_ne_one_and_calibration_one() -> None:
    rows = shown()
    table = evaluate_teacher(labelled(rows, pl.col("click").mean()), rows, ["click"])
    assert table.columns == list(MEANINGS)
    figures = table.row(0, named=True)
    assert figures["ne"] == pytest.approx(1)
    assert figures["calibration"] == pytest.approx(1)
    assert figures["auc"] == pytest.approx(0.5, abs=1e-12)
    assert figures["rows"] == 4000


def test_the_standard_error_is_that_of_repeated_samples() -> None:
    tables = [
        evaluate_teacher(labelled(rows, pl.col("truth")), rows, ["click"]).row(0, named=True)
        for rows in (shown(1000, seed) for seed in range(100, 160))
    ]
    for name in ("ne", "calibration", "auc"):
        spread = np.std([table[name] for table in tables], ddof=1)
        # The spread of 60 samples is known to about a tenth.
        assert np.mean([table[f"{name}_error"] for table in tables]) == pytest.approx(spread, rel=0.3)


def test_errors_are_those_of_figures_on_rows_drawn_again() -> None:
    """The bootstrap written out: a weight is how often a replicate draws the request."""
    rows = shown(300)
    table = evaluate_teacher(labelled(rows, pl.col("truth")), rows, ["click"], seed=4).row(0, named=True)
    p, y = (rows[name].to_numpy().astype(float) for name in ("truth", "click"))
    draws = draws_of(rows, 4)
    for name, figure in (("calibration", calibration), ("ne", normalized_entropy)):
        drawn = [figure(p, y, draw) for draw in draws]
        assert table[f"{name}_error"] == pytest.approx(np.std(drawn, ddof=1), rel=1e-6)


def test_figures_without_rows_or_positives_are_undefined() -> None:
    rows = shown(50)
    table = evaluate_teacher(labelled(rows, pl.col("truth")).clear(), rows, ["click", "conversion"])
    assert table["rows"].to_list() == [0, 0]
    assert all(math.isnan(value) for value in table["ne"])
    none = evaluate_teacher(labelled(rows, pl.col("truth")), rows, ["conversion"])
    assert math.isnan(none["ne"][0])
    assert none["positives"][0] == 0


def judged(prediction: pl.Expr, rows: int = 4000, allowed: bool = False) -> dict[str, GateResult]:
    impressions = shown(rows)
    table = evaluate_teacher(labelled(impressions, prediction), impressions, ["click", "conversion"])
    return {each.name: each for each in judge_against_constant(CASCADE, table, allowed)}


def test_the_truth_passes_and_a_teacher_off_in_level_is_refused() -> None:
    assert judged(pl.col("truth"))["click_better_than_a_constant"].passed
    wrong = judged(pl.col("truth") * 3)["click_better_than_a_constant"]
    assert wrong.blocks
    assert "expected an NE below 1" in wrong.message
    assert wrong.seen["calibration"] == pytest.approx(3, rel=0.2)


def test_it_blocks_only_beyond_two_standard_errors() -> None:
    assert judged(pl.col("click").mean())["click_better_than_a_constant"].passed


def test_the_declaration_few_positives_and_delayed_labels_lift_it() -> None:
    allowed = judged(pl.col("truth") * 3, allowed=True)["click_better_than_a_constant"]
    assert not allowed.passed
    assert not allowed.blocks
    assert "allow_worse_than_constant" in allowed.message
    few = judged(pl.col("truth") * 3, rows=60)["click_better_than_a_constant"]
    assert not few.blocks
    assert "fewer than 20 positive labels" in few.message
    assert judged(pl.col("truth"))["conversion_better_than_a_constant"].message.startswith("not judged: 0 positives")


def test_rules_name_the_gates_in_order() -> None:
    assert list(constant_rules(["click", "conversion"])) == list(judged(pl.col("truth")))
