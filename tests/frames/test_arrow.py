"""What other writers put into a column comes to polars as the values that it stands for, or is named."""

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from ukdsl_assets.errors import ContractError
from ukdsl_assets.frames.arrow import to_polars

MOMENT = 1_772_323_200_000_000


@pytest.mark.parametrize("zone", ["+05:30", "-03:45", "+01:00", "Asia/Kolkata", "UTC", "Mars/Olympus"])
def test_times_of_any_zone_are_the_same_moments_in_utc(zone: str) -> None:
    table = pa.table({"x": pa.array([MOMENT, None], pa.timestamp("us", zone))})
    assert to_polars(table, "a.parquet")["x"].equals(pl.Series("x", [MOMENT, None]).cast(pl.Datetime("us", "UTC")))


@pytest.mark.parametrize(
    ("column", "values", "dtype"),
    [
        (pa.array([7, None]).dictionary_encode(), [7, None], pl.Int64),
        (pa.array(["a", None]).dictionary_encode(), ["a", None], pl.String),
        (
            pa.ListArray.from_arrays(pa.array([0, 2]), pa.array(["a", "b"]).dictionary_encode()),
            [["a", "b"]],
            pl.List(pl.String),
        ),
        (pa.array([Decimal("1.25")], pa.decimal256(50, 2)), [Decimal("1.25")], pl.Decimal(38, 2)),
        (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), [[1, 2]], pl.Array(pl.Int8, 2)),
        (pa.array(["a"], pa.large_string()), ["a"], pl.String),
        (pa.array([], pa.float32()), [], pl.Float32),
    ],
)
def test_a_column_is_what_it_stands_for(column: pa.Array, values: list[object], dtype: pl.DataType) -> None:
    seen = to_polars(pa.table({"x": column}), "a.parquet")["x"]
    assert (seen.to_list(), seen.dtype) == (values, dtype)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([{"a": 1}]),
        pa.array([b"ab"], pa.binary(2)),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([Decimal(10**40)], pa.decimal256(50, 0)),
    ],
    ids=lambda column: str(column.type),
)
def test_a_type_of_no_log_is_named_with_its_column(column: pa.Array) -> None:
    with pytest.raises(ContractError, match=r"^a\.parquet: column `x` is .*; write it as texts, numbers"):
        to_polars(pa.table({"x": column}), "a.parquet")
