"""Boosted trees laid out for scoring: one bit a leaf, eight leaves a byte, thirty-two a group.

A node whose decision is "right" clears the bits of the leaves on its left; the lowest bit left over by all nodes is the
leaf that is reached, whatever the nodes' order (Lucchese et al., QuickScorer, SIGIR 2015). Most nodes have few leaves
on their left, so that their bits are in one byte: a step is then one byte's AND for each row, which the processor does
for 32 or 64 rows at once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import Coding
from ukdsl_assets.learning.trees.model import Trees

BYTE, BYTES = 8, 4
GROUP = BYTE * BYTES


class Layout(NamedTuple):
    """All trees, flat, as the kernel reads them.

    groups: int32 [trees + 1], where each tree's groups of leaves begin; leaf: int32 [groups], a group's first leaf.
    steps: int32 [4 groups + 1], where the steps of each byte begin, numbers only; of each: `row` int32 in the codes of
    numbers, low and span uint8 or uint16, and mask uint8: a code in [low, low + span) clears the bits that it lacks.
    tables: int32 [groups + 1], of each: its row in the codes of categories, and in `words` at `offset` a mask a code.
    value: float64 [leaves].
    """

    groups: NDArray[np.int32]
    leaf: NDArray[np.int32]
    steps: NDArray[np.int32]
    row: NDArray[np.int32]
    low: NDArray[Any]
    span: NDArray[Any]
    mask: NDArray[np.uint8]
    tables: NDArray[np.int32]
    table_row: NDArray[np.int32]
    offset: NDArray[np.int64]
    words: NDArray[np.uint32]
    value: NDArray[np.float64]


def layout_of(trees: Trees, coding: Sequence[Coding]) -> Layout:
    """Everything that the kernel reads; features that no node asks for have no row of codes."""
    numbers = [each for each in coding if len(each.nodes) and not each.categorical]
    categories = [each for each in coding if len(each.nodes) and each.categorical]
    counts = -(-np.diff(trees.leaves) // GROUP)
    groups = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    inside = np.arange(groups[-1]) - np.repeat(groups[:-1], counts)
    tree_of = np.repeat(np.arange(len(counts)), np.diff(trees.nodes))
    byte, row, low, span, mask = _steps(trees, numbers, groups[tree_of])
    width = np.uint8 if max((each.size for each in numbers), default=0) <= 256 else np.uint16
    group, table_row, offset, words = _tables(trees, categories, groups[tree_of])
    return Layout(
        groups,
        (np.repeat(trees.leaves[:-1], counts) + GROUP * inside).astype(np.int32),
        np.searchsorted(byte, np.arange(BYTES * len(inside) + 1)).astype(np.int32),
        row.astype(np.int32),
        low.astype(width),
        span.astype(width),
        mask,
        np.searchsorted(group, np.arange(len(inside) + 1)).astype(np.int32),
        table_row,
        offset,
        words,
        trees.value,
    )


def _steps(trees: Trees, numbers: Sequence[Coding], group: NDArray[np.int32]) -> tuple[NDArray[Any], ...]:
    """Byte (in order of all trees), row, low, span and mask of each step; group: the first of each node's tree."""
    parts: list[list[NDArray[Any]]] = [[np.empty(0, np.int64) for _ in range(4)]]
    for row, each in enumerate(numbers):
        # From where to where the codes go right: nodes that ask about zero have several such ranges.
        edges = np.diff(np.pad(each.right, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        of_node, low = np.nonzero(edges == 1)
        high = np.nonzero(edges == -1)[1]
        parts.append([each.nodes[of_node], np.full(len(low), row), low, high - low])
    node, row_of, low, span = (np.concatenate(column) for column in zip(*parts, strict=True))
    first, middle = trees.first[node], trees.middle[node]
    # One step for each byte that has a leaf on the node's left.
    touched = (middle - 1) // BYTE - first // BYTE + 1
    source = np.repeat(np.arange(len(node)), touched)
    byte = first[source] // BYTE + np.arange(len(source)) - np.repeat(np.cumsum(touched) - touched, touched)
    begin, end = (np.clip(of[source] - BYTE * byte, 0, BYTE) for of in (first, middle))
    mask = (0xFF ^ ((1 << end) - (1 << begin))).astype(np.uint8)
    byte = BYTES * group[node[source]] + byte
    order = np.lexsort((low[source], row_of[source], byte))
    return byte[order], row_of[source][order], low[source][order], span[source][order], mask[order]


def _tables(trees: Trees, categories: Sequence[Coding], group: NDArray[np.int32]) -> tuple[NDArray[Any], ...]:
    """Group, row and offset of each table, in order of the groups, and the words of all."""
    found: dict[tuple[int, int], NDArray[np.uint32]] = {}
    for row, each in enumerate(categories):
        of_nodes = (of[each.nodes].tolist() for of in (trees.first, trees.middle, group))
        for first, middle, first_group, right in zip(*of_nodes, each.right, strict=True):
            for part in range(first // GROUP, (middle - 1) // GROUP + 1):
                begin, end = (min(max(of - GROUP * part, 0), GROUP) for of in (first, middle))
                key = first_group + part, row
                if (table := found.get(key)) is None:
                    table = found[key] = np.full(each.size, 0xFFFFFFFF, np.uint32)
                np.bitwise_and(table, np.uint32(0xFFFFFFFF ^ ((1 << end) - (1 << begin))), out=table, where=right)
    keys = sorted(found)
    sizes = [len(found[key]) for key in keys]
    return (
        np.array([of for of, _ in keys], np.int32),
        np.array([row for _, row in keys], np.int32),
        np.cumsum([0, *sizes], dtype=np.int64)[:-1],
        np.concatenate([np.empty(0, np.uint32), *(found[key] for key in keys)]),
    )
