"""Explored rows pooled over days are as the rows of all days together."""

import math

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.declaration.columns import EXPLORED, EXPLORED_TRAILING, IMP
from ukdsl_assets.learning.evaluation.explored import SUMS, ExploredSums, interval, pooled
from ukdsl_assets.learning.evaluation.table import completed, evaluate
from ukdsl_assets.learning.metrics.weighted import calibration_on_log_scale, effective_number

BASELINE = ("baseline", "impression")


def explored_day(seed: int, requests: int = 40, rate: float = 0.3) -> tuple[pl.DataFrame, np.ndarray]:
    """Three explored rows a request, of propensities that differ by a hundredfold."""
    rng = np.random.default_rng(seed)
    n = 3 * requests
    rows = pl.DataFrame(
        {
            "request_id": np.arange(n) // 3,
            "domain": [IMP] * n,
            "target": (rng.random(n) < rate).astype(np.float32),
            "weight": np.ones(n, np.float32),
            "explored": [True] * n,
            "propensity": np.exp(rng.uniform(-4.6, 0, n)).astype(np.float32),
        }
    )
    return rows, rng.uniform(0.1, 0.6, n).astype(np.float32)


def together(days: list[tuple[pl.DataFrame, np.ndarray]]) -> tuple[np.ndarray, ...]:
    """Prediction, label, weight and request of all days; a request of each day is one of its own."""
    p = np.concatenate([each for _, each in days]).astype(float)
    y, w = (
        np.concatenate([rows[name].to_numpy().astype(float) for rows, _ in days]) for name in ("target", "propensity")
    )
    request = np.concatenate([rows["request_id"].to_numpy() + 1000 * number for number, (rows, _) in enumerate(days)])
    return p, y, 1 / w, request


def test_pooled_days_have_the_calibration_and_the_error_of_all_their_rows() -> None:
    days = [explored_day(seed, requests) for seed, requests in ((0, 40), (1, 7), (2, 90))]
    tables = [evaluate(rows, {BASELINE: p}) for rows, p in days]
    (row,) = pooled(pl.concat(tables)).iter_rows(named=True)
    p, y, w, request = together(days)
    log_calibration, error = calibration_on_log_scale(p, y, w, request)
    assert (row["domain"], row["rows"], row["days"], row["positives"]) == (EXPLORED_TRAILING, len(y), 3, y.sum())
    assert row["calibration"] == pytest.approx(math.exp(log_calibration), rel=1e-5)
    assert interval(row["calibration"], row["calibration_error"]) == pytest.approx(
        [math.exp(log_calibration + sign * 1.96 * error) for sign in (-1, 1)], rel=1e-5
    )
    assert row["mean_reference"] == pytest.approx(np.average(y, weights=w), rel=1e-5)
    assert row["effective_rows"] == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-5)
    sums = ExploredSums(*row[SUMS])
    assert sums.effective_requests == pytest.approx(effective_number(w, request), rel=1e-5)
    assert sums.effective_positives == pytest.approx(effective_number(w * y, request), rel=1e-5)
    assert sums.effective_predicted == pytest.approx((w * p).sum() ** 2 / (w**2 * p).sum(), rel=1e-5)


def test_a_day_without_a_positive_label_counts_and_alone_is_undefined() -> None:
    some, none = (explored_day(seed, rate=rate) for seed, rate in ((0, 0.3), (1, 0.0)))
    tables = [evaluate(rows, {BASELINE: p}) for rows, p in (some, none)]
    (alone,), (both,) = (pooled(each).to_dicts() for each in (tables[1], pl.concat(tables)))
    assert math.isnan(alone["calibration"])
    assert math.isnan(interval(alone["calibration"], alone["calibration_error"])[0])
    p, y, w, _ = together([some, none])
    assert both["calibration"] == pytest.approx((w * p).sum() / (w * y).sum(), rel=1e-5)


def test_nothing_is_pooled_of_tables_that_were_made_before_there_were_sums() -> None:
    rows, p = explored_day(0)
    table = evaluate(rows, {BASELINE: p})
    old = completed(table.filter(domain=IMP).drop("effective_rows", "recall", "value_share", "days", SUMS))
    assert pooled(old.select(table.columns)).is_empty()
    assert pooled(pl.concat([old.select(table.columns), table]))["rows"].to_list() == [120]
    assert EXPLORED not in old["domain"]
