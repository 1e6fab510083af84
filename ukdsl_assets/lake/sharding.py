"""Which shard a request belongs to."""

from collections.abc import Iterator

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
