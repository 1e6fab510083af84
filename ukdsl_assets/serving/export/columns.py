"""From a file's inputs to the columns that a network reads: embeddings looked up and pooled, numbers standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.features.numbers import CUT
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.graph import DOUBLE, FLOAT, INT64, Graph
from ukdsl_assets.serving.export.tables import PADDING, UNKNOWN, Block, keys_of, laid_out
from ukdsl_assets.serving.onnx_metadata import Input
from ukdsl_assets.serving.onnx_values import PADDING_BUCKET

# How an input's first length is called, by its side.
ROWS = {"request": "request_rows", "candidate": "rows"}


@dataclass(frozen=True)
class Columns:
    """A side's columns [n, columns] as `Model.columns` gives them, None for a side without features."""

    value: str | None
    width: int


def side_by_side(graph: Graph, request: Columns, candidate: Columns) -> str:
    """Both sides' columns, [n, columns], for what does more with them than to sum products."""
    if request.value is None or candidate.value is None:
        value = request.value or candidate.value
        assert value is not None, "a student without columns"
        return value
    rows = graph.node("Shape", candidate.value, start=0, end=1)
    shape = graph.node("Concat", rows, graph.integers(1), axis=0)
    return graph.node("Concat", graph.node("Expand", request.value, shape), candidate.value, axis=1)


class Reading:
    """What reads a student's features into a graph.

    Attributes:
        unknown_ids: names of the features whose unknown ids `unknown_counts` counts, in its order.
    """

    def __init__(
        self, graph: Graph, fitted: FittedStudent, inputs: Sequence[Input], blocks: Mapping[str, Block]
    ) -> None:
        self._graph, self._encoder, self._blocks = graph, fitted.encoder, blocks
        self._width, self._table = 0, ""
        # Trees have none.
        if (table := fitted.tensors.get(EMBEDDING)) is not None and blocks:
            self._width, self._table = table.shape[1], graph.constant(laid_out(fitted.encoder, table, blocks))
        self._described = {each.name: each for each in inputs}
        self._counts: list[str] = []
        self.unknown_ids: list[str] = []
        for each in inputs:
            self._declare(each)

    def side(self, side: str) -> Columns:
        """The columns of the request or of the candidate."""
        mine = [feature for feature in self._encoder.features if feature.side == side]
        parts = []
        for kind, group in groupby((each for each in mine if each.of_ids), _read_as):
            features = list(group)
            if kind == "alike":
                parts.append(self._embedded(features))
            else:
                parts += [self._pooled(each) if kind == "list" else self._served(each) for each in features]
        if numbers := [feature for feature in mine if not feature.of_ids]:
            parts.append(self._numbers(numbers))
        width = self._width * sum(each.of_ids for each in mine) + sum(each.number_columns for each in mine)
        return Columns(self._joined(parts, axis=1) if parts else None, width)

    def coded_side(self, side: str) -> Columns:
        """Codes of ids, counted from the start of each feature's block, then numbers, as float64, for trees."""
        mine = [feature for feature in self._encoder.features if feature.side == side]
        graph, parts = self._graph, []
        for served, group in groupby((each for each in mine if each.of_ids), lambda each: each.served_as is not None):
            features = list(group)
            if served:
                rows = [graph.node("Unsqueeze", self._served_rows(each), graph.integers(1)) for each in features]
            else:
                rows = [graph.node("Transpose", self._row_matrix(features), perm=[1, 0])]
            starts = graph.constant(np.array([self._blocks[each.name].start for each in features], np.int64))
            parts.append(graph.node("Sub", self._joined(rows, axis=1), starts))
        doubles = [graph.node("Cast", each, to=DOUBLE) for each in parts]
        if numbers := [feature for feature in mine if not feature.of_ids]:
            doubles.append(graph.node("Cast", self._numbers(numbers), to=DOUBLE))
        width = sum(each.of_ids for each in mine) + sum(each.number_columns for each in mine)
        return Columns(self._joined(doubles, axis=1) if doubles else None, width)

    def unknown_counts(self) -> str:
        """int64 [features], how many of the given ids of each are unknown."""
        return self._joined(self._counts, axis=0) if self._counts else self._graph.constant(np.empty(0, np.int64))

    def _declare(self, described: Input) -> None:
        # Features of a request may be given once for all candidates.
        shape: list[int | str] = [ROWS[described.side]]
        if described.kind == "vector":
            shape.append(described.width or 1)
        elif described.kind == "multi_valued":
            shape.append(f"{described.name}_values")
        self._graph.input(described.name, described.tensor, shape)

    def _rows(self, feature: Feature) -> str:
        """Rows of the table, int64 of the input's shape."""
        graph, block = self._graph, self._blocks[feature.name]
        if feature.hash_buckets is None:
            keys, rows = keys_of(block, self._described[feature.name])
            return graph.looked_up(keys, rows, block.start + UNKNOWN, feature.name)
        within = (PADDING_BUCKET, feature.hash_buckets - 1)
        bucket = graph.node("Clip", feature.name, *(graph.constant(np.array(each, np.int64)) for each in within))
        return graph.node("Add", bucket, graph.constant(np.array(block.first, np.int64)))

    def _embedded(self, features: Sequence[Feature]) -> str:
        """Embeddings of categorical features side by side, [n, features * width]."""
        graph = self._graph
        embedded = graph.node("Gather", self._table, self._row_matrix(features))
        turned = graph.node("Transpose", embedded, perm=[1, 0, 2])
        return graph.node("Reshape", turned, graph.integers(0, len(features) * self._width))

    def _row_matrix(self, features: Sequence[Feature]) -> str:
        """Rows of the table of categorical features, int64 [features, n]; counts the unknown ones."""
        # Row by row, so that columns of different lengths are an error and do not run into each other.
        parts = [self._graph.node("Unsqueeze", self._rows(each), self._graph.integers(0)) for each in features]
        rows = self._joined(parts, axis=0)
        self._count(features, rows)
        return rows

    def _pooled(self, feature: Feature) -> str:
        """The embedding of a list of ids, [n, width]; that of an empty list is 0."""
        graph, rows, block = self._graph, self._rows(feature), self._blocks[feature.name]
        self._count([feature], graph.node("Reshape", rows, graph.integers(1, -1)))
        along = graph.integers(1)
        summed = graph.node("ReduceSum", graph.node("Gather", self._table, rows), along, keepdims=0)
        if feature.pooling == "sum":
            return summed
        ends = graph.node("Equal", rows, graph.constant(np.array(block.start + PADDING, np.int64)))
        there = graph.node("Cast", graph.node("Not", ends), to=FLOAT)
        count = graph.node("ReduceSum", there, along, keepdims=1)
        return graph.node("Div", summed, graph.node("Max", count, graph.constant(np.float32(1).reshape(1))))

    def _served(self, feature: Feature) -> str:
        """The embedding of a feature's `served_as` for every row, [n, width]."""
        return self._graph.node("Gather", self._table, self._served_rows(feature))

    def _served_rows(self, feature: Feature) -> str:
        """The table's row of a feature's `served_as`, int64 [n]."""
        graph, block = self._graph, self._blocks[feature.name]
        assert feature.served_as is not None
        # As long as any column of its side; what has none is as long as the other side.
        sides = sorted(self._described.values(), key=lambda each: each.side != feature.side)
        shape = graph.node("Shape", sides[0].name, start=0, end=1)
        return graph.filled(shape, block.row_of(feature.served_as))

    def _count(self, features: Sequence[Feature], rows: str) -> None:
        """Counts unknown ids among rows [features, n] of the table."""
        graph = self._graph
        # A bucket has been seen, whatever is in it.
        unknown = [-1 if f.hash_buckets else self._blocks[f.name].start + UNKNOWN for f in features]
        same = graph.node("Equal", rows, graph.constant(np.array(unknown, np.int64).reshape(-1, 1)))
        ones = graph.node("Cast", same, to=INT64)
        self._counts.append(graph.node("ReduceSum", ones, graph.integers(1), keepdims=0))
        self.unknown_ids += [each.name for each in features]

    def _numbers(self, features: Sequence[Feature]) -> str:
        """Standardised numbers, [n, number columns]; see `learning.features.numbers.standardised`."""
        graph, parts = self._graph, []
        scales = [tuple(np.asarray(each, np.float32) for each in self._encoder.scales[f.name]) for f in features]
        for feature, (mean, _) in zip(features, scales, strict=True):
            value = (
                feature.name if feature.kind == "vector" else graph.node("Unsqueeze", feature.name, graph.integers(1))
            )
            if not feature.may_be_missing:
                parts.append(value)
                continue
            missing = graph.node("IsNaN", value)
            parts.append(graph.node("Where", missing, graph.constant(mean[:-1]), value))
            first = graph.node("Gather", missing, graph.integers(0), axis=1)
            parts.append(graph.node("Cast", first, to=FLOAT))
        mean, deviation = (np.concatenate(each) for each in zip(*scales, strict=True))
        varied = deviation > 0
        centred = graph.node("Sub", self._joined(parts, axis=1), graph.constant(mean))
        scaled = graph.node("Div", centred, graph.constant(np.where(varied, deviation, np.float32(1))))
        cut = graph.node("Clip", scaled, *(graph.constant(np.array(each, np.float32)) for each in (-CUT, CUT)))
        return cut if varied.all() else graph.node("Mul", cut, graph.constant(varied.astype(np.float32)))

    def _joined(self, parts: Sequence[str], axis: int) -> str:
        return parts[0] if len(parts) == 1 else self._graph.node("Concat", *parts, axis=axis)


def _read_as(feature: Feature) -> str:
    if feature.served_as is not None:
        return "served"
    return "list" if feature.kind == "multi_valued" else "alike"
