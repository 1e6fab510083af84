"""Calibration by decile and segment: the groups make up the whole, and each is what its rows alone say."""

import math

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.learning.bootstrap import replicate_weights
from ukdsl_assets.learning.groups import COLUMNS, calibration_by_group, deciles, segment_values
from ukdsl_assets.learning.metrics import calibration

RNG = np.random.default_rng(0)
ROWS = pl.DataFrame(
    {
        "request_id": np.arange(300) // 6,
        "domain": ["IMP", "CD", "CD"] * 100,
        "target": RNG.uniform(0.1, 1, 300).astype(np.float32),
        "weight": RNG.uniform(1, 3, 300).astype(np.float32),
        "country": pl.Series([3, None, 1, 1, 2] * 60),
    }
)
PREDICTIONS = {
    ("baseline", "impression"): RNG.random(300).astype(np.float32),
    ("distilled", "consideration"): RNG.random(300).astype(np.float32),
}


def test_the_groups_of_each_kind_make_up_all_rows() -> None:
    table = calibration_by_group(ROWS, PREDICTIONS, ["country"])
    assert dict(table.schema) == COLUMNS
    by = ["arm", "head", "domain", "reference", "by"]
    assert table.group_by(by).agg(pl.col("rows").sum())["rows"].sort().to_list() == [100] * 4 + [200] * 4
    groups = table.filter(arm="baseline", domain="CD", by="country")["group"].to_list()
    assert groups == ["(none)", "1", "2", "3"]
    deciles_seen = table.filter(arm="baseline", domain="CD", by="decile")
    assert deciles_seen["group"].to_list() == [f"{number:02}" for number in range(1, 11)]
    assert deciles_seen["mean_prediction"].is_sorted()


def test_a_group_is_what_its_rows_alone_say() -> None:
    chosen = ((ROWS["domain"] == "CD") & (ROWS["country"] == 1)).fill_null(False).to_numpy()
    p = PREDICTIONS["distilled", "consideration"][chosen].astype(float)
    y, w = (ROWS[name].to_numpy()[chosen].astype(float) for name in ("target", "weight"))
    table = calibration_by_group(ROWS, PREDICTIONS, ["country"], seed=5)
    row = table.filter(arm="distilled", domain="CD", by="country", group="1").row(0, named=True)
    assert row["rows"] == chosen.sum()
    assert row["mean_prediction"] == pytest.approx(w @ p / w.sum())
    assert row["mean_reference"] == pytest.approx(w @ y / w.sum())
    assert row["calibration"] == pytest.approx(calibration(p, y, w))
    request = ROWS["request_id"].to_numpy()[chosen]
    drawn = [calibration(p, y, w * draw[request]) for draw in replicate_weights(50, seed=5)]
    assert row["calibration_error"] == pytest.approx(np.std(drawn, ddof=1))


def test_deciles_hold_a_tenth_of_the_weight_and_keep_ties_together() -> None:
    assert deciles(np.arange(10, 0, -1).astype(np.float32), np.ones(10)).tolist() == list(range(10, 0, -1))
    assert deciles(np.array([0.1, 0.2], np.float32), np.array([1.0, 9.0])).tolist() == [1, 6]
    assert set(deciles(np.full(7, 0.3, np.float32), np.ones(7)).tolist()) == {6}


def test_rare_values_of_a_segment_share_a_group() -> None:
    values = pl.Series("tag", [*range(60), *range(49)])
    seen = segment_values(values)
    assert seen.n_unique() == 51
    assert seen.to_list()[:49] == [str(value) for value in range(49)]
    assert (seen == "(other)").sum() == 10


def test_without_positives_a_group_has_no_calibration_and_without_rows_there_is_no_group() -> None:
    table = calibration_by_group(ROWS.with_columns(target=pl.lit(0.0, pl.Float32)), PREDICTIONS)
    assert all(math.isnan(value) for name in ("calibration", "calibration_error") for value in table[name])
    shown = ROWS.filter(domain="IMP")
    only = calibration_by_group(shown, {key: p[: len(shown)] for key, p in PREDICTIONS.items()}, ["country"])
    assert set(only["domain"]) == {"IMP"}


def test_the_same_seed_gives_the_same_table() -> None:
    first, again = (calibration_by_group(ROWS, PREDICTIONS, ["country"], seed=2) for _ in range(2))
    assert first.equals(again)
