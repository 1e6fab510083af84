"""A day of a table made shard by shard, wherever the engine has the shards worked on."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
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
    """`tables_by_shard` of one table; `make` is given the path of its file."""
    (staged,), told = tables_by_shard(day, [table], partial(_of_one, make), parts)
    return staged, told


def tables_by_shard(
    day: Day, tables: Sequence[Table], make: Callable[[A, Sequence[str]], B], parts: Sequence[A]
) -> tuple[list[StagedPartition], list[B]]:
    """Make each part's file of every table, and stage them where they were made: no byte is read again here.

    Args:
        make: writes a part's files to the paths it is given, one a table, and returns what is to be known of them, such
            as counts that gates add up. As `Engine.map` says of work.
        parts: one a shard.

    Returns:
        The staged partitions, and what `make` returned, in the order of the parts. Whatever is raised, no file stays.
    """
    work = partial(_made, day.lake, tables, day.date, len(parts), make)
    shards: list[list[StagedShard]] = [[] for _ in tables]
    told: list[B] = []
    name = " and ".join("/".join(table) for table in tables)
    try:
        for made, of_shard in day.workspace.engine.map(work, list(enumerate(parts)), f"{name}, day {day.date}"):
            for of_table, shard in zip(shards, made, strict=True):
                of_table.append(shard)
            told.append(of_shard)
        return [day.lake.together(table, day.date, each) for table, each in zip(tables, shards, strict=True)], told
    except BaseException:
        for table, each in zip(tables, shards, strict=True):
            day.lake.discard_shards(table, each)
        raise


@contextmanager
def discarded_on_error(day: Day, *staged: StagedPartition) -> Iterator[None]:
    """Removes staged partitions if what is done inside fails, such as their judging."""
    try:
        yield
    except BaseException:
        for each in staged:
            day.lake.discard(each)
        raise


@contextmanager
def scratch(day: Day) -> Iterator[str]:
    """A folder that every worker reaches, removed at the end; what a killed run leaves there is vacuum's.

    It is below the lake, but for a lake in a store beside workers of this machine: then it is a temporary one.
    """
    storage = Storage(day.settings.lake)
    if not (storage.local or day.workspace.engine.remote):
        with TemporaryDirectory() as folder:
            yield folder
        return
    name = f"{SCRATCH}/{uuid4().hex}"
    folder = storage.uri(name)
    if storage.local:
        Path(folder).mkdir(parents=True)
    try:
        yield folder
    finally:
        if storage.local:
            rmtree(folder, ignore_errors=True)
        else:
            for path in storage.find(name):
                storage.remove(path)


def _of_one(make: Callable[[A, str], B], part: A, paths: Sequence[str]) -> B:
    (path,) = paths
    return make(part, path)


def _made(
    lake: Lake,
    tables: Sequence[Table],
    day: dt.date,
    shards: int,
    make: Callable[[A, Sequence[str]], B],
    part: tuple[int, A],
) -> tuple[list[StagedShard], B]:
    # Names of their own: an attempt that was given up may still be writing to others.
    paths = [lake.new_file(table, day, part[0], shards) for table in tables]
    staged: list[StagedShard] = []
    try:
        with removed_on_error(paths):
            told = make(part[1], paths)
            for table, path in zip(tables, paths, strict=True):
                staged.append(lake.stage_shard(table, day, path))
            return staged, told
    except BaseException:
        for table, shard in zip(tables, staged, strict=False):
            lake.discard_shards(table, [shard])
        raise
