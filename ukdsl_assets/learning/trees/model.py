"""LightGBM's text of a model, read to flat arrays over all trees; no booster is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Bits of a node's decision, as the text has them: what a missing value is stands in the two bits above.
CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_IS_ZERO, MISSING_IS_NAN = 4, 8


class UnsupportedTreesError(Exception):
    """The kernels cannot read these trees; another way of prediction must be used."""


@dataclass(frozen=True)
class Trees:
    """All trees of a model, flat. A tree's leaves are numbered from left to right.

    objective: with its parameters, as in `binary sigmoid:1`. features: how many columns the model reads.
    nodes: int32 [trees + 1], where each tree's nodes begin; of each node: feature int32, threshold float64 (numbers go
    left up to it), decision uint8, and the leaves on its left, from `first` up to `middle`, int32.
    categories: float64, of all nodes, those that go left; `of_node` int64 [nodes, 2], from where to where each node's.
    leaves: int32 [trees + 1], where each tree's leaves begin; value: float64 [leaves].
    """

    objective: str
    features: int
    nodes: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    decision: NDArray[np.uint8]
    first: NDArray[np.int32]
    middle: NDArray[np.int32]
    categories: NDArray[np.float64]
    of_node: NDArray[np.int64]
    leaves: NDArray[np.int32]
    value: NDArray[np.float64]

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """Of each node, bool [nodes]."""
        return (self.decision & CATEGORICAL) != 0


def read_trees(text: str) -> Trees:
    """Trees of LightGBM's text, as `Booster.model_to_string` gives it, in their order.

    Raises:
        UnsupportedTreesError: for several trees an iteration (classes), averaged (random forest) or linear trees.
    """
    head, *parts = text.split("\nTree=")
    header = _fields(head)
    if header["num_tree_per_iteration"] != "1":
        raise UnsupportedTreesError(f"{header['num_tree_per_iteration']} trees an iteration")
    if "average_output" in head.splitlines():
        raise UnsupportedTreesError("trees whose average is the prediction")
    trees = [_fields(part.split("\n\n", 1)[0]) for part in parts]
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        raise UnsupportedTreesError("linear trees")
    leaves = np.cumsum([0, *(int(tree["num_leaves"]) for tree in trees)], dtype=np.int32)
    ordered = [_left_to_right(tree) for tree in trees]
    value = _numbers(trees, "leaf_value")
    place = np.concatenate([np.empty(0, np.int32), *(of for *_, of in ordered)]).astype(np.int32)
    sorted_value = np.empty(len(value))
    sorted_value[place + np.repeat(leaves[:-1], np.diff(leaves))] = value
    nodes = (leaves - np.arange(len(leaves))).astype(np.int32)
    threshold, decision = _numbers(trees, "threshold"), _numbers(trees, "decision_type").astype(np.uint8)
    categories, of_node = _categories(trees, nodes, threshold, (decision & CATEGORICAL) != 0)
    return Trees(
        header.get("objective", ""),
        int(header["max_feature_idx"]) + 1,
        nodes,
        _numbers(trees, "split_feature").astype(np.int32),
        threshold,
        decision,
        np.array([each for first, _, _ in ordered for each in first], np.int32),
        np.array([each for _, middle, _ in ordered for each in middle], np.int32),
        categories,
        of_node,
        leaves,
        sorted_value,
    )


def _fields(lines: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)


def _numbers(trees: list[dict[str, str]], name: str) -> NDArray[np.float64]:
    # A tree of one leaf has no nodes, and its fields of nodes are empty or not there.
    return np.array([float(each) for tree in trees for each in tree.get(name, "").split()], np.float64)


def _left_to_right(tree: Mapping[str, str]) -> tuple[list[int], list[int], list[int]]:
    """Of each node the first leaf below it and the first on its right, and each leaf's place, in the text's order."""
    left, right = ([int(each) for each in tree.get(side, "").split()] for side in ("left_child", "right_child"))
    first, middle, place = [0] * len(left), [0] * len(left), [0] * (len(left) + 1)
    seen = 0
    # A node is met before its left side (False) and between its sides (True); leaf i is written as ~i.
    stack = [(0, False)] if left else []
    while stack:
        node, between = stack.pop()
        if node < 0:
            place[~node] = seen
            seen += 1
        elif between:
            middle[node] = seen
            stack.append((right[node], False))
        else:
            first[node] = seen
            stack += [(node, True), (left[node], False)]
    return first, middle, place


def _categories(
    trees: list[dict[str, str]], nodes: NDArray[np.int32], threshold: NDArray[np.float64], split: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Categories of all sets, ascending in each, and between which places of them each node's stand."""
    bounds = [np.array(tree.get("cat_boundaries", "0").split(), np.int64) for tree in trees]
    # Of spaces alone NumPy reads a 0.
    text = " ".join(tree.get("cat_threshold", "") for tree in trees).strip()
    words = np.fromstring(text, np.int64, sep=" ").astype("<u4")
    sets = [len(of_tree) - 1 for of_tree in bounds]
    lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(of_tree) for of_tree in bounds)])
    # 32 categories a word, from the lowest bit on; of many ids most words have none.
    some = np.flatnonzero(words)
    place, bit = np.divmod(np.flatnonzero(np.unpackbits(words[some].view(np.uint8), bitorder="little")), 32)
    word = some[place]
    set_of = np.repeat(np.arange(len(lengths)), lengths)[word]
    categories = 32 * (word - (np.cumsum(lengths) - lengths)[set_of]) + bit
    places = np.searchsorted(set_of, np.arange(len(lengths) + 1))
    first_set = np.repeat(np.cumsum([0, *sets])[:-1], np.diff(nodes))
    # Of a categorical node the threshold is the number of its set in the tree.
    number = (first_set + np.where(split, threshold, 0).astype(np.int64))[split]
    of_node = np.zeros((len(threshold), 2), np.int64)
    of_node[split] = np.stack([places[number], places[number + 1]], axis=1)
    return categories.astype(np.float64), of_node
