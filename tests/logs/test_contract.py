"""Conforming keeps meaning or refuses by name; the schemas know every rule of a declaration."""

from datetime import UTC, date, datetime
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import ContractError
from ukdsl_assets.frames.conform import TIMESTAMP, conform
from ukdsl_assets.logs.contract import candidate_log_dtypes, candidate_log_schema, event_log_dtypes, event_log_schema
from ukdsl_assets.logs.gates.rows import judge_candidate_log, judge_event_log

DAY = date(2026, 1, 3)


def conform_one(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    return conform(series.to_frame("x"), {"x": dtype}, "a.parquet")["x"]


def test_columns_stand_in_the_order_of_the_contract(shop: Cascade) -> None:
    assert {name: str(dtype) for name, dtype in candidate_log_dtypes(shop).items()} == {
        "request_id": "String",
        "candidate_id": "String",
        "requested_at": "Datetime(time_unit='us', time_zone='UTC')",
        "deepest_stage": "String",
        "sort_buy_prediction": "Float32",
        "shown": "Boolean",
        "explored": "Boolean",
        "propensity": "Float32",
        "filter": "String",
        "income": "Float32",
        "price": "Float32",
        "image": "Array(Float32, shape=(3,))",
    }
    assert list(event_log_dtypes(shop)) == ["request_id", "candidate_id", "event", "occurred_at", "value"]


def test_bids_and_truths_are_columns_only_where_declared(ads: Cascade) -> None:
    names = list(candidate_log_dtypes(ads))
    assert names[-2:] == ["audit_true_click", "audit_true_conversion"]
    assert names.index("bid") == names.index("ranking_conversion_prediction") + 1


@pytest.mark.parametrize("name", ["ads", "shop"])
def test_a_conforming_log_is_left_as_it_is(name: str, request: pytest.FixtureRequest) -> None:
    cascade = request.getfixturevalue(name)
    logs = make_logs(cascade, DAY)
    assert_frame_equal(conform(logs.candidate_log, candidate_log_dtypes(cascade), "x"), logs.candidate_log)
    assert_frame_equal(conform(logs.event_log.clear(), event_log_dtypes(cascade), "x"), logs.event_log.clear())


def test_a_log_written_by_another_system_conforms_to_the_same_rows(
    shop: Cascade, caplog: pytest.LogCaptureFixture
) -> None:
    log = make_logs(shop, DAY).candidate_log
    foreign = log.with_columns(
        pl.col("request_id", "deepest_stage").cast(pl.Categorical),
        pl.col("requested_at").dt.convert_time_zone("Asia/Tokyo").dt.cast_time_unit("ns"),
        pl.col("price", "propensity").cast(pl.Float64),
        pl.col("image").cast(pl.List(pl.Float64)),
        pl.lit(1).alias("unheard_of"),
    ).select(reversed([*log.columns, "unheard_of"]))
    with caplog.at_level("INFO"):
        assert_frame_equal(conform(foreign, candidate_log_dtypes(shop), "b.parquet"), log)
    assert "b.parquet" in caplog.text and "unheard_of" in caplog.text


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


def test_a_missing_column_is_named_with_what_is_there(ads: Cascade) -> None:
    log = make_logs(ads, DAY).candidate_log.drop("bid")
    with pytest.raises(ContractError, match=r"c\.parquet: column `bid` \(Float32\) is missing, saw request_id, "):
        conform(log, candidate_log_dtypes(ads), "c.parquet")


@pytest.mark.parametrize("name", ["ads", "shop"])
def test_the_schemas_accept_valid_logs(name: str, request: pytest.FixtureRequest) -> None:
    cascade = request.getfixturevalue(name)
    logs = make_logs(cascade, DAY)
    assert candidate_log_schema(cascade).is_valid(logs.candidate_log)
    assert event_log_schema(cascade).is_valid(logs.event_log)
    assert candidate_log_schema(cascade).column_names() == list(candidate_log_dtypes(cascade))


def test_the_schema_parts_good_rows_from_bad_ones(shop: Cascade) -> None:
    log = make_logs(shop, DAY, requests=10).candidate_log
    bad = log.with_row_index().with_columns(
        price=pl.when(pl.col("index") == 3).then(float("nan")).otherwise("price"),
        deepest_stage=pl.when(pl.col("index") == 7).then(pl.lit("basement")).otherwise("deepest_stage"),
        filter=pl.when(pl.col("index") == 25).then(pl.lit("other")).otherwise("filter"),
    )
    good, failure = candidate_log_schema(shop).filter(bad.drop("index"))
    # A request whose feature varies has no right row, so that all its 12 rows are bad.
    assert good.height == log.height - 2 - 12
    assert failure.counts()["filter|constant_within_request"] == 12


VALUES = {
    pl.Int64: st.sampled_from([None, 0, -1]),
    pl.String: st.sampled_from([None, "", "basement", "final", "sort", "order", "impression"]),
    pl.Boolean: st.sampled_from([None, True, False]),
    pl.Float32: st.sampled_from([None, float("nan"), float("inf"), -0.5, 0.0, 0.5, 1.0, 1.5]),
}


@st.composite
def faulty(draw: st.DrawFn, log: pl.DataFrame) -> pl.DataFrame:
    """A log in which up to three cells, picked at random, have another value, good or bad."""
    for _ in range(draw(st.integers(0, 3))):
        column, row = draw(st.sampled_from(log.columns)), draw(st.integers(0, log.height - 1))
        dtype = log.schema[column]
        value: Any
        if isinstance(dtype, pl.Datetime):
            value = draw(st.sampled_from([None, datetime(2026, 1, 3, 23, 59, 59, tzinfo=UTC)]))
        elif isinstance(dtype, pl.Array):
            value = draw(st.none() | st.lists(VALUES[pl.Float32], min_size=dtype.size, max_size=dtype.size))
        else:
            # A value of another row repeats a key or moves a row to another request.
            value = draw(VALUES[type(dtype)] | st.sampled_from(log[column].to_list()))
        log = log.with_columns(
            pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, dtype=dtype)).otherwise(column).alias(column)
        )
    return log


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", ["ads", "shop"])
def test_the_schema_of_the_candidate_log_agrees_with_the_audit(
    name: str, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    cascade = request.getfixturevalue(name)
    log = data.draw(faulty(make_logs(cascade, DAY, requests=4, candidates=3).candidate_log))
    # Whether enough requests have late predictions is no matter of rows.
    audited = [gate for gate in judge_candidate_log(cascade, DAY, log) if gate.name != "late_stage_present"]
    assert candidate_log_schema(cascade).is_valid(log) == all(gate.passed for gate in audited)


@settings(max_examples=60)
@given(data=st.data())
def test_the_schema_of_the_event_log_agrees_with_the_audit(shop: Cascade, data: st.DataObject) -> None:
    logs = make_logs(shop, DAY, requests=4, candidates=3)
    log = data.draw(faulty(logs.event_log))
    contract, _ = judge_event_log(shop, DAY, log, logs.candidate_log)
    # The schema sees no requests.
    broken = contract.seen.keys() - {"rows", "occurred_at: not before its request's requested_at"}
    assert event_log_schema(shop).is_valid(log) == (not broken)
