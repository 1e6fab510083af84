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
from ukdsl_assets.frames.casts import TIMESTAMP
from ukdsl_assets.frames.conform import conform
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
        (pl.Series([1.5]), pl.Int64()),
        (pl.Series([1]), pl.String()),
        (pl.Series([2]), pl.Boolean()),
        (pl.Series(["0.5"]), pl.Float32()),
        (pl.Series(["true"]), pl.Boolean()),
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


WHOLE = [0, 1, None, 2**24 - 1]
NUMBERS = [pl.Int32(), pl.UInt64(), pl.Float64(), pl.Decimal(20, 0), pl.Decimal(20, 3)]


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("expected", [pl.Int64(), pl.Float32()], ids=str)
def test_whole_numbers_pass_in_any_type_of_numbers(dtype: pl.DataType, expected: pl.DataType) -> None:
    seen = conform_one(pl.Series(WHOLE, dtype=pl.Int64).cast(dtype), expected)
    assert (seen.to_list(), seen.dtype) == (WHOLE, expected)


@pytest.mark.parametrize("dtype", [*NUMBERS, pl.Boolean()], ids=str)
@pytest.mark.parametrize("expected", [pl.Boolean(), pl.Int64(), pl.Float32()], ids=str)
def test_0_and_1_are_false_and_true(dtype: pl.DataType, expected: pl.DataType) -> None:
    seen = conform_one(pl.Series([0, 1, None], dtype=pl.Int64).cast(dtype), expected)
    assert (seen.to_list(), seen.dtype) == ([0, 1, None], expected)


@pytest.mark.parametrize("inner", [pl.Int8(), pl.Boolean(), pl.Float64(), pl.Decimal(5, 1), pl.Null()], ids=str)
def test_elements_of_lists_follow_the_rule_of_single_numbers(inner: pl.DataType) -> None:
    rows: list[list[int | None] | None] = [[1, 0], [None, 1], None]
    if inner == pl.Null():
        rows = [[None, None], None]
    series = pl.Series(rows, dtype=pl.List(pl.Int64)).cast(pl.List(inner))
    assert conform_one(series, pl.Array(pl.Float32, 2)).to_list() == rows
    assert conform_one(series, pl.List(pl.Int64)).to_list() == rows


@pytest.mark.parametrize(
    ("series", "dtype", "said"),
    [
        # From there on a float of so many bits holds several whole numbers as one.
        (pl.Series([3.0, 2.0**53, -(2.0**60)]), pl.Int64(), r"2 value\(s\) are no whole numbers of less than 9,007,"),
        (
            pl.Series([2.0**24], dtype=pl.Float32),
            pl.Int64(),
            r"1 value\(s\) are no whole numbers of less than 16,777,216",
        ),
        (pl.Series([1.0, float("nan")]), pl.Int64(), "write ids as integers, and null where there is none"),
        (pl.Series(["1.50"]).cast(pl.Decimal(10, 2)), pl.Int64(), r"1 value\(s\) do not fit exactly, e.g. 1.50"),
        (
            pl.Series([2**63, 5], dtype=pl.UInt64),
            pl.Int64(),
            r"1 value\(s\) do not fit exactly, e.g. 9223372036854775808; write whole numbers from -2\^63 to",
        ),
        # As floats of 64 bits both are 2**53, which is one of 32 bits.
        (pl.Series([2**53 + 1]), pl.Float32(), "write it as Float64 if it may be rounded to 24 bits"),
        (pl.Series([2**24 + 1]).cast(pl.Decimal(20, 0)), pl.Float32(), r"1 value\(s\) do not fit exactly"),
        (pl.Series([0.0, 0.5, float("nan")]), pl.Boolean(), r"2 value\(s\) are neither 0 nor 1, e.g. 0.5"),
        (pl.Series([[1e300]]), pl.Array(pl.Float32, 1), r"1 value\(s\) are beyond 32-bit floats"),
        (pl.Series([[1.5, 2.0]]), pl.List(pl.Int64), r"1 value\(s\) are no whole numbers"),
    ],
)
def test_what_would_be_rounded_is_refused_and_counted(series: pl.Series, dtype: pl.DataType, said: str) -> None:
    with pytest.raises(ContractError, match=f"column `x` is .* and its values do not fit: .*{said}"):
        conform_one(series, dtype)


def test_bytes_are_texts_where_they_are_utf_8() -> None:
    assert conform_one(pl.Series(["café".encode(), None]), pl.String()).to_list() == ["café", None]
    assert conform_one(pl.Series([[b"a"], []]), pl.List(pl.String)).to_list() == [["a"], []]
    with pytest.raises(ContractError, match=r"column `x` is Binary, expected String, .*: bytes that are not UTF-8"):
        conform_one(pl.Series(["café".encode("latin-1")]), pl.String())


def test_fractions_are_rounded_to_the_nearest_32_bit_float() -> None:
    money = pl.Series(["1.10", "0.05"]).cast(pl.Decimal(10, 2))
    expected = np.array([1.1, 0.05], np.float32)
    assert np.array_equal(conform_one(money, pl.Float32()).to_numpy(), expected)
    assert np.array_equal(conform_one(money.cast(pl.Float64), pl.Float32()).to_numpy(), expected)


@pytest.mark.parametrize("typed", [pl.String(), pl.Int32(), pl.Datetime("ns"), pl.List(pl.Int8)], ids=str)
def test_a_column_of_nulls_alone_is_anything_whatever_its_type(typed: pl.DataType) -> None:
    for dtype in (pl.Float32(), pl.Int64(), pl.String(), pl.Boolean(), TIMESTAMP, pl.Array(pl.Float32, 2)):
        seen = conform_one(pl.Series([None, None], dtype=typed), dtype)
        assert (seen.to_list(), seen.dtype) == ([None, None], dtype)


@pytest.mark.parametrize(
    ("column", "series", "dtype", "advice"),
    [
        ("item", pl.Series(["1"]), pl.Int64(), "or declare the feature with `kind: categorical, values: string`"),
        ("item", pl.Series([1]), pl.String(), "or declare the feature with `kind: categorical, values: integer`"),
        ("item", pl.Series(["a"]), pl.Float32(), "or declare the feature with `kind: categorical, values: string`"),
        ("item", pl.Series([0.5]), pl.String(), "or declare the feature with `kind: numeric`"),
        ("item", pl.Series([["a"]]), pl.String(), "or declare the feature with `kind: multi_valued, values: string`"),
        ("candidate_id", pl.Series([7]), pl.String(), "or declare `identifiers: integer`"),
        ("request_id", pl.Series(["r"]), pl.Int64(), "or declare `identifiers: string`"),
    ],
)
def test_the_declaration_that_is_advised_takes_the_column(
    column: str, series: pl.Series, dtype: pl.DataType, advice: str
) -> None:
    for trained in (False, True):
        with pytest.raises(ContractError) as error:
            conform(series.to_frame(column), {column: dtype}, "a.parquet", trained=trained)
        # A trained student's types are no matter of a declaration any more.
        assert (advice in str(error.value)) != trained
        assert ("declare" in str(error.value)) != trained


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("bid", pl.Float32()),
        ("shown", pl.Boolean()),
        ("ranking_click_prediction", pl.Float32()),
        ("event", pl.String()),
    ],
)
def test_no_declaration_is_advised_for_what_none_changes(column: str, dtype: pl.DataType) -> None:
    for series in (pl.Series(["x"]), pl.Series([date(2026, 1, 1)])):
        if series.dtype != dtype:
            with pytest.raises(ContractError, match=f"; write it as {dtype}$"):
                conform(series.to_frame(column), {column: dtype}, "a.parquet")


@pytest.mark.parametrize(
    ("column", "advice"),
    [
        ("shown", "if it has another name$"),
        ("bid", "or declare `has_bid: false`$"),
        ("ranking_click_prediction", "or leave the task out of the stage's `predicts`$"),
        ("audit_true_click", "or declare `has_truth: false`$"),
        ("item", "or drop the feature from the declaration; .* `missing: allowed`$"),
    ],
)
def test_a_missing_column_is_told_with_what_can_be_done_about_it(column: str, advice: str) -> None:
    with pytest.raises(ContractError, match=advice):
        conform(pl.DataFrame({"x": [1]}), {column: pl.Float32()}, "a.parquet")


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 12), ("Europe/Berlin", 11), ("+05:30", 6.5), ("-03:30", 15.5)])
def test_times_without_a_zone_are_in_the_declared_one(zone: str, hour: float) -> None:
    noon = pl.Series("x", [datetime(2026, 1, 1, 12), None]).cast(pl.Datetime("ns")).to_frame()
    seen = conform(noon, {"x": TIMESTAMP}, "a.parquet", time_zone=zone)["x"]
    expected = datetime(2026, 1, 1, int(hour), int(60 * (hour % 1)), tzinfo=UTC)
    assert (seen.to_list(), seen.dtype) == ([expected, None], TIMESTAMP)


def test_times_that_come_twice_or_never_in_the_declared_zone_are_refused() -> None:
    times = [datetime(2026, 10, 25, 2, 30), datetime(2026, 3, 29, 2, 30), datetime(2026, 1, 1)]
    with pytest.raises(
        ContractError, match=r"2 value\(s\) come twice or never in Europe/Berlin, .*; write them as UTC$"
    ):
        conform(pl.DataFrame({"x": times}), {"x": TIMESTAMP}, "a.parquet", time_zone="Europe/Berlin")


@pytest.mark.parametrize("zone", ["UTC", None])
@pytest.mark.parametrize(("unit", "moment"), [("ms", 2**63 - 1000), ("us", 2**62), ("us", -(2**62)), ("ms", -(2**50))])
def test_times_that_no_calendar_has_are_refused(unit: Literal["ms", "us"], moment: int, zone: str | None) -> None:
    times = pl.Series("x", [moment, None, 0], pl.Datetime(unit, zone))
    with pytest.raises(ContractError, match=rf"1 time\(s\) are outside of the years 2 to 9998, e.g. {moment} {unit}"):
        conform(times.to_frame(), {"x": TIMESTAMP}, "a.parquet", time_zone="Europe/Berlin")


def test_times_without_a_zone_are_refused_with_the_fix() -> None:
    with pytest.raises(ContractError, match="no zone: write them as UTC"):
        conform_one(pl.Series([datetime(2026, 1, 1)]), TIMESTAMP)


def test_a_missing_column_is_named_with_what_is_there() -> None:
    log = make_logs(ADS, DAY).candidate_log.drop("bid")
    with pytest.raises(ContractError, match=r"c\.parquet: column `bid` \(Float32\) is missing, saw request_id, "):
        conform(log, candidate_log_dtypes(ADS), "c.parquet")
