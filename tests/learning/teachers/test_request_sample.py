"""A sample of whole requests is the largest that fits, and the same from shards as from all rows."""

from functools import reduce
from operator import add

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.frames.splits import split, withheld
from ukdsl_assets.learning.teachers.request_sample import PLACES, RequestSample, place_of, rows_by_place

RNG = np.random.default_rng(5)
ROWS = pl.DataFrame({"request_id": np.repeat(np.arange(4000), RNG.integers(1, 9, 4000))})


def sample_of(shards: int, most: int, seed: int = 3) -> RequestSample | None:
    counts = [rows_by_place(shard["request_id"], seed) for shard in split(ROWS, shards)]
    return RequestSample.of(reduce(add, counts), most, seed)


def test_as_many_whole_requests_are_drawn_as_fit() -> None:
    drawn = sample_of(1, 5000)
    assert drawn is not None
    kept = ROWS.filter(drawn.drawn(ROWS["request_id"]))
    assert drawn.rows == len(kept) <= 5000
    # One place more would be too many; a place has a request or none.
    more = RequestSample(drawn.seed, drawn.places + 1, 0, 0, 0).drawn(ROWS["request_id"])
    assert more.sum() > 5000
    assert len(kept) > 4970
    assert (
        kept.group_by("request_id")
        .len()
        .sort("request_id")
        .equals(
            ROWS.group_by("request_id")
            .len()
            .filter(pl.col("request_id").is_in(kept["request_id"].implode()))
            .sort("request_id")
        )
    )
    assert drawn.facts == {"rows": len(kept), "of": len(ROWS), "most_rows": 5000, "by": "whole requests, by hash"}
    assert drawn.told.startswith(f"{len(kept):,} of {len(ROWS):,} rows, whole requests")


@pytest.mark.parametrize("most", [len(ROWS), len(ROWS) + 1])
def test_nothing_is_drawn_where_all_rows_fit(most: int) -> None:
    assert sample_of(2, most) is None
    assert sample_of(2, len(ROWS) - 1) is not None


@pytest.mark.parametrize("shards", [2, 7])
def test_shards_draw_the_requests_that_all_rows_draw(shards: int) -> None:
    assert sample_of(shards, 5000) == sample_of(1, 5000)


def test_the_first_request_is_drawn_whatever_its_size() -> None:
    drawn = sample_of(1, 0)
    assert drawn is not None
    assert 1 <= ROWS.filter(drawn.drawn(ROWS["request_id"]))["request_id"].n_unique() <= 2


def test_who_is_drawn_hangs_on_the_seed_and_not_on_who_is_withheld() -> None:
    ids = pl.Series("request_id", np.arange(50_000))
    places = place_of(ids, 0)
    assert places.max() < PLACES  # type: ignore[operator]
    low = places < PLACES // 2
    assert low.mean() == pytest.approx(0.5, abs=0.01)
    assert withheld(ids.filter(low), 0.1).mean() == pytest.approx(0.1, abs=0.006)
    assert (low & (place_of(ids, 1) < PLACES // 2)).mean() == pytest.approx(0.25, abs=0.01)
