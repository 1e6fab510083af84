"""A day is the same wherever its shards are worked on, and when a worker is killed in the middle of it."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pytest

from tests.fixtures.graph import failures, run_day, shipped, small, versions
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.students.student import ARMS
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


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[list[str]]:
    """Kills, once, the worker that is writing the fourth shard of considerations; gives the file it was writing."""
    written: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set() and not written:
            for file in tmp_path.glob("tables/*/considerations/day=*/shard-00003-of-*"):
                for process in children():
                    if file.name in open_files(process):
                        os.kill(process, signal.SIGKILL)
                        written.append(file.name)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    yield written
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


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files of a process are read from /proc")
def test_a_worker_killed_in_the_middle_of_a_file_changes_nothing(
    tmp_path: Path, cascade: Cascade, locally: Mapping[str, str], killer: list[str]
) -> None:
    settings = small(tmp_path, shards=SHARDS, engine="processes:2")
    assert made(settings, cascade) == locally
    assert len(killer) == 1
    # What it was writing is no table's; a vacuum finds it.
    live = Lake(settings.tables).live_files((cascade.name, "considerations"), [DAY])
    assert not any(killer[0].removesuffix(".parquet") in file for file in live)
