"""Whole requests drawn by a seed, from rows in memory or from shards that are read one at a time."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.learning.evaluation.mapped import Mapped

# Gives the rows of a shard.
Reader = Callable[[], pl.DataFrame]
SAMPLED_DOMAINS = (IMP, CD)


def sample(rows: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Whole requests, chosen by the seed, with at most `most` rows in all; the rows keep their order.

    The first request is taken whatever its size.
    """
    keys = [name for name in ("day", "request_id") if name in rows.columns]
    taken = _drawn(rows.group_by(keys, maintain_order=True).len(), most, seed)
    return rows.join(taken, on=keys, how="semi", maintain_order="left")


def sample_of_shards(
    ids: Sequence[Reader], rows: Sequence[Reader], most: int, seed: int, by_domain: bool, mapped: Mapped = map
) -> pl.DataFrame:
    """`sample` of the rows of all shards; only what is drawn, and a number for each request, leaves a shard.

    Args:
        ids: what gives day, request_id and domain of each row, shard by shard.
        rows: what gives the shards' rows in the same order, once the requests are drawn; at least one shard.
        by_domain: whether requests are drawn for each domain apart, `most` rows of each.
        mapped: reads shards, here or elsewhere.
    """
    keys = ["day", "request_id", "domain"] if by_domain else ["day", "request_id"]
    counts = pl.concat(mapped(partial(_counts, keys), ids))
    groups = [counts.filter(domain=domain) for domain in SAMPLED_DOMAINS] if by_domain else [counts]
    taken = pl.concat([_drawn(each, most, seed) for each in groups])
    return pl.concat(mapped(partial(_taken, keys, taken), rows))


def _counts(keys: Sequence[str], read: Reader) -> pl.DataFrame:
    return read().group_by(keys, maintain_order=True).len()


def _taken(keys: Sequence[str], taken: pl.DataFrame, read: Reader) -> pl.DataFrame:
    return read().join(taken, on=keys, how="semi", maintain_order="left")


def _drawn(counts: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Those of the requests that are drawn; column `len` holds the rows of each."""
    order = np.random.default_rng(seed).permutation(len(counts))
    reached = np.cumsum(counts["len"].to_numpy()[order])
    return counts[order[: max(int(np.searchsorted(reached, most, side="right")), 1)]]
