"""A day of a table made shard by shard, wherever the engine has the shards worked on."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import TypeVar
from uuid import uuid4

from ukdsl_assets.lake.storage import SCRATCH, Storage
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.staging import StagedPartition, StagedShard, removed_on_error
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Table

A = TypeVar("A")
B = TypeVar("B")


def threads_of_a_shard(day: Day) -> int:
    """For libraries that are told how many: workers stand side by side, so each has one."""
    return 1 if day.workspace.engine.apart else day.settings.threads


def staged_by_shard(
    day: Day, table: Table, make: Callable[[A, str], B], parts: Sequence[A]
) -> tuple[StagedPartition, list[B]]:
    """Make each part's file, and stage it where it was made: no byte of it is read again here.

    Args:
        make: writes a part's file to the path it is given and returns what is to be known of it, such as counts that
            gates add up. As `Engine.map` says of work.
        parts: one a shard.

    Returns:
        The staged partition, and what `make` returned, in the order of the parts. Whatever is raised, no file stays.
    """
    work = partial(_made, day.lake, table, day.date, len(parts), make)
    shards: list[StagedShard] = []
    told: list[B] = []
    try:
        for shard, of_shard in day.workspace.engine.map(
            work, list(enumerate(parts)), f"{'/'.join(table)}, day {day.date}"
        ):
            shards.append(shard)
            told.append(of_shard)
        return day.lake.together(table, day.date, shards), told
    except BaseException:
        day.lake.discard_shards(table, shards)
        raise


@contextmanager
def discarded_on_error(day: Day, staged: StagedPartition) -> Iterator[None]:
    """Removes a staged partition if what is done inside fails, such as its judging."""
    try:
        yield
    except BaseException:
        day.lake.discard(staged)
        raise


@contextmanager
def scratch(day: Day) -> Iterator[str]:
    """A folder that every worker reaches, beside the lake where they are on other machines; removed at the end."""
    if not day.workspace.engine.remote:
        with TemporaryDirectory() as folder:
            yield folder
        return
    storage = Storage(day.settings.lake)
    name = f"{SCRATCH}/{uuid4().hex}"
    try:
        yield storage.uri(name)
    finally:
        for path in storage.find(name):
            storage.remove(path)


def _made(
    lake: Lake, table: Table, day: dt.date, shards: int, make: Callable[[A, str], B], part: tuple[int, A]
) -> tuple[StagedShard, B]:
    # A name of its own: an attempt that was given up may still be writing to another.
    path = lake.new_file(table, day, part[0], shards)
    with removed_on_error([path]):
        told = make(part[1], path)
        return lake.stage_shard(table, day, path), told
