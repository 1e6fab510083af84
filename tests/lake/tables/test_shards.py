"""Requests go to shards whole, the same way everywhere."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.lake.tables.lake import Lake

DAY = dt.date(2026, 1, 5)
TABLE = ("simulated_ads", "candidate_log")


@pytest.mark.parametrize("dtype", [pl.Int64, pl.String])
def test_every_request_is_in_exactly_one_shard_in_the_frames_order(tmp_path: Path, dtype: type[pl.DataType]) -> None:
    requests = pl.Series([request for request in range(200) for _ in range(3)]).cast(dtype)
    frame = pl.DataFrame({"request_id": requests, "row": range(600)})
    lake = Lake(str(tmp_path), shards=4)
    published = lake.commit(lake.stage_frame(TABLE, DAY, frame), {})

    shards = [pl.read_parquet(file, hive_partitioning=False) for file in published.files]
    assert [f"shard-{shard:05d}-of-00004-" in file for shard, file in enumerate(published.files)] == [True] * 4
    assert all(shard["row"].is_sorted() and shard.height > 0 for shard in shards)
    assert sum(shard["request_id"].n_unique() for shard in shards) == 200
    assert_frame_equal(pl.concat(shards).sort("row"), frame)
    assert_frame_equal(lake.scan(TABLE, [DAY]).drop("day").collect(), pl.concat(shards))
    again = lake.stage_frame(TABLE, DAY, frame)
    assert again.data_version == published.data_version


def test_a_frame_without_requests_and_an_empty_one_are_sharded_too(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), shards=3)
    assert len(lake.stage_frame(("a",), DAY, pl.DataFrame({"x": [1]})).files) == 1
    empty = lake.commit(lake.stage_frame(("b",), DAY, pl.DataFrame(schema={"request_id": pl.Int64})), {})
    assert (len(empty.files), empty.rows) == (3, 0)


def test_rows_without_a_request_are_kept_in_the_first_shard(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), shards=3)
    staged = lake.stage_frame(
        TABLE, DAY, pl.DataFrame({"request_id": [None, 7, None]}, schema={"request_id": pl.Int64})
    )
    assert staged.rows == 3
    assert staged.files[0].rows >= 2


def test_days_of_unlike_shards_are_scanned_in_as_many_parts_as_the_fewest(tmp_path: Path) -> None:
    days = [DAY, DAY + dt.timedelta(days=1)]
    for day, shards in zip(days, (5, 3), strict=True):
        lake = Lake(str(tmp_path), shards=shards)
        frame = pl.DataFrame({"request_id": range(100), "row": range(100)})
        lake.commit(lake.stage_frame(TABLE, day, frame), {})
    scanned = [shard.collect() for shard in lake.scan_shards(TABLE, days, columns=["row", "day"])]
    ids = pl.Series(range(100))
    of_five, of_three = shard_of(ids, 5), shard_of(ids, 3)
    assert len(scanned) == 3
    for part, shard, neighbours in zip(range(3), scanned, ([0, 1], [2, 3], [4]), strict=True):
        rows = [ids.filter(of_five == each) for each in neighbours]
        assert shard.filter(day=days[0])["row"].to_list() == pl.concat(rows).to_list()
        assert shard.filter(day=days[1])["row"].to_list() == ids.filter(of_three == part).to_list()
    everything = pl.concat(scanned).sort("day", "row")
    assert_frame_equal(everything, lake.scan(TABLE, days, columns=["row", "day"]).sort("day", "row").collect())
    with pytest.raises(LakeError, match="has no day 2030-01-01"):
        lake.scan_shards(TABLE, [DAY, dt.date(2030, 1, 1)])


def test_shards_that_cannot_all_be_written_leave_no_file(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    part = pl.DataFrame({"request_id": [1]})

    def broken() -> Iterator[pl.DataFrame]:
        yield part
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        lake.write_shards(TABLE, DAY, broken(), 2)
    with pytest.raises(ValueError, match="shorter"):
        lake.write_shards(TABLE, DAY, [part], 2)
    assert not list(tmp_path.rglob("*.parquet"))
