"""Rows that wait come back by shard in the order in which they were put, from a disk or a store."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.fixtures.log_files import DAY
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.waiting import put, taken, together


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder of this machine, or a place in a store."""
    if request.param == "disk":
        yield str(tmp_path)
        return
    place = f"memory://{uuid4().hex}"
    yield place
    for path in files_in(place):
        fsspec.filesystem("memory").rm(path)


def files_in(folder: str) -> list[str]:
    files, path = fsspec.core.url_to_fs(folder)
    return sorted(files.find(path))


def of_shard(frame: pl.DataFrame, shards: int, shard: int) -> pl.DataFrame:
    return frame.filter(shard_of(frame["request_id"], shards) == shard)


@pytest.mark.parametrize("shards", [1, 3, 40])
def test_a_shard_of_several_parts_has_their_rows_in_their_order(shop: Cascade, folder: str, shards: int) -> None:
    candidates, events = make_logs(shop, DAY)
    nobody, nothing = candidates.clear(), events.clear()
    first = put([DayOfLogs(candidates[:70], nothing), DayOfLogs(candidates[70:200], events[:9])], shards, folder)
    second = put([DayOfLogs(nobody, nothing)], shards, folder)
    third = put([DayOfLogs(candidates[200:], nothing), DayOfLogs(nobody, events[9:])], shards, folder)
    waiting = together([first, second, third])
    assert len(files_in(folder)) == 4
    for shard in range(shards):
        there = taken(waiting, shard)
        assert_frame_equal(there.candidate_log, of_shard(candidates, shards, shard))
        assert_frame_equal(there.event_log, of_shard(events, shards, shard))


ids = st.lists(st.none() | st.integers(0, 9), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(ids, min_size=1, max_size=5), st.integers(1, 6))
def test_no_row_is_lost_or_moved_however_slices_and_shards_fall(tmp_path_factory, parts, shards) -> None:  # type: ignore[no-untyped-def]
    """Of slices without rows, shards without rows, and ids that are null."""
    frames = [pl.DataFrame({"request_id": part}, schema={"request_id": pl.Int64}) for part in parts]
    whole = pl.concat(frames).with_row_index()
    starts = pl.Series([0, *map(len, parts)]).cum_sum()
    slices = [whole[start : start + len(part)] for start, part in zip(starts, parts, strict=False)]
    folder = str(tmp_path_factory.mktemp("waiting"))
    waiting = put([DayOfLogs(each, each.clear()) for each in slices], shards, folder)
    for shard in range(shards):
        assert_frame_equal(taken(waiting, shard).candidate_log, of_shard(whole, shards, shard))


def test_a_part_that_cannot_be_read_to_its_end_leaves_no_file(
    shop: Cascade, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = make_logs(shop, DAY)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def cut_off() -> Iterator[DayOfLogs]:
        yield logs
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        put(cut_off(), 4, folder)
    assert files_in(folder) == []
    assert list(tmp_path.iterdir()) == []
    put([logs], 4, folder)
    assert len(files_in(folder)) == 2
    assert len(list(tmp_path.iterdir())) == (2 if folder == str(tmp_path) else 0)
