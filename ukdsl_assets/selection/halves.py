"""Withheld requests in two halves, so that no rule is judged on the rows that it chose by."""

import polars as pl


def halves(rows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to measure importance on and those to judge selections on, by a hash of the request.

    Args:
        rows: column request_id; the rows of a request stay together, in their order.
    """
    first = (pl.col("request_id").hash(seed) % 2) == 0
    return rows.filter(first), rows.filter(~first)
