import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.frames.splits import BUCKETS, SALT, withheld

# As in teacher_augmented.
QUERY = "select md5_number_lower(id::varchar || $salt) % 10000 < $buckets from ids"
integers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
strings = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=30)


@given(st.one_of(integers, strings), st.floats(0, 1))
def test_python_and_sql_withhold_the_same_requests(ids: list[int] | list[str], share: float) -> None:
    series = pl.Series("id", ids)
    with duckdb.connect(config={"threads": 1}) as connection:
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
        assert found.dtype == pl.Boolean and len(found) == 0
