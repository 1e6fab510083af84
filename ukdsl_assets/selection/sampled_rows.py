"""Whole requests drawn by a seed, from rows in memory or from shards that are read one at a time."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP

SAMPLED_DOMAINS = (IMP, CD)


def sample(rows: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Whole requests, chosen by the seed, with at most `most` rows in all; the rows keep their order.

    The first request is taken whatever its size.
    """
    keys = [name for name in ("day", "request_id") if name in rows.columns]
    taken = _drawn(rows.group_by(keys, maintain_order=True).len(), most, seed)
    return rows.join(taken, on=keys, how="semi", maintain_order="left")


def sample_of_shards(
    ids: Iterable[pl.DataFrame], rows: Iterable[pl.DataFrame], most: int, seed: int, by_domain: bool
) -> pl.DataFrame:
    """`sample` of the rows of all shards; only what is drawn, and a number for each request, is kept of a shard.

    Args:
        ids: day, request_id and domain of each row, shard by shard.
        rows: the shards' rows in the same order, read once the requests are drawn; at least one shard.
        by_domain: whether requests are drawn for each domain apart, `most` rows of each.
    """
    keys = ["day", "request_id", "domain"] if by_domain else ["day", "request_id"]
    counts = pl.concat([each.group_by(keys, maintain_order=True).len() for each in ids])
    groups = [counts.filter(domain=domain) for domain in SAMPLED_DOMAINS] if by_domain else [counts]
    taken = pl.concat([_drawn(each, most, seed) for each in groups])
    return pl.concat([each.join(taken, on=keys, how="semi", maintain_order="left") for each in rows])


def _drawn(counts: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Those of the requests that are drawn; column `len` holds the rows of each."""
    order = np.random.default_rng(seed).permutation(len(counts))
    reached = np.cumsum(counts["len"].to_numpy()[order])
    return counts[order[: max(int(np.searchsorted(reached, most, side="right")), 1)]]
