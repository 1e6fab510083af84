"""Whole requests are drawn, the same ones from shards as from all rows."""

from datetime import date
from functools import partial

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.rows import training_rows
from ukdsl_assets.selection.sampled_rows import SAMPLED_DOMAINS, sample, sample_of_shards


def test_whole_requests_are_sampled_up_to_the_number_of_rows() -> None:
    rows = training_rows(50).filter(domain="CD")
    part = sample(rows, 100, seed=3)
    assert part.height == 96
    assert part.join(rows, on=rows.columns[:2], how="semi").height == 96
    assert (part.group_by("request_id").len()["len"] == 12).all()
    assert part["request_id"].is_sorted()
    assert sample(rows, 5, seed=0).height == 12
    assert sample(rows, 10_000, seed=0).equals(rows)
    assert sample(rows.clear(), 5, seed=0).height == 0


@pytest.mark.parametrize("most", [5, 100, 10_000])
@pytest.mark.parametrize("ends", [[50], [20, 50], [1, 1, 30, 50]], ids=["one", "two", "four, one empty"])
def test_shards_give_the_rows_that_all_rows_give(ends: list[int], most: int) -> None:
    rows = training_rows(50).with_columns(day=pl.lit(date(2026, 1, 1)))
    starts = [0, *ends[:-1]]
    shards = [
        rows.filter(pl.col("request_id").is_between(start, end, closed="left"))
        for start, end in zip(starts, ends, strict=True)
    ]
    keys = [partial(shard.select, "day", "request_id", "domain") for shard in shards]
    read = [shard.clone for shard in shards]
    together = sample_of_shards(keys, read, most, 7, by_domain=False)
    assert_frame_equal(together, sample(rows, most, 7))
    apart = sample_of_shards(keys, read, most, 7, by_domain=True)
    for domain in SAMPLED_DOMAINS:
        assert_frame_equal(apart.filter(domain=domain), sample(rows.filter(domain=domain), most, 7))
        # Drawing again from what was drawn changes nothing.
        assert_frame_equal(sample(apart.filter(domain=domain), most, 7), apart.filter(domain=domain))


def test_shards_without_rows_give_none() -> None:
    empty = training_rows(1).with_columns(day=pl.lit(date(2026, 1, 1))).clear()
    keys = partial(empty.select, "day", "request_id", "domain")
    for by_domain in (True, False):
        assert_frame_equal(sample_of_shards([keys, keys], [empty.clone, empty.clone], 10, 0, by_domain), empty)
