"""A day is the same wherever its shards are worked on, and when a worker is killed in the middle of it."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import shop
from tests.fixtures.graph import failures, run_day, shipped, small, versions
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import blocking
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake, StagedPartition
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.logs import judge_and_stage
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY, SHARDS = date(2026, 1, 1), 8


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return shipped("simulated_ads")


def made(settings: Settings, cascade: Cascade) -> Mapping[str, str]:
    """Versions of all that a day makes."""
    assert failures(run_day(settings, cascade, DAY, report=False)) == {}
    found = dict(versions(Lake(settings.tables), cascade, DAY))
    store = CheckpointStore(settings.checkpoints)
    for student in cascade.students:
        found |= {f"{student.name}/{arm}": store.load((cascade.name, student.name, arm), DAY).version for arm in ARMS}
    return found


@pytest.fixture(scope="module")
def locally(tmp_path_factory: pytest.TempPathFactory, cascade: Cascade) -> Mapping[str, str]:
    return made(small(tmp_path_factory.mktemp("local"), shards=SHARDS), cascade)


def test_a_day_by_processes_is_the_day_of_one_process(
    tmp_path: Path, cascade: Cascade, locally: Mapping[str, str]
) -> None:
    assert made(small(tmp_path, shards=SHARDS, engine="processes:2"), cascade) == locally


@contextmanager
def killing(folder: Path, pattern: str) -> Iterator[list[str]]:
    """Kills, once, the worker that is writing such a file; gives the name of the file that it was writing."""
    written: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set() and not written:
            for file in folder.glob(pattern):
                for process in children():
                    if not written and file.name in open_files(process):
                        os.kill(process, signal.SIGKILL)
                        written.append(file.name)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def children() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return found


def open_files(process: int) -> set[str]:
    try:
        return {Path(os.readlink(each)).name for each in Path(f"/proc/{process}/fd").iterdir()}
    except OSError:
        return set()


reads_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="open files of a process are read from /proc"
)


@reads_proc
def test_a_worker_killed_in_the_middle_of_a_file_changes_nothing(
    tmp_path: Path, cascade: Cascade, locally: Mapping[str, str]
) -> None:
    settings = small(tmp_path, shards=SHARDS, engine="processes:2")
    with killing(tmp_path, "tables/*/considerations/day=*/shard-00003-of-*") as killed:
        assert made(settings, cascade) == locally
    assert len(killed) == 1
    # What it was writing is no table's; a vacuum finds it.
    live = Lake(settings.tables).live_files((cascade.name, "considerations"), [DAY])
    assert not any(killed[0].removesuffix(".parquet") in file for file in live)


@reads_proc
def test_a_worker_killed_while_it_reads_logs_changes_nothing(tmp_path: Path) -> None:
    cascade = shop.declare(tmp_path)
    logs = make_logs(cascade, shop.DAY, requests=2000)
    for log, rows in logs._asdict().items():
        folder = tmp_path / log / f"day={shop.DAY}"
        folder.mkdir(parents=True)
        for part in range(3):
            rows.gather_every(3, part).write_parquet(folder / f"part-{part}.parquet")

    def staged(**more: Any) -> list[StagedPartition]:
        settings = Settings(lake=str(tmp_path / "lake"), threads=1, shards=SHARDS, **more)
        day = Day(Workspace.open(settings), cascade, shop.DAY)
        judged, parts = judge_and_stage(day, day.source(print), [], datetime(2026, 3, 2, 5, tzinfo=UTC))
        day.workspace.engine.close()
        assert not blocking(judged.results)
        return parts

    with killing(tmp_path, "lake/scratch/*/candidate_log-*") as killed:
        by_workers = staged(engine="processes:2")
    assert len(killed) == 1
    assert [part.data_version for part in by_workers] == [part.data_version for part in staged()]
    assert not list((tmp_path / "lake" / "scratch").iterdir())
