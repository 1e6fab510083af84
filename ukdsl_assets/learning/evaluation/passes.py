"""Passes over the shards of an evaluation: everything that is summed in one is of one reading of each shard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.evaluation.comparisons import Comparison, JudgedRows
from ukdsl_assets.learning.evaluation.domains import alike_for_all
from ukdsl_assets.learning.evaluation.mapped import Mapped, summed
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, PredictedShards, Predictions
from ukdsl_assets.learning.metrics.bootstrap import draws_of


@dataclass(frozen=True)
class JudgedShard:
    """A shard with what several sums of a pass need, each made once.

    predictions: (arm, head) -> float32 [rows]; seed: of the bootstrap.
    """

    rows: JudgedRows
    predictions: Predictions
    seed: int

    @cached_property
    def draws(self) -> NDArray[np.float64]:
        """How often each replicate draws each request, float64 [replicates, requests]."""
        return draws_of(self.rows.frame, self.seed)

    @cached_property
    def comparisons(self) -> Sequence[Comparison]:
        """Those `alike_for_all`."""
        return list(alike_for_all(self.rows))


class Summed(NamedTuple):
    """One sum of a pass: what a shard adds to it, and that of two parts together; of a module, or `partial` of such."""

    of_shard: Callable[[JudgedShard], Any]
    plus: Callable[[Any, Any], Any]


def one_pass(shards: PredictedShards, seed: int, sums: Sequence[Summed], mapped: Mapped = map) -> list[list[Any]]:
    """Each sum over groups of neighbouring shards, see `mapped.summed`, for its `plus` to add up; empty without shards.

    Args:
        shards: one is in memory at a time.
        seed: of the bootstrap.
        mapped: what works on groups of shards.
    """
    of_shard, plus = (tuple(each) for each in zip(*sums, strict=True))
    groups = summed(partial(_of_shard, seed, of_shard), partial(_plus, plus), shards, mapped)
    return [list(each) for each in zip(*groups, strict=True)] or [[] for _ in sums]


def _of_shard(
    seed: int, sums: Sequence[Callable[[JudgedShard], Any]], read: Callable[[], PredictedRows]
) -> tuple[Any, ...]:
    rows, predictions = read()
    shard = JudgedShard(JudgedRows(rows), predictions, seed)
    return tuple(each(shard) for each in sums)


def _plus(sums: Sequence[Callable[[Any, Any], Any]], one: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(plus(*both) for plus, both in zip(sums, zip(one, other, strict=True), strict=True))
