"""Sums over shards, taken where the shards are: neighbours are added first, then their sums, in order."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Mapped(Protocol):
    """Python's own `map` of one list, or what works on its items elsewhere; results are in the order of the items."""

    def __call__(self, work: Callable[[A], R], items: Sequence[A], /) -> Iterable[R]: ...


def summed(
    of_shard: Callable[[A], R], plus: Callable[[R, R], R], shards: Sequence[A], mapped: Mapped = map
) -> Iterator[R]:
    """The sums of groups of neighbouring shards, about as many groups as shards are in each, for `plus` to add up.

    Of n shards about sqrt(n) sums travel, not n. The groups follow from the number of shards alone, so that figures do
    not depend on where shards are worked on, not even in their last bits.

    Args:
        of_shard, plus: of a module, or a `partial` of such, where `mapped` pickles.
    """
    size = math.isqrt(max(0, len(shards) - 1)) + 1
    groups = [shards[start : start + size] for start in range(0, len(shards), size)]
    yield from mapped(partial(_sum, of_shard, plus), groups)


def _sum(of_shard: Callable[[A], R], plus: Callable[[R, R], R], shards: Sequence[A]) -> R:
    found = of_shard(shards[0])
    for shard in shards[1:]:
        found = plus(found, of_shard(shard))
    return found
