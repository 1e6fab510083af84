"""Parquet files of a partition that are written and checked, but not yet published."""

import datetime as dt
import hashlib
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import polars as pl
from polars.io.plugins import register_io_source

from ukdsl_assets.errors import LakeError, noted
from ukdsl_assets.lake.storage import Storage, flush, folder_of

# What `digest_in` gives for the lake's own files.
DIGEST = re.compile(r"[0-9a-f]{16}")
# Row groups of one size: the bytes must follow from the rows, not from how they were put together. A higher level of
# compression saves a twentieth of a log and takes a tenth more time.
_PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "row_group_size": 1 << 17}


@dataclass(frozen=True)
class StagedFile:
    """One shard. `path` is relative to the table: day=YYYY-MM-DD/shard-00000-of-00001-<uuid>-<digest>.parquet."""

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class StagedShard:
    """A staged file and its columns: all that the process which commits a day learns of a shard made elsewhere."""

    file: StagedFile
    schema: pl.Schema


@dataclass(frozen=True)
class StagedPartition:
    """The files of one day of one table, ready to be committed, in the order of the shards.

    Attributes:
        table: key of the table.
        day: the partition.
        files: one per shard, at least one.
        schema: of every file, without `day`.
    """

    table: tuple[str, ...]
    day: dt.date
    files: tuple[StagedFile, ...]
    schema: pl.Schema

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(file.rows for file in self.files)

    @property
    def data_version(self) -> str:
        """Equal when the same rows were written in the same order to as many shards; see `data_version_of`."""
        return data_version_of([file.path for file in self.files])


def digest_in(path: str) -> str:
    """The shortened sha256 of the content that the name of a staged or published file carries."""
    return Path(path).stem.rpartition("-")[2]


def data_version_of(paths: Sequence[str]) -> str:
    """Hash of the files' contents, from their names: it needs neither the data nor the table's history.

    The bytes that polars or DuckDB write may change with their version, and so may this.
    """
    return hashlib.sha256(" ".join(digest_in(path) for path in paths).encode()).hexdigest()[:16]


def new_file(storage: Storage, table: tuple[str, ...], day: dt.date, shard: int, shards: int) -> str:
    """Local path to which to write one shard before staging it: beside its table when the lake is local."""
    folder = writing_folder(storage, table, day)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / f"shard-{shard:05d}-of-{shards:05d}-{uuid4().hex}.parquet")


def stage_files(storage: Storage, table: tuple[str, ...], day: dt.date, paths: Sequence[str]) -> StagedPartition:
    """Checks, flushes and names the files, or uploads them when the lake is remote; the order is that of their names.

    Raises:
        LakeError: no files, a file that is not whole Parquet, shards whose schemas differ, or a file that is not
            where `new_file` said.
    """
    where = f"{'/'.join(table)}, day {day}"
    paths = sorted(paths, key=lambda path: Path(path).name)
    if not paths:
        raise LakeError(f"{where}: no files to stage. Expected one per shard; write one without rows for an empty day.")
    footers = [_footer(where, path) for path in paths]
    _refuse_other_columns(where, [(path, schema) for path, (schema, _) in zip(paths, footers, strict=True)])
    shards = [_staged(storage, table, day, path, *footer) for path, footer in zip(paths, footers, strict=True)]
    if storage.local:
        flush(storage.path(*table, folder_of(day)))
    return StagedPartition(table, day, tuple(shard.file for shard in shards), footers[0][0])


def stage_shard(storage: Storage, table: tuple[str, ...], day: dt.date, path: str) -> StagedShard:
    """As `stage_files` of one file, in the process that wrote it; for `together`.

    Raises:
        LakeError: a file that is not whole Parquet, or not where `new_file` said.
    """
    shard = _staged(storage, table, day, path, *_footer(f"{'/'.join(table)}, day {day}", path))
    if storage.local:
        flush(storage.path(*table, folder_of(day)))
    return shard


def together(table: tuple[str, ...], day: dt.date, shards: Sequence[StagedShard]) -> StagedPartition:
    """The partition of shards that were staged one by one, in their order; reads no file.

    Raises:
        LakeError: no shards, or shards whose schemas differ.
    """
    where = f"{'/'.join(table)}, day {day}"
    if not shards:
        raise LakeError(f"{where}: no files to stage. Expected one per shard; write one without rows for an empty day.")
    _refuse_other_columns(where, [(shard.file.path, shard.schema) for shard in shards])
    return StagedPartition(table, day, tuple(shard.file for shard in shards), shards[0].schema)


def _refuse_other_columns(where: str, schemas: Sequence[tuple[str, pl.Schema]]) -> None:
    first_path, first = schemas[0]
    for path, schema in schemas:
        if list(schema.items()) != list(first.items()):
            raise LakeError(
                f"{where}: the shards have different columns: {path} has {dict(schema)}, expected {dict(first)} as in "
                f"{first_path}. Write every shard with the same query and casts."
            )


def _staged(
    storage: Storage, table: tuple[str, ...], day: dt.date, path: str, schema: pl.Schema, rows: int
) -> StagedShard:
    folder = writing_folder(storage, table, day)
    if Path(path).parent != folder:
        raise LakeError(
            f"{'/'.join(table)}, day {day}: {path} is not in {folder}. Write the shards to the paths that new_file "
            "gives."
        )
    return StagedShard(place(storage, table, folder_of(day), path, rows), schema)


def write_rows(path: str, rows: pl.DataFrame) -> None:
    """Writes a shard to a path of `new_file`, zstd Parquet; whatever is raised, no file stays."""
    with removed_on_error([path]), noted(f"while writing {path}"):
        # Pages of lists are cut by what their chunk holds.
        (rows.rechunk() if _has_lists(rows) else rows).write_parquet(path, **_PARQUET)


def write_parts(path: str, parts: Iterable[pl.DataFrame]) -> None:
    """Writes a shard that comes in parts, at least one, all of the same columns; the file is that of `write_rows`.

    The first part is asked for here, the others in a thread of polars while those before them are written; few are in
    memory at a time, but all where a column has lists. What they raise is raised; stopped, it asks for no further part.
    """
    with removed_on_error([path]), noted(f"while writing {path}"):
        coming = iter(parts)
        first = next(coming)
        if _has_lists(first):
            write_rows(path, pl.concat([first, *coming]))
            return

        stopped = Event()

        def given(*_: Any) -> Iterator[pl.DataFrame]:
            return takewhile(lambda _: not stopped.is_set(), chain([first], coming))

        rows = register_io_source(given, schema=first.schema, validate_schema=True)
        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(lambda: rows.sink_parquet(path, **_PARQUET))
            try:
                # A thread is stopped between two of its lines: one call for all parts would go on to the last.
                while not wait([writing], 0.1).done:
                    pass
            except BaseException:
                stopped.set()
                raise
            writing.result()


def _has_lists(rows: pl.DataFrame) -> bool:
    return any(isinstance(dtype, pl.List | pl.Struct) for dtype in rows.dtypes)


@contextmanager
def removed_on_error(paths: Collection[str]) -> Iterator[None]:
    """Removes the files, those that are listed by then, if what is done inside fails."""
    try:
        yield
    except BaseException:
        for path in paths:
            Path(path).unlink(missing_ok=True)
        raise


def writing_folder(storage: Storage, table: tuple[str, ...], day: dt.date) -> Path:
    """Where files are written before they are staged: on the lake's own disk, so that staging need not copy them."""
    return Path(storage.path(*table, folder_of(day))) if storage.local else Path(tempfile.gettempdir())


def _footer(where: str, path: str) -> tuple[pl.Schema, int]:
    """Schema and rows that the file's footer states; a file that was cut off has no footer."""
    try:
        scanned = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        return scanned.collect_schema(), scanned.select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"{where}: {path} is not a whole Parquet file ({error}). Its writer was probably stopped. "
            "Nothing was published; write the shard again."
        ) from error


def place(storage: Storage, table: tuple[str, ...], folder: str, path: str, rows: int) -> StagedFile:
    """Gives a local file the name under which it is published, which carries the digest of its content.

    Args:
        folder: inside the table, empty for the table's own; where the lake is local the file is in it already.

    Raises:
        LakeError: the file is gone, as a vacuum that spares no young files leaves it.
    """
    source = Path(path)
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        size = source.stat().st_size
        relative = f"{folder}/{source.stem}-{digest}.parquet".lstrip("/")
        target = storage.path(*table, relative)
        if storage.local:
            flush(source)
            source.rename(target)
        else:
            storage.fs.put_file(path, target)
            source.unlink()
    except FileNotFoundError as error:
        raise LakeError(
            f"{'/'.join(table)}: {path} was removed before it was staged; a vacuum that spares only younger files does "
            "so. Nothing was published. Write it again, and vacuum with more --older-than-hours than a run takes."
        ) from error
    return StagedFile(relative, rows, size)
