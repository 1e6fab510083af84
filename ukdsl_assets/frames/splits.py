"""Which part a request belongs to: its shard, withheld or not, its half, its fold. All follow from one MD5 number.

Hashes of libraries, such as polars' `hash`, may change with their version; MD5 never does, and SQL has it too.
"""

from collections.abc import Iterable, Iterator
from hashlib import md5

import numpy as np
import polars as pl
from numpy.typing import NDArray

SHARD_KEY = "request_id"
SALT = "withheld"
CORRECTION_SALT = "correction"
BUCKETS = 10_000
# Ids that are texts and digests at a time, so that memory does not grow with their number.
_AT_A_TIME = 2**16


def md5_numbers(ids: pl.Series, salt: str = "") -> pl.Series:
    """DuckDB's `md5_number_lower(id::varchar || salt)`: the last eight bytes of the digest, little endian.

    About a microsecond for each distinct id, as long as DuckDB takes for it, without the milliseconds that a query
    costs: encoding asks for every hashed feature of every frame.

    Args:
        ids: Int64 or String, any length, repeats allowed.
        salt: makes the numbers of one use independent of those of another.

    Returns:
        UInt64 of the same name, length and order; null is 0.
    """
    distinct = ids.drop_nulls().unique()
    numbers = np.empty(len(distinct), np.uint64)
    for start in range(0, len(distinct), _AT_A_TIME):
        texts = distinct[start : start + _AT_A_TIME].cast(pl.String)
        numbers[start : start + _AT_A_TIME] = _numbers(texts, salt.encode())
    # Without ids polars returns their own type.
    hashed = ids.replace_strict(distinct, pl.Series(numbers), default=0, return_dtype=pl.UInt64)
    return hashed.cast(pl.UInt64)


def shard_of(request_ids: pl.Series, shards: int) -> pl.Series:
    """Shard of each request, the same on every machine, day and version of the libraries.

    It is DuckDB's `md5_number_lower(request_id::varchar) % shards`, so that SQL can name the shard too.

    Args:
        request_ids: Int64 or String, any length; null goes to shard 0.
        shards: number of shards, 1 to 4096.

    Returns:
        Int32 series of the same length, in [0, shards).
    """
    return (md5_numbers(request_ids) % shards).cast(pl.Int32)


def split(frame: pl.DataFrame, shards: int) -> Iterator[pl.DataFrame]:
    """The rows of each shard in the frame's order, from shard 0 on; the frame has a column request_id."""
    assigned = shard_of(frame[SHARD_KEY], shards)
    for shard in range(shards):
        yield frame.filter(assigned == shard)


def halves(rows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to measure importance on and those to judge selections on, by a hash of the request and the seed.

    Args:
        rows: column request_id; the rows of a request stay together, in their order.
    """
    first = md5_numbers(rows[SHARD_KEY], f"halves/{seed}") % 2 == 0
    return rows.filter(first), rows.filter(~first)


def withheld(request_ids: pl.Series, share: float) -> pl.Series:
    """Whether each request is withheld, by hash of its id alone: the same on every day and for every student.

    Args:
        request_ids: Int64 or String, any length, repeats allowed, no nulls.
        share: of the requests to withhold, in [0, 1], to a resolution of 1 / 10,000.

    Returns:
        Boolean, named `withheld`, same length and order.
    """
    return (md5_numbers(request_ids, SALT) % BUCKETS < share * BUCKETS).alias("withheld")


def for_correction(request_ids: pl.Series) -> pl.Series:
    """Whether each request is of the half whose explored rows correct a teacher that is trained here.

    It leaves these rows out of its training, so that they are new to it; the other half trains it. Both halves are of
    requests that are not withheld: those judge, and neither train nor correct.

    Args:
        request_ids: Int64 or String, any length, repeats allowed, no nulls.

    Returns:
        Boolean, named `for_correction`, same length and order.
    """
    return (md5_numbers(request_ids, CORRECTION_SALT) % 2 == 0).alias("for_correction")


def fold_of(request_ids: pl.Series, folds: int) -> pl.Series:
    """The fold of each request, Int32 in [0, folds), named `fold`: independent of its shard and of the other parts.

    Args:
        request_ids: Int64 or String, any length, repeats allowed, no nulls.
        folds: at least 1.
    """
    return (md5_numbers(request_ids, "fold") % folds).cast(pl.Int32).alias("fold")


def _numbers(texts: Iterable[str], salt: bytes) -> NDArray[np.uint64]:
    digests = b"".join([md5(text.encode() + salt, usedforsecurity=False).digest() for text in texts])
    return np.frombuffer(digests, "<u8")[1::2]
