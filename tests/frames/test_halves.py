"""Withheld requests in two halves."""

import polars as pl

from ukdsl_assets.frames.splits import halves


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
