"""Requests are counted as shards are read, and a withheld one is found whichever shard it is in."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.training.requests_read import RequestsRead, recorded


@given(st.lists(st.integers(0, 500)), st.integers(1, 4), st.sampled_from([0.0, 0.3, 1.0]))
def test_counts_of_shards_add_up_to_those_of_all_their_rows(ids: list[int], shards: int, share: float) -> None:
    rows = pl.Series("request_id", ids, dtype=pl.Int64)
    whole = RequestsRead.of(rows, share)
    parts = sum(
        (RequestsRead.of(rows.filter(rows % shards == shard), share) for shard in range(shards)), RequestsRead()
    )
    held = set(rows.filter(withheld(rows, share)))
    assert (parts.requests, parts.withheld) == (whole.requests, whole.withheld) == (len(set(ids)), len(held))
    assert set(parts.examples) <= held
    assert len(parts.examples) == min(len(held), 3)


def test_text_ids_are_shown_as_they_are() -> None:
    assert RequestsRead.of(pl.Series(["b", "a", "a"]), 1.0) == RequestsRead(2, 2, ("a", "b"))


def test_a_shard_counts_once_however_often_it_is_read() -> None:
    frames = [pl.DataFrame({"request_id": [1, 1, 2]}), pl.DataFrame({"request_id": [3]})]
    records: dict[int, RequestsRead] = {}
    readers = recorded([lambda frame=frame: frame for frame in frames], 0.0, records)  # type: ignore[misc]
    for _ in range(3):
        assert [read().height for read in readers] == [3, 1]
    assert sum(records.values(), RequestsRead()) == RequestsRead(3)


def test_nothing_that_was_not_read_is_counted() -> None:
    records: dict[int, RequestsRead] = {}

    def broken() -> pl.DataFrame:
        raise OSError("no such shard")

    with pytest.raises(OSError, match="no such shard"):
        recorded([broken], 0.5, records)[0]()
    assert not records
