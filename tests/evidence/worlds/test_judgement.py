"""Sums that judge arms: equal to the metrics of all rows at once, and an arm's own choice."""

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.declaration.columns import CD, IMP, OWN, REJECTED, SCORED
from ukdsl_assets.evidence.worlds.judgement import NEXT_DAY, SAME_DAY, Judgement, Sums, own_choice
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy

RANDOM = np.random.default_rng(0)


def uniform(count: int) -> np.ndarray:
    return RANDOM.uniform(0.01, 0.3, count).astype(np.float32)


def day(requests: int = 3) -> pl.DataFrame:
    """Six shown rows a request, then the 80 scored ones of each."""
    shown, every = 6 * requests, 80 * requests
    return pl.DataFrame(
        {
            "domain": [IMP] * shown + ([CD] * 24 + [REJECTED] * 56) * requests,
            "bid": uniform(shown + every),
            "target": np.append(RANDOM.integers(0, 2, shown), uniform(every)).astype(np.float32),
            "teacher": uniform(shown + every),
            "truth": uniform(shown + every),
        }
    )


def test_sums_over_days_give_the_metrics_of_all_rows_together() -> None:
    days = [day(), day(5)]
    predictions = [uniform(len(rows)) for rows in days]
    judgement = Judgement()
    for rows, prediction in zip(days, predictions, strict=True):
        judgement.add("arm", SAME_DAY, rows, prediction, prediction)
    together = pl.concat(days).with_columns(p=np.concatenate(predictions))
    figures = {(row["domain"], row["reference"]): row for row in judgement.figures("arm")}
    for domain, reference, column, where in (
        (IMP, "label", "target", pl.col("domain") == IMP),
        (CD, "truth", "truth", pl.col("domain") == CD),
        (SCORED, "teacher", "teacher", pl.col("domain") != IMP),
    ):
        rows = together.filter(where)
        found = figures[domain, reference]
        assert found["rows"] == len(rows)
        assert found["calibration"] == pytest.approx(calibration(rows["p"], rows[column]))
        assert found["ne"] == pytest.approx(normalized_entropy(rows["p"], rows[column]))
        assert found["ne_change"] == 0
    assert figures[OWN, "truth"]["ne"] is None
    assert figures[OWN, "truth"]["rows"] == 24 * 8


def test_impressions_are_judged_by_one_head_and_all_else_by_the_one_that_serves() -> None:
    rows = day()
    judgement = Judgement()
    judgement.add("arm", NEXT_DAY, rows, np.full(len(rows), 0.2, np.float32), np.full(len(rows), 0.1, np.float32))
    means = {place[0]: sums.prediction / sums.rows for (_, _, place), sums in judgement.sums.items()}
    assert means == pytest.approx({IMP: 0.2, CD: 0.1, SCORED: 0.1, OWN: 0.1})
    assert all(row["ne_change"] is None for row in judgement.figures("another arm"))


def test_the_own_choice_is_of_the_highest_value_and_selects_its_own_errors() -> None:
    bid, prediction = np.ones(160, np.float32), uniform(160)
    chosen = own_choice(bid, prediction).reshape(2, 80)
    assert chosen.sum(axis=1).tolist() == [24, 24]
    values = prediction.reshape(2, 80)
    assert (values[chosen].reshape(2, 24).min(axis=1) >= values[~chosen].reshape(2, 56).max(axis=1)).all()
    assert own_choice(np.where(chosen.ravel(), 1e-3, 1).astype(np.float32), prediction)[chosen.ravel()].sum() == 0


def test_no_rows_and_one_outcome_give_nothing_to_compare() -> None:
    nothing = np.empty(0, np.float32)
    assert np.isnan(Sums.of(nothing, nothing).normalized_entropy)
    certain = Sums.of(uniform(4), np.zeros(4, np.float32))
    assert np.isnan(certain.calibration)
    assert np.isnan(certain.normalized_entropy)
