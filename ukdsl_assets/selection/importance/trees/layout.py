"""Boosted trees laid out for the kernel: integer codes for values, and bit masks of reachable leaves for decisions.

A tree's leaves are numbered from left to right, one bit each. A node whose decision is "right" clears the bits of the
leaves to its left; the lowest bit left over by all nodes is the leaf that is reached, whatever the nodes' order
(Lucchese et al., QuickScorer, SIGIR 2015). So a tree is one AND over features, in which a feature can be exchanged.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import Coding
from ukdsl_assets.learning.trees.model import Trees, UnsupportedTreesError

# Leaves of a tree that the kernel can tell apart.
MOST_LEAVES = 64


class Masks(NamedTuple):
    """All trees of a booster, flat. A slot is a tree's group of features, or the features of no group.

    slots: int32 [trees + 1], where each tree's slots begin. group: int32 [slots], -1 for no group.
    ranges: int32 [slots + 1], where each slot's ranges begin; of each: feature int32, low and span uint32 and mask
    uint32 or uint64: a code in [low, low + span) clears the bits that mask lacks.
    tables: int32 [slots + 1], of each: its feature, and in `words` at `offset` one mask a code.
    leaves: int32 [trees + 1], where each tree's values begin; value: float64 [leaves].
    """

    slots: NDArray[np.int32]
    group: NDArray[np.int32]
    ranges: NDArray[np.int32]
    feature: NDArray[np.int32]
    low: NDArray[np.uint32]
    span: NDArray[np.uint32]
    mask: NDArray[Any]
    tables: NDArray[np.int32]
    table_feature: NDArray[np.int32]
    offset: NDArray[np.int32]
    words: NDArray[Any]
    leaves: NDArray[np.int32]
    value: NDArray[np.float64]


def check_logits(trees: Trees) -> None:
    """Refuse trees that the kernel cannot read.

    Raises:
        UnsupportedTreesError: where the sum of leaves is not the logit, or for trees of more than 64 leaves.
    """
    if trees.objective not in ("cross_entropy", "binary sigmoid:1"):
        raise UnsupportedTreesError(f"objective {trees.objective}")
    most = np.diff(trees.leaves).max(initial=0)
    if most > MOST_LEAVES:
        raise UnsupportedTreesError(f"a tree of {most} leaves, at most {MOST_LEAVES} can be told apart")


def masks_of(trees: Trees, coding: Sequence[Coding], group_of: Sequence[int]) -> Masks:
    """Everything that the kernel reads.

    Args:
        coding: of `learning.trees.coding.codings`.
        group_of: [features], number of each feature's group, -1 for none.
    """
    word = np.uint32 if np.diff(trees.leaves).max(initial=0) <= 32 else np.uint64
    every = int(np.iinfo(word).max)
    right = {
        node: sends
        for each in coding
        for node, sends in zip(each.nodes.tolist(), each.right if each.categorical else _ranges(each), strict=True)
    }
    slots, ranges, tables = [0], [0], [0]
    group: list[int] = []
    range_rows: list[tuple[int, int, int, int]] = []
    table_rows: list[tuple[int, int]] = []
    words: list[NDArray[Any]] = [np.empty(0, word)]
    offset = 0
    for begin, end in pairwise(trees.nodes.tolist()):
        by_group: dict[int, dict[int, list[int]]] = {}
        for node, feature in enumerate(trees.feature[begin:end].tolist(), begin):
            by_group.setdefault(group_of[feature], {}).setdefault(feature, []).append(node)
        for number, features in by_group.items():
            for feature, nodes in features.items():
                left = [(1 << int(trees.middle[node])) - (1 << int(trees.first[node])) for node in nodes]
                kept = {node: every ^ bits for node, bits in zip(nodes, left, strict=True)}
                if coding[feature].categorical:
                    table = np.full(coding[feature].size, every, word)
                    for node in nodes:
                        np.bitwise_and(table, word(kept[node]), out=table, where=right[node])
                    table_rows.append((feature, offset))
                    words.append(table)
                    offset += len(table)
                else:
                    for node in nodes:
                        range_rows += [(feature, low, high - low, kept[node]) for low, high in right[node]]
            group.append(number)
            ranges.append(len(range_rows))
            tables.append(len(table_rows))
        slots.append(len(group))

    def column(rows: Sequence[tuple[int, ...]], at: int, dtype: Any) -> NDArray[Any]:
        return np.array([row[at] for row in rows], dtype)

    return Masks(
        np.array(slots, np.int32),
        np.array(group, np.int32),
        np.array(ranges, np.int32),
        column(range_rows, 0, np.int32),
        column(range_rows, 1, np.uint32),
        column(range_rows, 2, np.uint32),
        column(range_rows, 3, word),
        np.array(tables, np.int32),
        column(table_rows, 0, np.int32),
        column(table_rows, 1, np.int32),
        np.concatenate(words),
        trees.leaves,
        trees.value,
    )


def _ranges(coding: Coding) -> list[list[tuple[int, int]]]:
    """Of each node the codes that it sends to the right, from where up to where, ascending."""
    node, edge = np.nonzero(np.diff(np.pad(coding.right, ((0, 0), (1, 1)))))
    found: list[list[tuple[int, int]]] = [[] for _ in coding.nodes]
    for number, low, high in zip(node[::2].tolist(), edge[::2].tolist(), edge[1::2].tolist(), strict=True):
        found[number].append((low, high))
    return found
