"""A day of logs that comes in parts, put together one shard at a time, so that memory is that of a part or a shard."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from ukdsl_assets.logs.contract import CANDIDATE_ORDER, EVENT_ORDER, DayOfLogs
from ukdsl_assets.logs.waiting import Waiting, put, taken


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
    waiting = put(parts, shards, str(folder))
    for shard in range(shards):
        yield shard_in_order(waiting, shard)


def shard_in_order(waiting: Waiting, shard: int) -> DayOfLogs:
    """A shard of a day that waits, in the contract's order; rows that tie are in that of the parts."""
    return _in_order(taken(waiting, shard))


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
