"""Which requests no model is trained on: the Python twin of the `withheld` column that SQL computes."""

from hashlib import md5

import polars as pl

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
