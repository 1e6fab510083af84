"""The architectures as few operators: from both sides' columns to the outputs' logits.

What is computed once a request stays so: the request's columns have one row where they are given once, and every sum
with the candidate's spreads it. A sum of products is one `Gemm` whose third input is the sum so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.columns import Columns, side_by_side
from ukdsl_assets.serving.export.graph import Graph
from ukdsl_assets.serving.export.outputs import Outputs

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Network:
    """A student's network, with the columns that it reads in a graph."""

    graph: Graph
    tensors: Tensors
    request: Columns
    candidate: Columns
    outputs: Outputs

    def joined_affine(self, name: str) -> str:
        """A `JoinedLinear` of the network, [n, out]."""
        total: Any = self.tensors[f"{name}.bias"]
        for side, columns in (("request", self.request), ("candidate", self.candidate)):
            if columns.value is not None and f"{name}.{side}" in self.tensors:
                total = self.graph.affine(columns.value, self.tensors[f"{name}.{side}"].T, total)
        return str(total)

    def deep(self, value: str) -> str:
        """Fully connected layers behind the first one's sum."""
        rows, place = self.graph.node("Relu", value), 0
        while f"deep.rest.{place}.weight" in self.tensors:
            layer = f"deep.rest.{place}"
            rows = self.graph.affine(rows, self.tensors[f"{layer}.weight"].T, self.tensors[f"{layer}.bias"])
            rows, place = self.graph.node("Relu", rows), place + 1
        return rows

    @property
    def heads(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The output layer as the file has it: weight [in, outputs] and bias [outputs]."""
        weight, bias = self.outputs.affine(self.tensors["heads.weight"], self.tensors["heads.bias"])
        return weight, bias


def logits_of(graph: Graph, fitted: FittedStudent, request: Columns, candidate: Columns, outputs: Outputs) -> str:
    """What `outputs` makes of the logits of the student's network, [n, outputs]."""
    return _LOGITS[fitted.architecture.kind](Network(graph, fitted.tensors, request, candidate, outputs))


def _mlp(network: Network) -> str:
    return network.graph.affine(network.deep(network.joined_affine("deep.first")), *network.heads)


def _dcn_v2(network: Network) -> str:
    graph, tensors = network.graph, network.tensors
    start = side_by_side(graph, network.request, network.candidate)
    last = start
    layers = [(_joined_weight(tensors, "first_cross"), tensors["first_cross.bias"])]
    while (name := f"crosses.{len(layers) - 1}") + ".weight" in tensors:
        layers.append((tensors[f"{name}.weight"], tensors[f"{name}.bias"]))
    for weight, bias in layers:
        last = graph.node("Add", graph.node("Mul", start, graph.affine(last, weight.T, bias)), last)
    deep = network.deep(graph.affine(start, _joined_weight(tensors, "deep.first").T, tensors["deep.first.bias"]))
    weight, bias = network.heads
    crossed = network.request.width + network.candidate.width
    return graph.affine(last, weight[:crossed], graph.affine(deep, weight[crossed:], bias))


def _joined_weight(tensors: Tensors, name: str) -> NDArray[np.float32]:
    """Weight [out, request columns + candidate columns] of a `JoinedLinear`."""
    sides = (tensors[f"{name}.{side}"] for side in ("request", "candidate") if f"{name}.{side}" in tensors)
    return np.concatenate(list(sides), axis=1)


def _deepfm(network: Network) -> str:
    """The sum over pairs is half of (square of the sum - sum of squares), each sum a product with ones."""
    graph, tensors, outputs = network.graph, network.tensors, network.outputs
    width = tensors["embedding.weight"].shape[1]
    coefficient = outputs.mix.sum(0, keepdims=True)
    weight, bias = network.heads
    logit: Any = bias + tensors.get("linear.bias", np.zeros(1, np.float32)) @ coefficient
    total: str | None = None
    for side, columns in (("request", network.request), ("candidate", network.candidate)):
        if columns.value is None:
            continue
        # Of the numbers' columns, which stand last, in [columns, 1].
        numbers = tensors.get(f"linear.{side}", np.zeros((1, 0), np.float32)).T
        features = (columns.width - len(numbers)) // width
        each = np.concatenate([np.tile(np.eye(width), (features, 1)), np.zeros((len(numbers), width))])
        own = np.concatenate([each[: features * width, -1:], numbers])
        squares = each[:, :-1].sum(1, keepdims=True) / -2
        total = graph.affine(columns.value, each[:, :-1], total)
        logit = graph.affine(columns.value, own @ coefficient, logit)
        logit = graph.affine(graph.node("Mul", columns.value, columns.value), squares @ coefficient, logit)
    assert total is not None, "a network without columns"
    ones = np.full((width - 1, 1), 0.5, np.float32)
    logit = graph.affine(graph.node("Mul", total, total), ones @ coefficient, logit)
    return graph.affine(network.deep(network.joined_affine("deep.first")), weight, logit)


def _two_tower(network: Network) -> str:
    """Both sides' own terms become places of the vectors that meet, beside a 1 on the other side."""
    graph, tensors, outputs = network.graph, network.tensors, network.outputs
    heads = len(tensors["bias"])
    vectors = [_tower(network, side, heads) for side in ("request", "candidate")]
    product = graph.node("Mul", *vectors)
    places = len(tensors["request.heads.0.bias"]) + 1
    weight = np.kron(outputs.mix, np.ones((places, 1)))
    return graph.affine(product, weight, outputs.plus)


def _tower(network: Network, side: str, heads: int) -> str:
    """Vectors [n, heads * (output + 2)] of a side, one head's behind the other's."""
    tensors = network.tensors
    columns = network.request if side == "request" else network.candidate
    parts = []
    for head in range(heads):
        weight, bias = tensors[f"{side}.heads.{head}.weight"], tensors[f"{side}.heads.{head}.bias"]
        one = np.zeros_like(weight[:1]), np.ones_like(bias[:1])
        if side == "request":
            scale = np.float32(1 / np.sqrt(len(bias) - 1))
            own = bias[-1:] + tensors["bias"][head]
            parts.append((np.concatenate([weight[:-1] * scale, weight[-1:], one[0]]), [bias[:-1] * scale, own, one[1]]))
        else:
            parts.append((np.concatenate([weight[:-1], one[0], weight[-1:]]), [bias[:-1], one[1], bias[-1:]]))
    weight, bias = np.concatenate([w for w, _ in parts]), np.concatenate([b for _, of in parts for b in of])
    hidden = tensors[f"{side}.hidden.bias"]
    if columns.value is None:
        return network.graph.constant((np.maximum(hidden, 0) @ weight.T + bias).reshape(1, -1))
    first = network.graph.affine(columns.value, tensors[f"{side}.hidden.weight"].T, hidden)
    return network.graph.affine(network.graph.node("Relu", first), weight.T, bias)


_LOGITS: dict[str, Callable[[Network], str]] = {
    "mlp": _mlp,
    "dcn_v2": _dcn_v2,
    "deepfm": _deepfm,
    "two_tower": _two_tower,
}
