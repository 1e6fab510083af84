"""Boosted trees laid out for the kernel: integer codes for values, and bit masks of reachable leaves for decisions.

A tree's leaves are numbered from left to right, one bit each. A node whose decision is "right" clears the bits of the
leaves to its left; the lowest bit left over by all nodes is the leaf that is reached, whatever the nodes' order
(Lucchese et al., QuickScorer, SIGIR 2015). So a tree is one AND over features, in which a feature can be exchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# LightGBM takes numbers this close to 0 as missing where `zero_as_missing` is set.
ZERO = 1e-35
# Leaves of a tree that the kernel can tell apart.
MOST_LEAVES = 64


class UnsupportedTreesError(Exception):
    """The kernel cannot read these trees; another way of prediction must be used."""


@dataclass(frozen=True)
class Coding:
    """How a feature's values become codes: nodes decide alike on values of one code.

    cuts: float64 [codes - 2], ascending thresholds, or of a categorical feature its categories; code i is for values
    up to cut i (for category i), the last but one for greater numbers (other categories), the last for NaN.
    """

    categorical: bool
    cuts: NDArray[np.float64]

    @property
    def size(self) -> int:
        return len(self.cuts) + 2

    @property
    def examples(self) -> NDArray[np.float64]:
        """A value of each code, float64 [codes]."""
        return np.concatenate([self.cuts, [-1.0 if self.categorical else np.inf, np.nan]])


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


class Node(NamedTuple):
    """A decision: the feature, LightGBM's JSON of it, and the bits of the leaves on its left."""

    feature: int
    split: Mapping[str, Any]
    left: int


def trees_of(model: Mapping[str, Any]) -> list[tuple[list[Node], list[float]]]:
    """Nodes and leaf values, from left to right, of each tree of `Booster.dump_model()`.

    Raises:
        UnsupportedTreesError: where the sum of leaves is not the logit, or for trees of more than 64 leaves.
    """
    objective = model["objective"]
    if objective not in ("cross_entropy", "binary sigmoid:1") or model["average_output"]:
        raise UnsupportedTreesError(f"objective {objective}, average_output {model['average_output']}")
    if model["num_tree_per_iteration"] != 1:
        raise UnsupportedTreesError(f"{model['num_tree_per_iteration']} trees an iteration")
    trees = []
    for tree in model["tree_info"]:
        nodes: list[Node] = []
        values: list[float] = []
        _walk(tree["tree_structure"], nodes, values)
        if len(values) > MOST_LEAVES:
            raise UnsupportedTreesError(f"a tree of {len(values)} leaves, at most {MOST_LEAVES} can be told apart")
        trees.append((nodes, values))
    return trees


def _walk(node: Mapping[str, Any], nodes: list[Node], values: list[float]) -> None:
    if "split_feature" not in node:
        if "leaf_coeff" in node:
            raise UnsupportedTreesError("linear trees")
        values.append(node["leaf_value"])
        return
    first = len(values)
    _walk(node["left_child"], nodes, values)
    nodes.append(Node(node["split_feature"], node, sum(1 << leaf for leaf in range(first, len(values)))))
    _walk(node["right_child"], nodes, values)


def codings(trees: Sequence[tuple[list[Node], list[float]]], features: int) -> list[Coding]:
    """A coding of each feature that tells apart what any node tells apart."""
    cuts: list[set[float]] = [set() for _ in range(features)]
    categorical = [False] * features
    for nodes, _ in trees:
        for feature, split, _ in nodes:
            if split["decision_type"] == "==":
                categorical[feature] = True
                cuts[feature].update(_categories(split))
            else:
                cuts[feature].add(split["threshold"])
                if split["missing_type"] == "Zero":
                    cuts[feature].update((np.nextafter(-ZERO, -1), ZERO))
    return [Coding(c, np.array(sorted(cut), np.float64)) for c, cut in zip(categorical, cuts, strict=True)]


def goes_right(split: Mapping[str, Any], coding: Coding) -> NDArray[np.bool_]:
    """LightGBM's decision for each code, bool [codes]."""
    values = coding.examples
    if coding.categorical:
        return ~np.isin(values, _categories(split))
    missing = np.isnan(values)
    if split["missing_type"] != "NaN":
        values = np.where(missing, 0.0, values)
        missing = np.abs(values) <= ZERO if split["missing_type"] == "Zero" else np.zeros_like(missing)
    with np.errstate(invalid="ignore"):
        return np.where(missing, not split["default_left"], ~(values <= split["threshold"]))


def _categories(split: Mapping[str, Any]) -> list[float]:
    return [float(each) for each in str(split["threshold"]).split("||")]


def masks_of(
    trees: Sequence[tuple[list[Node], list[float]]], coding: Sequence[Coding], group_of: Sequence[int]
) -> Masks:
    """Everything that the kernel reads.

    Args:
        group_of: [features], number of each feature's group, -1 for none.
    """
    word = np.uint32 if max((len(values) for _, values in trees), default=0) <= 32 else np.uint64
    every = int(np.iinfo(word).max)
    slots, ranges, tables, leaves = [0], [0], [0], [0]
    group: list[int] = []
    range_rows: list[tuple[int, int, int, int]] = []
    table_rows: list[tuple[int, int]] = []
    words: list[NDArray[Any]] = [np.empty(0, word)]
    offset = 0
    value: list[float] = []
    for nodes, values in trees:
        by_group: dict[int, dict[int, list[Node]]] = {}
        for node in nodes:
            by_group.setdefault(group_of[node.feature], {}).setdefault(node.feature, []).append(node)
        for number, features in by_group.items():
            for feature, mine in features.items():
                right = [goes_right(node.split, coding[feature]) for node in mine]
                if coding[feature].categorical:
                    table = np.full(coding[feature].size, every, word)
                    for node, clears in zip(mine, right, strict=True):
                        np.bitwise_and(table, word(every ^ node.left), out=table, where=clears)
                    table_rows.append((feature, offset))
                    words.append(table)
                    offset += len(table)
                else:
                    for node, clears in zip(mine, right, strict=True):
                        edges = np.flatnonzero(np.diff(np.concatenate([[0], clears, [0]]))).reshape(-1, 2)
                        range_rows += [(feature, low, high - low, every ^ node.left) for low, high in edges.tolist()]
            group.append(number)
            ranges.append(len(range_rows))
            tables.append(len(table_rows))
        slots.append(len(group))
        value += values
        leaves.append(len(value))

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
        np.array(leaves, np.int32),
        np.array(value, np.float64),
    )
