"""Rows of a day that wait by shard, from when their part is read until their shard is judged.

A part leaves a file a log: Arrow batches, one for each slice and shard that has rows, and after them an index of where
each is. So a shard reads its own bytes alone, whatever the number of shards, of a disk or of a bucket. Arrow writes
many small batches far more cheaply than Parquet does row groups.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING
from uuid import uuid4

import fsspec
import numpy as np
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.frames.splits import SHARD_KEY, shard_of
from ukdsl_assets.logs.contract import DayOfLogs

if TYPE_CHECKING:
    import pyarrow as pa

# An entry of the index: where a batch begins and how long it is; 0 and 0 for none.
_ENTRY = np.dtype("<i8")
_ENTRY_BYTES = 2 * _ENTRY.itemsize


@dataclass(frozen=True)
class WaitingFile:
    """Rows of one log; `index` is where the index begins, which has `slices` entries for each shard in turn."""

    path: str
    index: int
    slices: int


@dataclass(frozen=True)
class Waiting:
    """The files of some parts of a day, in the order of the parts.

    Attributes:
        nothing: both logs without rows, for their columns and types.
        candidate_log, event_log: of each log; none of one without rows.
    """

    nothing: DayOfLogs
    candidate_log: tuple[WaitingFile, ...] = ()
    event_log: tuple[WaitingFile, ...] = ()


def put(parts: Iterable[DayOfLogs], shards: int, folder: str) -> Waiting:
    """Write rows where they wait, under new names; whatever is raised, no file stays on this machine.

    Args:
        parts: at least one, all of the same columns; rows in any order. Each is in memory alone.
        shards: how many. Rows of a log without a column request_id, which the gates refuse, are all in shard 0.
        folder: local, where it exists, or a URI.
    """
    logs = [_Writer(f"{folder}/{log}-{uuid4().hex}", shards) for log in DayOfLogs._fields]
    nothing: DayOfLogs | None = None
    try:
        for part in parts:
            nothing = nothing or DayOfLogs(*(frame.clear() for frame in part))
            for log, frame in zip(logs, part, strict=True):
                log.add(frame)
        assert nothing is not None, "a day has at least one part"
        return Waiting(nothing, *(log.finished() for log in logs))
    except BaseException:
        for log in logs:
            log.abandon()
        raise


def together(waiting: Iterable[Waiting]) -> Waiting:
    """What waits of several parts, at least one, in their order."""
    of_parts = list(waiting)
    return Waiting(
        of_parts[0].nothing,
        tuple(file for part in of_parts for file in part.candidate_log),
        tuple(file for part in of_parts for file in part.event_log),
    )


def taken(waiting: Waiting, shard: int) -> DayOfLogs:
    """The rows of a shard, one of as many as they were put for, in the order in which they were put."""
    files = (waiting.candidate_log, waiting.event_log)
    return DayOfLogs(*(_rows(*each, shard) for each in zip(files, waiting.nothing, strict=True)))


@dataclass
class _Writer:
    """Writes the file of a log once it has rows; on this machine first where its place is a store."""

    path: str
    shards: int
    _entries: list[np.ndarray] = field(default_factory=list)
    _sink: "pa.NativeFile | None" = None
    _writer: "pa.RecordBatchStreamWriter | None" = None

    def add(self, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        shard = np.zeros(frame.height, np.int32)
        if SHARD_KEY in frame.columns:
            shard = shard_of(frame[SHARD_KEY], self.shards).to_numpy()
        rows = _as_arrow(frame[np.argsort(shard, kind="stable")]).combine_chunks().to_batches()[0]
        writer, sink = self._opened(rows)
        entries = np.zeros((self.shards, 2), _ENTRY)
        counts = np.bincount(shard, minlength=self.shards)
        first = np.cumsum(counts) - counts
        for of_shard in np.flatnonzero(counts):
            begin = sink.tell()
            writer.write_batch(rows.slice(first[of_shard], counts[of_shard]))
            entries[of_shard] = begin, sink.tell() - begin
        self._entries.append(entries)

    def finished(self) -> tuple[WaitingFile, ...]:
        if self._sink is None:
            return ()
        index = self._sink.tell()
        self._sink.write(np.stack(self._entries, axis=1).tobytes())
        self._sink.close()
        if "://" in self.path:
            files, path = fsspec.core.url_to_fs(self.path)
            files.put_file(str(self._here), path)
            self._here.unlink()
        return (WaitingFile(self.path, index, len(self._entries)),)

    def abandon(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._here.unlink(missing_ok=True)

    @property
    def _here(self) -> Path:
        place = Path(self.path)
        return Path(gettempdir()) / place.name if "://" in self.path else place

    def _opened(self, rows: "pa.RecordBatch") -> "tuple[pa.RecordBatchStreamWriter, pa.NativeFile]":
        import pyarrow as pa

        if self._writer is None or self._sink is None:
            self._sink = pa.OSFile(str(self._here), "wb")
            options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
            self._writer = pa.ipc.new_stream(self._sink, rows.schema, options=options)
            # Before the first batch a stream has its schema, which whoever reads knows.
            self._writer.write_batch(rows.slice(0, 0))
        return self._writer, self._sink


def _as_arrow(frame: pl.DataFrame) -> "pa.Table":
    """With offsets for strings: of views, Arrow would write all for each slice."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _rows(files: Sequence[WaitingFile], nothing: pl.DataFrame, shard: int) -> pl.DataFrame:
    import pyarrow as pa

    indices = _read([(file.path, *_of_index(file, shard)) for file in files])
    wanted = [
        (file.path, begin, length)
        for file, index in zip(files, indices, strict=True)
        for begin, length in np.frombuffer(index, _ENTRY).reshape(-1, 2).tolist()
        if length
    ]
    if not wanted:
        return nothing
    schema = _as_arrow(nothing).schema
    batches = [pa.ipc.read_record_batch(pa.py_buffer(message), schema) for message in _read(wanted)]
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))


def _of_index(file: WaitingFile, shard: int) -> tuple[int, int]:
    size = file.slices * _ENTRY_BYTES
    return file.index + shard * size, size


def _read(ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
    """Bytes of files by (path, begin, length); a store is asked for many at a time."""
    if not ranges:
        return []
    files = fsspec.core.url_to_fs(ranges[0][0])[0]
    if not isinstance(files, LocalFileSystem):
        paths, begins, lengths = zip(*ranges, strict=True)
        ends = [begin + length for begin, length in zip(begins, lengths, strict=True)]
        return list(files.cat_ranges(list(paths), list(begins), ends, on_error="raise"))
    found = []
    for path, begin, length in ranges:
        with Path(path).open("rb") as file:
            file.seek(begin)
            found.append(file.read(length))
    return found
