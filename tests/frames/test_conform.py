"""Conforming keeps meaning or refuses by name."""

from datetime import UTC, date, datetime
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.fixtures.log_cascades import ADS, SHOP
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import ContractError
from ukdsl_assets.frames.conform import TIMESTAMP, conform
from ukdsl_assets.logs.contract import candidate_log_dtypes, event_log_dtypes

DAY = date(2026, 1, 3)


def conform_one(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    return conform(series.to_frame("x"), {"x": dtype}, "a.parquet")["x"]


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=lambda each: each.name)
def test_a_conforming_log_is_left_as_it_is(cascade: Cascade) -> None:
    logs = make_logs(cascade, DAY)
    assert_frame_equal(conform(logs.candidate_log, candidate_log_dtypes(cascade), "x"), logs.candidate_log)
    assert_frame_equal(conform(logs.event_log.clear(), event_log_dtypes(cascade), "x"), logs.event_log.clear())


def test_a_log_written_by_another_system_conforms_to_the_same_rows(caplog: pytest.LogCaptureFixture) -> None:
    log = make_logs(SHOP, DAY).candidate_log
    foreign = log.with_columns(
        pl.col("request_id", "deepest_stage").cast(pl.Categorical),
        pl.col("requested_at").dt.convert_time_zone("Asia/Tokyo").dt.cast_time_unit("ns"),
        pl.col("price", "propensity").cast(pl.Float64),
        pl.col("image").cast(pl.List(pl.Float64)),
        pl.lit(1).alias("unheard_of"),
    ).select(reversed([*log.columns, "unheard_of"]))
    with caplog.at_level("INFO"):
        assert_frame_equal(conform(foreign, candidate_log_dtypes(SHOP), "b.parquet"), log)
    assert "b.parquet" in caplog.text
    assert "unheard_of" in caplog.text


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()), st.sampled_from(["Int8", "Int32", "Int64", "UInt32"]))
def test_integers_keep_their_value(values: list[int | None], dtype: str) -> None:
    series = pl.Series(values, dtype=pl.Int64).cast(getattr(pl, dtype), strict=False)
    assert conform_one(series, pl.Int64()).to_list() == series.to_list()


@given(st.lists(st.floats(width=64, allow_nan=True, allow_infinity=True) | st.none()))
def test_floats_are_rounded_to_32_bits_or_refused_where_they_overflow(values: list[float | None]) -> None:
    series = pl.Series(values, dtype=pl.Float64)
    numbers = series.drop_nulls().to_numpy()
    with np.errstate(over="ignore"):
        rounded = numbers.astype(np.float32)
    if (np.isinf(rounded) & np.isfinite(numbers)).any():
        with pytest.raises(ContractError, match="column `x` is Float64, expected Float32, and its values do not fit"):
            conform_one(series, pl.Float32())
    else:
        seen = conform_one(series, pl.Float32())
        np.testing.assert_array_equal(seen.drop_nulls().to_numpy(), rounded)
        assert seen.is_null().to_list() == series.is_null().to_list()


@given(st.lists(st.integers(-(2**40), 2**40)))
def test_integers_become_floats_only_exactly(values: list[int]) -> None:
    if all(int(np.float32(value)) == value for value in values):
        assert conform_one(pl.Series(values, dtype=pl.Int64), pl.Float32()).to_list() == values
    else:
        with pytest.raises(ContractError, match="do not fit"):
            conform_one(pl.Series(values, dtype=pl.Int64), pl.Float32())


@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0))),
    st.sampled_from(["ms", "us", "ns"]),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata"]),
)
def test_instants_survive_any_unit_and_zone(times: list[datetime], unit: Literal["ms", "us", "ns"], zone: str) -> None:
    utc = pl.Series([time.replace(tzinfo=UTC) for time in times], dtype=TIMESTAMP)
    elsewhere = utc.dt.cast_time_unit(unit).dt.convert_time_zone(zone)
    assert conform_one(elsewhere, TIMESTAMP).to_list() == utc.to_list()


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=0, max_size=4), max_size=6))
def test_lists_become_arrays_where_every_width_fits(rows: list[list[float]]) -> None:
    series = pl.Series(rows, dtype=pl.List(pl.Float64))
    if all(len(row) == 3 for row in rows):
        assert conform_one(series, pl.Array(pl.Float32, 3)).to_list() == rows
    else:
        with pytest.raises(ContractError, match=r"a\.parquet: column `x`"):
            conform_one(series, pl.Array(pl.Float32, 3))


def test_an_all_null_column_without_a_type_takes_the_declared_one() -> None:
    for dtype in (pl.Float32(), pl.Int64(), pl.String(), TIMESTAMP, pl.Array(pl.Float32, 2)):
        assert conform_one(pl.Series([None, None]), dtype).dtype == dtype


@pytest.mark.parametrize(
    ("series", "dtype"),
    [
        (pl.Series(["1"]), pl.Int64()),
        (pl.Series([1.0]), pl.Int64()),
        (pl.Series([1]), pl.String()),
        (pl.Series([1]), pl.Boolean()),
        (pl.Series(["0.5"]), pl.Float32()),
        (pl.Series([True]), pl.Float32()),
        (pl.Series([date(2026, 1, 1)]), TIMESTAMP),
        (pl.Series([["a"]]), pl.Array(pl.Float32, 1)),
        (pl.Series([2**63], dtype=pl.UInt64), pl.Int64()),
    ],
)
def test_a_wrong_type_is_named_with_the_file_and_both_types(series: pl.Series, dtype: pl.DataType) -> None:
    with pytest.raises(ContractError) as error:
        conform_one(series, dtype)
    for part in ("a.parquet", "`x`", str(series.dtype), str(dtype)):
        assert part in str(error.value)


def test_times_without_a_zone_are_refused_with_the_fix() -> None:
    with pytest.raises(ContractError, match="no zone: write them as UTC"):
        conform_one(pl.Series([datetime(2026, 1, 1)]), TIMESTAMP)


def test_a_missing_column_is_named_with_what_is_there() -> None:
    log = make_logs(ADS, DAY).candidate_log.drop("bid")
    with pytest.raises(ContractError, match=r"c\.parquet: column `bid` \(Float32\) is missing, saw request_id, "):
        conform(log, candidate_log_dtypes(ADS), "c.parquet")
