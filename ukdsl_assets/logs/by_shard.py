"""A day of logs that comes in parts, put together one shard at a time, so that memory is that of a part or a shard.

Rows wait in one temporary Arrow file a log, which has a record batch for each part and shard; reading a shard reads its
batches alone. Arrow writes many small batches far more cheaply than Parquet does row groups.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ukdsl_assets.frames.splits import SHARD_KEY, shard_of
from ukdsl_assets.logs.contract import CANDIDATE_ORDER, EVENT_ORDER, DayOfLogs

if TYPE_CHECKING:
    import pyarrow as pa


def by_shard(parts: Iterable[DayOfLogs], shards: int, folder: Path) -> Iterator[DayOfLogs]:
    """Whole requests in the contract's order, one shard after the other, from shard 0 on.

    Args:
        parts: a day; rows in any order, those of a request in any parts. All are taken before a shard is given.
        shards: how many; with one, the day is put together in memory.
        folder: an empty one, where rows wait; it needs room for the day, compressed, and is the caller's to remove.

    Returns:
        As many logs as shards; those of a shard without rows are empty. A log without a column request_id, which the
        gates refuse, is all in shard 0.
    """
    if shards == 1:
        yield whole_day(parts)
        return
    waiting = [_Waiting(folder / f"{log}.arrow", shards) for log in DayOfLogs._fields]
    for part in parts:
        for rows, frame in zip(waiting, part, strict=True):
            rows.add(frame)
    for shard in range(shards):
        yield _in_order(DayOfLogs(*(rows.of(shard) for rows in waiting)))


def whole_day(parts: Iterable[DayOfLogs]) -> DayOfLogs:
    """All parts of a day, at least one, in the contract's order."""
    return _in_order(DayOfLogs(*(pl.concat(frames) for frames in zip(*parts, strict=True))))


def in_order(frame: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """The frame sorted by those of the columns that it has, nulls first; rows that tie keep their order."""
    keys = [pl.col(column) for column in order if column in frame.columns]
    back, same, unknown = pl.lit(False), pl.lit(True), pl.lit(False)
    for key in keys:
        back |= same & (key < key.shift(1))
        same &= key == key.shift(1)
        unknown |= key.is_null()
    # Logs mostly come sorted, and to see that is much faster than to sort them.
    sort = keys and frame.select((back | unknown).any()).item()
    return frame.sort(keys, maintain_order=True) if sort else frame


def _in_order(logs: DayOfLogs) -> DayOfLogs:
    return DayOfLogs(in_order(logs.candidate_log, CANDIDATE_ORDER), in_order(logs.event_log, EVENT_ORDER))


class _Waiting:
    """The rows of one log in an Arrow file: batch `part * shards + shard` holds a part's rows of a shard, in order."""

    def __init__(self, path: Path, shards: int) -> None:
        self._path, self._shards = path, shards
        self._nothing: pl.DataFrame | None = None
        self._parts = 0
        self._writer: pa.RecordBatchFileWriter | None = None
        self._reader: pa.RecordBatchFileReader | None = None

    def add(self, frame: pl.DataFrame) -> None:
        import pyarrow as pa

        self._nothing = frame.clear()
        if frame.is_empty():
            return
        shard = np.zeros(frame.height, np.int32)
        if SHARD_KEY in frame.columns:
            shard = shard_of(frame[SHARD_KEY], self._shards).to_numpy()
        # Strings with offsets: of views, Arrow would write all for each slice.
        together = frame[np.argsort(shard, kind="stable")].to_arrow(compat_level=pl.CompatLevel.oldest())
        rows = together.combine_chunks().to_batches()[0]
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
            self._writer = pa.ipc.new_file(str(self._path), rows.schema, options=options)
        counts = np.bincount(shard, minlength=self._shards)
        for start, count in zip(np.cumsum(counts) - counts, counts, strict=True):
            self._writer.write_batch(rows.slice(start, count))
        self._parts += 1

    def of(self, shard: int) -> pl.DataFrame:
        """The rows of a shard in the order in which they were added; no more can be added."""
        import pyarrow as pa

        if self._writer is None:
            assert self._nothing is not None, "a day has at least one part"
            return self._nothing
        if self._reader is None:
            self._writer.close()
            self._reader = pa.ipc.open_file(pa.OSFile(str(self._path)))
        batches = [self._reader.get_batch(part * self._shards + shard) for part in range(self._parts)]
        return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))
