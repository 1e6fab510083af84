"""Requests are told apart by their hash alone: by shard and as withheld, as SQL does it too, and in halves."""

import hashlib
from collections.abc import Iterator

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ukdsl_assets.frames.splits import BUCKETS, SALT, halves, shard_of, withheld

# As in teacher_augmented.
QUERY = "select md5_number_lower(id::varchar || $salt) % 10000 < $buckets from ids"
integers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
strings = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@given(st.one_of(integers, strings), st.floats(0, 1))
def test_python_and_sql_withhold_the_same_requests(
    connection: duckdb.DuckDBPyConnection, ids: list[int] | list[str], share: float
) -> None:
    series = pl.Series("id", ids)
    connection.register("ids", series.to_frame())
    expected = connection.execute(QUERY, {"salt": SALT, "buckets": share * BUCKETS}).fetchall()
    flags = withheld(series, share)
    assert flags.to_list() == [row[0] for row in expected]
    assert (flags.name, flags.dtype) == ("withheld", pl.Boolean)


@pytest.mark.parametrize("ids", [pl.Series(range(20_000)), pl.Series([f"request-{n}" for n in range(20_000)])])
def test_about_the_declared_share_of_requests_is_withheld(ids: pl.Series) -> None:
    # 20,000 requests at 20%: six standard deviations are 340.
    assert abs(ids.filter(withheld(ids, 0.2)).len() - 4_000) < 340
    assert not withheld(ids, 0.0).any()
    assert withheld(ids, 1.0).all()


def test_a_larger_share_withholds_the_same_requests_and_more() -> None:
    ids = pl.Series(range(2_000))
    few, many = (set(ids.filter(withheld(ids, share))) for share in (0.1, 0.3))
    assert few < many


def test_no_requests_are_no_flags() -> None:
    assert withheld(pl.Series([], dtype=pl.Int64), 0.2).to_list() == []


def test_of_no_request_there_are_no_flags() -> None:
    for dtype in (pl.Int64, pl.String):
        found = withheld(pl.Series([], dtype=dtype), 0.2)
        assert found.dtype == pl.Boolean
        assert len(found) == 0


def test_every_request_is_whole_in_one_half_and_the_halves_are_about_even() -> None:
    rows = pl.DataFrame({"request_id": [n // 3 for n in range(30_000)], "place": range(30_000)})
    one, other = halves(rows, seed=1)
    assert not set(one["request_id"]) & set(other["request_id"])
    assert sorted([*one["place"], *other["place"]]) == rows["place"].to_list()
    # 10,000 requests: six standard deviations are 300.
    assert abs(one["request_id"].n_unique() - 5_000) < 300
    assert one["place"].is_sorted()


def test_no_rows_have_two_empty_halves() -> None:
    assert [len(half) for half in halves(pl.DataFrame(schema={"request_id": pl.Int64}), seed=1)] == [0, 0]


@settings(max_examples=15)
@given(
    ids=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30) | st.lists(st.text(max_size=8), max_size=30),
    shards=st.integers(1, 4096),
)
def test_the_shard_is_the_one_that_sql_names(ids: list[int] | list[str], shards: int) -> None:
    for position, shard in enumerate(shard_of(pl.Series(ids, dtype=None if ids else pl.Int64), shards)):
        query = "select md5_number_lower($id::varchar) % $shards"
        assert duckdb.execute(query, {"id": ids[position], "shards": shards}).fetchone() == (shard,)


def test_the_shard_follows_from_md5_alone() -> None:
    ids = ["0", "7", "request-1", "ü", "123456789012"]
    last_eight_bytes = [hashlib.md5(id_.encode()).digest()[8:] for id_ in ids]
    assert shard_of(pl.Series(ids), 16).to_list() == [
        int.from_bytes(lower, "little") % 16 for lower in last_eight_bytes
    ]
    assert shard_of(pl.Series([0, 7]), 16).to_list() == shard_of(pl.Series(["0", "7"]), 16).to_list()
