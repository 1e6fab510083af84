"""Many processes on one table: writers of the same and of other days, readers meanwhile, and kill -9."""

import datetime as dt
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path

import polars as pl
import pytest

from ukdsl_assets.lake.tables.lake import Lake

pytestmark = pytest.mark.slow
SHARED = dt.date(2026, 1, 1)
TABLE = ("simulated_ads", "impressions")
WRITERS, ROUNDS, ROWS, SHARDS = 4, 2, 400, 4

spawned = multiprocessing.get_context("spawn")  # a forked polars deadlocks


def generation(number: int, rows: int = ROWS) -> pl.DataFrame:
    return pl.DataFrame({"request_id": range(rows), "generation": [number] * rows})


def write_own_and_shared_days(root: str, writer: int, barrier: Barrier) -> None:
    lake = Lake(root, SHARDS)
    barrier.wait(60)  # all are first writers of the table and of the shared day
    for turn in range(ROUNDS):
        for day in (SHARED, SHARED + dt.timedelta(days=1 + writer)):
            staged = lake.stage_frame(TABLE, day, generation(writer * ROUNDS + turn))
            lake.commit(staged, {"writer": str(writer)})


def publish_generations(lake: Lake, generations: Iterable[int], rows: int = ROWS) -> None:
    for number in generations:
        lake.commit(lake.stage_frame(TABLE, SHARED, generation(number, rows)), {"generation": str(number)})


def publish_for_ever(lake: Lake, rows: int) -> None:
    publish_generations(lake, count(1), rows)


def test_writers_of_the_same_and_of_other_days_all_succeed_without_doubled_rows(tmp_path: Path) -> None:
    barrier = spawned.Barrier(WRITERS)
    writers = [
        spawned.Process(target=write_own_and_shared_days, args=(str(tmp_path), writer, barrier))
        for writer in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS

    lake = Lake(str(tmp_path))
    days = [SHARED + dt.timedelta(days=day) for day in range(WRITERS + 1)]
    assert lake.row_counts(TABLE, days) == dict.fromkeys(days, ROWS)
    for day in days:
        read = lake.scan(TABLE, [day]).collect()
        assert read["request_id"].n_unique() == ROWS
        assert read["generation"].n_unique() == 1
    assert len(lake.history(TABLE, SHARED)) == WRITERS * ROUNDS
    for entry in lake.history(TABLE, SHARED):
        assert lake.scan(TABLE, [SHARED], entry.version).collect()["generation"].n_unique() == 1


def test_readers_during_overwrites_of_a_sharded_day_never_see_a_mixture(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), SHARDS)
    publish_generations(lake, range(1))
    seen = []
    with ProcessPoolExecutor(1, mp_context=spawned) as pool:
        writing = pool.submit(publish_generations, lake, range(1, 30))
        while not writing.done():
            read = lake.scan(TABLE, [SHARED]).collect()
            assert read.height == ROWS
            assert read["generation"].n_unique() == 1
            seen.append(read["generation"][0])
        writing.result()
    assert seen == sorted(seen)
    assert len(set(seen)) > 5, "the reader did not overlap with the writer"


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.029])
def test_a_killed_writer_leaves_a_whole_partition_and_sweepable_orphans(tmp_path: Path, delay: float) -> None:
    rows = 20_000
    lake = Lake(str(tmp_path), SHARDS)
    publish_generations(lake, range(1), rows)
    writer = spawned.Process(target=publish_for_ever, args=(lake, rows))
    writer.start()
    folder = Path(lake.table_uri(TABLE), f"day={SHARED}")
    while len(list(folder.iterdir())) < 3 * SHARDS:  # it is at work
        time.sleep(0.002)
    time.sleep(delay)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(30)
    assert writer.exitcode == -signal.SIGKILL

    read = lake.scan(TABLE, [SHARED]).collect()
    assert read["request_id"].n_unique() == read.height == rows
    assert read["generation"].n_unique() == 1
    assert read["generation"][0] == int(lake.history(TABLE, SHARED)[0].metadata["generation"])

    publish_generations(lake, [1_000], rows)
    for claim in Path(lake.table_uri(TABLE)).glob("_publications/*/claimed-*"):  # it spares its files for a day
        os.utime(claim, (0, 0))
    lake.vacuum(TABLE, retention_hours=0)
    assert sorted(map(str, folder.iterdir())) == lake.live_files(TABLE, [SHARED])
    assert lake.scan(TABLE, [SHARED]).collect()["generation"].unique().to_list() == [1_000]


def test_a_writer_killed_in_the_middle_of_a_file_leaves_the_old_partition(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    publish_generations(lake, range(1))
    writer = spawned.Process(target=publish_for_ever, args=(lake, 3_000_000))
    writer.start()
    folder = Path(lake.table_uri(TABLE), f"day={SHARED}")
    while sum(file.stat().st_size for file in folder.iterdir()) < 100_000:  # the new file is growing
        time.sleep(0.001)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(30)
    assert len(list(folder.iterdir())) == 2
    read = lake.scan(TABLE, [SHARED]).collect()
    assert read["generation"].to_list() == [0] * ROWS
