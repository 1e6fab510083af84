"""Which shard a request belongs to."""

from collections.abc import Iterator
from hashlib import md5

import polars as pl

SHARD_KEY = "request_id"


def shard_of(request_ids: pl.Series, shards: int) -> pl.Series:
    """Shard of each request, the same on every machine, day and version of the libraries.

    It is DuckDB's `md5_number_lower(request_id::varchar) % shards`, so that SQL can name the shard too.

    Args:
        request_ids: Int64 or String, any length; null goes to shard 0.
        shards: number of shards, 1 to 4096.

    Returns:
        Int32 series of the same length, in [0, shards).
    """
    import duckdb

    distinct = pl.DataFrame({"id": request_ids.unique()})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("distinct_requests", distinct)
        query = "select coalesce(md5_number_lower(id::varchar) % $shards, 0)::integer as shard from distinct_requests"
        assigned = pl.DataFrame(connection.sql(query, params={"shards": shards}).to_arrow_table())
    return request_ids.replace_strict(distinct["id"], assigned["shard"], return_dtype=pl.Int32)


def split(frame: pl.DataFrame, shards: int) -> Iterator[pl.DataFrame]:
    """The rows of each shard in the frame's order, from shard 0 on; the frame has a column request_id."""
    assigned = shard_of(frame[SHARD_KEY], shards)
    for shard in range(shards):
        yield frame.filter(assigned == shard)


def halves(rows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to measure importance on and those to judge selections on, by a hash of the request.

    Args:
        rows: column request_id; the rows of a request stay together, in their order.
    """
    first = (pl.col("request_id").hash(seed) % 2) == 0
    return rows.filter(first), rows.filter(~first)


SALT = "withheld"
BUCKETS = 10_000


def withheld(request_ids: pl.Series, share: float) -> pl.Series:
    """Whether each request is withheld, by hash of its id alone: the same on every day and for every student.

    Args:
        request_ids: Int64 or String, any length, repeats allowed, no nulls.
        share: of the requests to withhold, in [0, 1], to a resolution of 1 / 10,000.

    Returns:
        Boolean, named `withheld`, same length and order.
    """
    unique = request_ids.unique()
    flags = [_bucket(request_id) < share * BUCKETS for request_id in unique]
    # Without rows polars returns the ids' own type.
    found = request_ids.replace_strict(unique, flags, return_dtype=pl.Boolean)
    return found.cast(pl.Boolean).alias("withheld")


def _bucket(request_id: int | str) -> int:
    # DuckDB's md5_number_lower: the last eight bytes of the digest, little endian.
    return int.from_bytes(md5(f"{request_id}{SALT}".encode(), usedforsecurity=False).digest()[8:], "little") % BUCKETS
