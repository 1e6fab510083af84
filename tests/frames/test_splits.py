"""One MD5 number for every split: what it is, what it must never change, and that its uses are independent."""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.frames import splits
from ukdsl_assets.frames.splits import BUCKETS, SALT, fold_of, for_correction, halves, md5_numbers, shard_of, withheld
from ukdsl_assets.learning.metrics.bootstrap import replicate_weights

BySql = Callable[..., list[Any]]
integers = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
texts = st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=30)
# As in teacher_augmented.
QUERY = "select md5_number_lower(id::varchar || $salt) % 10000 < $buckets from ids"
known_integers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
known_texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=30)
NUMBERS = pl.Series([0, 1, 7, -1, 2**63 - 1, -(2**63), 123456789012, 42])
TEXTS = pl.Series(["", "0", "7", "request-1", "ü", "日本", "a b", "\n"])


@pytest.fixture(scope="module")
def by_sql() -> Iterator[BySql]:
    """What a query makes of a table `ids`; a test is not handed the connection, which Hypothesis would keep."""
    with duckdb.connect(config={"threads": 1}) as connection:

        def values(query: str, ids: pl.Series, **parameters: object) -> list[Any]:
            connection.register("ids", ids.to_frame())
            return [row[0] for row in connection.execute(query, parameters).fetchall()]

        yield values


@given(st.one_of(integers, texts), st.sampled_from(["", "withheld", "ü/3"]))
def test_it_is_the_number_of_sql(by_sql: BySql, ids: list[int | None] | list[str | None], salt: str) -> None:
    series = pl.Series("id", ids, pl.String if any(isinstance(each, str) for each in ids) else pl.Int64)
    numbers = md5_numbers(series, salt)
    query = "select coalesce(md5_number_lower(id::varchar || $salt), 0) from ids"
    assert numbers.to_list() == by_sql(query, series, salt=salt)
    assert (numbers.name, numbers.dtype) == ("id", pl.UInt64)


def test_many_ids_are_hashed_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pl.Series([*range(20), *range(10)])
    together = md5_numbers(ids)
    monkeypatch.setattr(splits, "_AT_A_TIME", 3)
    assert md5_numbers(ids).equals(together)


def test_what_lies_in_lakes_and_checkpoints_stays_where_it_is() -> None:
    assert shard_of(NUMBERS, 16).to_list() == [6, 13, 10, 10, 7, 12, 7, 8]
    assert shard_of(NUMBERS, 4096).to_list() == [1894, 3085, 1626, 2010, 2823, 2348, 1399, 1752]
    assert shard_of(TEXTS, 16).to_list() == [9, 6, 10, 2, 2, 6, 6, 9]
    assert shard_of(TEXTS, 1000).to_list() == [193, 662, 410, 682, 586, 574, 238, 793]
    assert np.flatnonzero(withheld(NUMBERS, 0.2)).tolist() == [2]
    assert np.flatnonzero(withheld(NUMBERS, 0.5)).tolist() == [1, 2, 4, 5, 7]
    assert np.flatnonzero(withheld(TEXTS, 0.5)).tolist() == [2, 4, 5]


def test_halves_and_draws_are_the_same_in_every_version_of_the_libraries() -> None:
    rows = pl.DataFrame({"request_id": range(12)})
    assert halves(rows, 5)[0]["request_id"].to_list() == [2, 4, 8, 9, 10, 11]
    assert halves(rows, 6)[0]["request_id"].to_list() == [0, 1, 4, 5, 6, 7, 10]
    for ids in (pl.Series([0, 7, 42]), pl.Series(["0", "7", "42"])):
        draws = replicate_weights(ids, seed=3, replicates=6)
        assert draws.tolist() == [[0, 2, 2], [0, 2, 2], [2, 0, 2], [1, 0, 0], [2, 0, 6], [0, 1, 1]]


def test_of_no_request_there_is_no_shard() -> None:
    for dtype in (pl.Int64, pl.String):
        found = shard_of(pl.Series([], dtype=dtype), 4)
        assert (len(found), found.dtype) == (0, pl.Int32)


def test_one_use_says_nothing_about_another() -> None:
    ids = pl.Series("request_id", range(20_000))
    uses = {
        "shard": shard_of(ids, 2) == 0,
        "withheld": withheld(ids, 0.5),
        **{f"half {seed}": ids.is_in(halves(ids.to_frame(), seed)[0]["request_id"].implode()) for seed in (0, 1)},
        "draws": pl.Series(replicate_weights(ids, 0, replicates=1)[0] > 0),
        "draws of another seed": pl.Series(replicate_weights(ids, 1, replicates=1)[0] > 0),
    }
    # Of 20,000 independent requests a correlation is 0.007 off as a rule, and so are 15 of them at most 0.03.
    correlations = np.corrcoef(np.array([each.cast(pl.Float64) for each in uses.values()]))
    assert np.abs(correlations[np.triu_indices(len(uses), 1)]).max() < 0.03


@given(st.one_of(known_integers, known_texts), st.floats(0, 1))
def test_python_and_sql_withhold_the_same_requests(by_sql: BySql, ids: list[int] | list[str], share: float) -> None:
    series = pl.Series("id", ids)
    flags = withheld(series, share)
    assert flags.to_list() == by_sql(QUERY, series, salt=SALT, buckets=share * BUCKETS)
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


def test_folds_and_the_half_that_corrects_are_independent_of_each_other_and_of_what_is_withheld() -> None:
    ids = pl.Series("request_id", range(20_000))
    parts = pl.DataFrame({"held": withheld(ids, 0.2), "corrects": for_correction(ids), "fold": fold_of(ids, 5)})
    counts = parts.group_by("held", "corrects", "fold").len()
    assert len(counts) == 20
    expected = counts.select(pl.when("held").then(0.2).otherwise(0.8) * 20_000 / 10).to_series()
    assert (counts["len"] - expected).abs().max() < 4 * 1600**0.5
    assert set(fold_of(ids, 1)) == {0}
    # Of every type of id, and whatever stands beside it.
    assert for_correction(ids.reverse()).reverse().to_list() == for_correction(ids).to_list()
    assert for_correction(ids.cast(pl.String)).to_list() == for_correction(ids).to_list()
