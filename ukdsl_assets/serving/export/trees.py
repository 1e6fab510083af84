"""Boosted trees as one operator: LightGBM's nodes, whose sets hold codes of ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import ExportError
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.trees import text_of_head
from ukdsl_assets.serving.export.columns import Columns, side_by_side
from ukdsl_assets.serving.export.graph import FLOAT, Graph
from ukdsl_assets.serving.export.outputs import Outputs
from ukdsl_assets.serving.export.tables import FIRST, MISSING, Block

# Modes of nodes: a number goes left up to the threshold, an id if it is a member.
_UP_TO, _MEMBER = 0, 6
_BELOW = ("nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids", "nodes_falseleafs")


def sums_of_trees(
    graph: Graph,
    fitted: FittedStudent,
    blocks: Mapping[str, Block],
    request: Columns,
    candidate: Columns,
    outputs: Outputs,
) -> str:
    """What `outputs` makes of the sums of each head's trees, [n, outputs]; columns of `Reading.coded_side`.

    Raises:
        ExportError: for trees of a kind that students are not.
    """
    import lightgbm

    nodes = _Nodes(_places(fitted.encoder), codes_of_rows(fitted.encoder, blocks))
    heads = range(len(fitted.trained_heads))
    for head in heads:
        model = lightgbm.Booster(model_str=text_of_head(fitted.text or "", head)).dump_model()
        if not model["objective"].startswith("cross_entropy") or model["num_tree_per_iteration"] != 1:
            raise ExportError(f"trees of objective {model['objective']}; expected cross_entropy, as students have it")
        for tree in model["tree_info"]:
            nodes.add_tree(tree["tree_structure"], head)
    sums = graph.trees(side_by_side(graph, request, candidate), len(heads), nodes.arrays(), nodes.numbers())
    return graph.affine(graph.node("Cast", sums, to=FLOAT), outputs.mix, outputs.plus)


def codes_of_rows(encoder: Encoder, blocks: Mapping[str, Block]) -> NDArray[np.int64]:
    """The file's code of each embedding row, int64 [embedding rows]; -1 for unknown ids, which no tree asks for."""
    codes = np.full(encoder.size, -1, np.int64)
    for block in blocks.values():
        feature = block.feature
        if feature.hash_buckets is not None:
            first = encoder.first_bucket_row(feature)
            codes[first : first + feature.hash_buckets] = FIRST + np.arange(feature.hash_buckets)
        else:
            known = encoder.vocabularies[feature.name][1]
            codes[known] = FIRST + np.arange(len(known))
        if feature.may_be_missing:
            codes[encoder.missing_row(feature)] = MISSING
    return codes


def _places(encoder: Encoder) -> NDArray[np.int64]:
    """Of each column that trees read, its place among the file's: ids of both sides come first there, numbers last."""
    request, candidate = encoder.count("request"), encoder.count("candidate")
    of_request = np.arange(sum(request))
    of_candidate = len(of_request) + np.arange(sum(candidate))
    ids = of_request[: request[0]], of_candidate[: candidate[0]]
    return np.concatenate([*ids, of_request[request[0] :], of_candidate[candidate[0] :]])


@dataclass
class _Nodes:
    """The nodes of all trees, flat, each before those below it."""

    places: NDArray[np.int64]
    codes: NDArray[np.int64]
    feature: list[int] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    split: list[float] = field(default_factory=list)
    below: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _BELOW})
    members: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add_tree(self, root: Mapping[str, Any], target: int) -> None:
        self.roots.append(len(self.feature))
        if "leaf_value" in root:
            # A tree is at least one node: both of its ways lead to the leaf.
            self._node(0, _UP_TO, 0.0)
            leaf = self._leaf(root, target)
            self._set(self.roots[-1], (leaf, 1), (leaf, 1))
            return
        self._add(root, target)

    def _add(self, node: Mapping[str, Any], target: int) -> tuple[int, int]:
        """The number of a node or leaf, and 1 for a leaf."""
        if "leaf_value" in node:
            return self._leaf(node, target), 1
        place = int(self.places[node["split_feature"]])
        if node["decision_type"] == "==":
            own = self._node(place, _MEMBER, 0.0)
            codes = self.codes[[int(each) for each in str(node["threshold"]).split("||")]]
            self.members += [*codes[codes >= 0].astype(float).tolist(), np.nan]
        elif node["decision_type"] == "<=" and node["missing_type"] != "Zero":
            own = self._node(place, _UP_TO, float(node["threshold"]))
        else:
            raise ExportError(f"a node that decides by {node['decision_type']!r}; expected trees as students have them")
        self._set(own, self._add(node["left_child"], target), self._add(node["right_child"], target))
        return own, 0

    def _node(self, place: int, mode: int, split: float) -> int:
        self.feature.append(place)
        self.mode.append(mode)
        self.split.append(split)
        for name in _BELOW:
            self.below[name].append(0)
        return len(self.feature) - 1

    def _leaf(self, node: Mapping[str, Any], target: int) -> int:
        self.target.append(target)
        self.value.append(float(node["leaf_value"]))
        return len(self.value) - 1

    def _set(self, own: int, left: tuple[int, int], right: tuple[int, int]) -> None:
        for name, value in zip(_BELOW, (*left, *right), strict=True):
            self.below[name][own] = value

    def arrays(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {
            "nodes_modes": np.array(self.mode, np.uint8),
            "nodes_splits": np.array(self.split, np.float64),
            "leaf_weights": np.array(self.value, np.float64),
        }
        return found | ({"membership_values": np.array(self.members, np.float64)} if self.members else {})

    def numbers(self) -> dict[str, Any]:
        own = {"tree_roots": self.roots, "nodes_featureids": self.feature, "leaf_targetids": self.target}
        return own | self.below | {"nodes_missing_value_tracks_true": [0] * len(self.feature)}
