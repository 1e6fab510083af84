"""Which changes of columns a table takes."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from polars.datatypes import DataTypeClass
from polars.testing import assert_frame_equal

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.schema import to_delta, to_polars

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (dt.date(2026, 1, day) for day in range(5, 10))
TABLE = ("simulated_ads", "candidate_log")

BASE = pl.DataFrame(
    {
        "request_id": [1, 2],
        "embedding": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
        "bid": pl.Series([0.5, 0.25], dtype=pl.Float32),
    }
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path))
    lake.commit(lake.stage_frame(TABLE, MONDAY, BASE), {})
    return lake


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (BASE.with_columns(pl.col("bid").cast(pl.Float64)), "column 'bid' is Float64, expected Float32"),
        (
            BASE.with_columns(embedding=pl.Series([[1.0, 2.0, 3.0]] * 2, dtype=pl.Array(pl.Float32, 3))),
            r"column 'embedding' is Array\(Float32, shape=\(3,\)\), expected Array\(Float32, shape=\(2,\)\)",
        ),
        (
            BASE.drop("embedding").with_columns(bid=pl.lit("0.5")),
            "column 'bid' is String, expected Float32 as in the table",
        ),
    ],
)
def test_a_mismatch_is_refused_by_column_and_the_old_partition_stays(
    lake: Lake, changed: pl.DataFrame, message: str
) -> None:
    before = lake.partition(TABLE, MONDAY)
    with pytest.raises(LakeError, match=message):
        lake.commit(lake.stage_frame(TABLE, MONDAY, changed), {})
    assert lake.partition(TABLE, MONDAY) == before
    assert_frame_equal(lake.scan(TABLE, [MONDAY]).drop("day").collect(), BASE)


def test_a_new_column_is_null_in_older_days_and_absent_from_older_versions(lake: Lake) -> None:
    wider = BASE.with_columns(device=pl.Series(["phone", "desk"])).select("request_id", "device", "embedding", "bid")
    published = lake.commit(lake.stage_frame(TABLE, TUESDAY, wider), {})
    both = lake.scan(TABLE, [MONDAY, TUESDAY]).collect()
    assert both.columns == [*wider.columns, "day"]
    assert both["device"].to_list() == [None, None, "phone", "desk"]
    old = lake.scan(TABLE, [MONDAY], version=published.version - 1).drop("day").collect()
    assert_frame_equal(old, BASE)


def test_a_day_may_lack_columns_and_reads_as_null_in_them_whatever_came_before_and_comes_after(lake: Lake) -> None:
    narrow = BASE.select("bid", "request_id")
    other = BASE.select("request_id", device=pl.Series(["phone", "desk"]))  # lacks two, adds one
    frames = {MONDAY: BASE, TUESDAY: narrow, WEDNESDAY: BASE, THURSDAY: other, FRIDAY: narrow}
    for day in list(frames)[1:]:
        lake.commit(lake.stage_frame(TABLE, day, frames[day]), {})
    dtypes: dict[str, pl.DataType] = {**BASE.schema, "device": pl.String()}
    for days in ([TUESDAY], [TUESDAY, FRIDAY], [THURSDAY], list(frames)):
        read = lake.scan(TABLE, days).collect()
        assert read.drop("day").schema.keys() == dtypes.keys()
        expected = pl.concat([pl.DataFrame(schema=dtypes), *(frames[day] for day in days)], how="diagonal")
        assert_frame_equal(read.drop("day"), expected, check_column_order=False)


def test_writers_at_once_that_each_lack_a_column_and_add_one_keep_the_columns_of_all(lake: Lake) -> None:
    days = [TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]
    frames = [BASE.select("request_id", pl.lit(1).alias(f"extra_{day.day}")) for day in days]
    staged = [lake.stage_frame(TABLE, day, frame) for day, frame in zip(days, frames, strict=True)]
    with ThreadPoolExecutor(len(days)) as pool:
        list(pool.map(lambda one: lake.commit(one, {}), staged))
    read = lake.scan(TABLE, [MONDAY, *days]).drop("day").collect()
    assert_frame_equal(read, pl.concat([BASE, *frames], how="diagonal"), check_column_order=False)


def test_a_column_that_was_left_out_comes_back_only_with_its_dtype(lake: Lake) -> None:
    lake.commit(lake.stage_frame(TABLE, MONDAY, BASE.drop("bid")), {})  # no file of the table has it any more
    assert lake.scan(TABLE, [MONDAY]).collect()["bid"].to_list() == [None, None]
    with pytest.raises(
        LakeError, match=r"column 'bid' is Int64, expected Float32 .* Cast the column or give it another"
    ):
        lake.commit(lake.stage_frame(TABLE, MONDAY, BASE.with_columns(bid=pl.lit(1, pl.Int64))), {})
    lake.commit(lake.stage_frame(TABLE, MONDAY, BASE), {})
    assert_frame_equal(lake.scan(TABLE, [MONDAY]).drop("day").collect(), BASE, check_column_order=False)


def test_columns_in_another_order_are_the_same_table(lake: Lake) -> None:
    lake.commit(lake.stage_frame(TABLE, TUESDAY, BASE.select("bid", "request_id", "embedding")), {})
    both = lake.scan(TABLE, [MONDAY, TUESDAY]).drop("day").collect()
    assert_frame_equal(both.select(BASE.columns), pl.concat([BASE, BASE]))


DTYPES: dict[str, pl.DataType | DataTypeClass] = {
    "id": pl.Int64,
    "small": pl.Int8,
    "name": pl.String,
    "share": pl.Float32,
    "exact": pl.Decimal(10, 2),
    "at": pl.Datetime("us", "UTC"),
    "local_at": pl.Datetime("us"),
    "vector": pl.Array(pl.Float32, 16),
    "names": pl.List(pl.String),
    "pair": pl.Struct({"a": pl.Int64, "b": pl.List(pl.Float64)}),
}
STORABLE = pl.Schema(DTYPES)


def test_storable_dtypes_come_back_from_the_table_as_they_were(tmp_path: Path) -> None:
    assert to_polars(to_delta(STORABLE, "here")) == STORABLE
    lake = Lake(str(tmp_path))
    lake.commit(lake.stage_frame(TABLE, MONDAY, pl.DataFrame(schema=STORABLE)), {})
    one_row = pl.DataFrame({name: pl.Series([None], dtype=dtype) for name, dtype in STORABLE.items()})
    lake.commit(lake.stage_frame(TABLE, TUESDAY, one_row), {})
    read = lake.scan(TABLE, [MONDAY, TUESDAY]).collect()
    assert read.drop("day").schema == STORABLE
    assert_frame_equal(read.drop("day"), one_row)


@pytest.mark.parametrize(
    "dtype",
    [
        pl.UInt32(),
        pl.Datetime("ns", "UTC"),
        pl.Datetime("us", "Europe/Berlin"),
        pl.Duration("us"),
        pl.Time(),
        pl.Null(),
        pl.Int128(),
        pl.Categorical(),
        pl.Array(pl.Float32, (2, 3)),
        pl.List(pl.Array(pl.Float32, 2)),
        pl.List(pl.UInt8),
    ],
)
def test_a_dtype_that_delta_would_change_is_refused_before_anything_is_written(
    tmp_path: Path, dtype: pl.DataType
) -> None:
    with pytest.raises(LakeError, match=r"column 'odd' is .* which a Delta table cannot hold"):
        Lake(str(tmp_path)).stage_frame(TABLE, MONDAY, pl.DataFrame(schema={"odd": dtype}))
    assert list(tmp_path.iterdir()) == []
