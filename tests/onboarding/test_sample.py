"""The shipped sample is what its command makes of simulated days, raw as a team would have it, and small."""

from datetime import UTC, datetime

import polars as pl

from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.sample.__main__ import raw_files

SAMPLE = SHIPPED.parent / "sample"


def test_the_sample_is_small_and_of_four_days() -> None:
    files = [SAMPLE / "candidates.parquet", SAMPLE / "events.parquet"]
    assert sum(file.stat().st_size for file in files) < 2_000_000
    candidates, clicks = map(pl.read_parquet, files)
    days = pl.from_epoch(candidates["ts_ms"], time_unit="ms").dt.date().unique()
    assert (len(days), str(days.min())) == (4, "2026-01-01")
    # Pre-ranking says more than ranking of what both scored.
    both = candidates.filter(pl.col("rank_ctr").is_not_null())
    assert both["prerank_score"].mean() > 1.15 * both["rank_ctr"].mean()  # type: ignore[operator]
    asked = candidates.select("auction_id", "item", asked="ts_ms", won="won")
    of_shown = clicks.join(asked.filter("won"), on=["auction_id", "item"])
    assert of_shown.height == clicks.height
    later = [pl.from_epoch(column, time_unit="ms").dt.date() for column in ("ts_ms", "asked")]
    assert of_shown.select((later[0] > later[1]).sum()).item() > 10


def test_raw_files_hold_what_the_days_hold() -> None:
    shipped = read_cascade(SHIPPED / "simulated_ads.yaml")
    day = make_logs(shipped, shipped.first_day, requests=30)
    named = pl.col("country", "device", "placement", "format") % 4
    day = day._replace(candidate_log=day.candidate_log.with_columns(named))
    candidates, clicks = raw_files([day])
    scored = day.candidate_log.filter(pl.col("pre_ranking_click_prediction").is_not_null())
    assert candidates.height == scored.height
    assert candidates["won"].sum() == scored["shown"].sum()
    assert candidates["rank_ctr"].null_count() == scored["ranking_click_prediction"].null_count()
    assert clicks.height == day.event_log.filter(pl.col("event") == "click").height
    at = pl.from_epoch(candidates["ts_ms"], time_unit="ms").dt.replace_time_zone("UTC")
    assert at.min() >= datetime(2026, 1, 1, tzinfo=UTC)  # type: ignore[operator]
    assert at.is_sorted()
