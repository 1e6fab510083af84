"""Calibration by decile and segment: the groups make up the whole, and each is what its rows alone say."""

import math

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.learning.evaluation.by_group import COLUMNS, calibration_by_group, calibration_by_group_of_shards
from ukdsl_assets.learning.evaluation.predictions import PredictedRows
from ukdsl_assets.learning.evaluation.totals import totals_of
from ukdsl_assets.learning.metrics.bootstrap import replicate_weights
from ukdsl_assets.learning.metrics.calibration import calibration

PARTS = (slice(0, 50), slice(50, 50), slice(50, 109))
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
    drawn = [calibration(p, y, w * draw[request]) for draw in replicate_weights(pl.Series(range(50)), seed=5)]
    assert row["calibration_error"] == pytest.approx(np.std(drawn, ddof=1))


def deciles(prediction: list[float], weight: list[float]) -> list[str]:
    """The decile of each row of a domain of its own, in the order of the rows."""
    seen = []
    for place in range(len(prediction)):
        # The row in question alone has a reference, so that it tells the decile it is in.
        rows = pl.DataFrame(
            {
                "request_id": range(len(prediction)),
                "domain": "CD",
                "target": [float(each == place) for each in range(len(prediction))],
                "weight": weight,
            }
        )
        table = calibration_by_group(rows, {("baseline", "impression"): np.array(prediction, np.float32)})
        seen += table.filter(pl.col("mean_reference") > 0, by="decile")["group"].to_list()
    return seen


def test_deciles_hold_a_tenth_of_the_weight_and_keep_ties_together() -> None:
    falling = [place / 20 for place in range(10, 0, -1)]
    assert deciles(falling, [1.0] * 10) == [f"{place:02}" for place in range(10, 0, -1)]
    assert deciles([0.1, 0.2], [1.0, 9.0]) == ["01", "06"]
    assert deciles([0.3] * 7, [1.0] * 7) == ["06"] * 7


def test_rare_values_of_a_segment_share_a_group_whatever_the_shards() -> None:
    values = pl.Series("tag", [*range(60), *range(49)])
    rows = pl.DataFrame({"request_id": range(109), "domain": "CD", "target": 0.5, "weight": 1.0, "tag": values})
    p = {("baseline", "impression"): np.full(109, 0.5, np.float32)}
    shards = [lambda part=part: PredictedRows(rows[part], {k: v[part] for k, v in p.items()}) for part in PARTS]
    for table in (
        calibration_by_group(rows, p, ["tag"]),
        calibration_by_group_of_shards(shards, totals_of(shards, 0), ["tag"]),
    ):
        counts = dict(table.filter(by="tag").select("group", "rows").rows())
        assert len(counts) == 51
        assert {counts[str(value)] for value in range(49)} == {2}
        assert counts["(other)"] == 10


def test_without_positives_a_group_has_no_calibration_and_without_rows_there_is_no_group() -> None:
    table = calibration_by_group(ROWS.with_columns(target=pl.lit(0.0, pl.Float32)), PREDICTIONS)
    assert all(math.isnan(value) for name in ("calibration", "calibration_error") for value in table[name])
    shown = ROWS.filter(domain="IMP")
    only = calibration_by_group(shown, {key: p[: len(shown)] for key, p in PREDICTIONS.items()}, ["country"])
    assert set(only["domain"]) == {"IMP"}


def test_the_same_seed_gives_the_same_table() -> None:
    first, again = (calibration_by_group(ROWS, PREDICTIONS, ["country"], seed=2) for _ in range(2))
    assert first.equals(again)
