"""Networks laid out for the kernel: the first layer with its inputs by feature, and what follows the first layer."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.architectures import MlpArchitecture, TwoTowerArchitecture
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.students.student import FittedStudent

Tensors = Mapping[str, NDArray[np.float32]]
# Units are padded to whole vector registers.
LANES = 16


class FirstLayer(NamedTuple):
    """Sums of the first layer's hidden units: (embeddings of the ids, numbers) times `weight`, + `bias`.

    ids: int32 [rows, categorical features], rows of the table; numbers: float32 [rows, numeric columns].
    embeddings: float32 [table rows, width]; weight: float32 [columns, units]; bias: float32 [units].
    """

    ids: NDArray[np.int32]
    numbers: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class Groups(NamedTuple):
    """Columns of each group, flat: those of group g stand at ids[id_start[g] : id_start[g + 1]], numbers likewise.

    low, span: int64 [groups], the hidden units that the group's columns add to: all, or those of one tower.
    weight: float32, each group's slice [its columns, span] of the first layer from weight_start[g] on.
    """

    id_start: NDArray[np.int64]
    ids: NDArray[np.int64]
    number_start: NDArray[np.int64]
    numbers: NDArray[np.int64]
    low: NDArray[np.int64]
    span: NDArray[np.int64]
    weight_start: NDArray[np.int64]
    weight: NDArray[np.float32]


class Dense(NamedTuple):
    """Fully connected layers behind the first, flat, the last of one unit: the logit. Widths include the first's."""

    widths: NDArray[np.int64]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class Bilinear(NamedTuple):
    """Two towers' logit as u' form u / 2 of the first layer's units u, float32 [units, units], the towers side by side.

    The form has both towers' last layers and their inner product; a unit that is always 1 stands for the biases.
    """

    form: NDArray[np.float32]


def network_of(
    fitted: FittedStudent, head: int, ids: NDArray[np.int32], numbers: NDArray[np.float32]
) -> tuple[FirstLayer, Dense | Bilinear]:
    """A student's network over rows of encoded features, the request's first.

    Args:
        ids: int32 [rows, categorical features], rows of the embedding table; numbers: float32 [rows, numeric columns].

    Raises:
        NotImplementedError: for another architecture than mlp and two_tower.
    """
    architecture = fitted.architecture
    if isinstance(architecture, MlpArchitecture):
        return _mlp(fitted, architecture, head, ids, numbers)
    if isinstance(architecture, TwoTowerArchitecture):
        return _two_tower(fitted, architecture, head, ids, numbers)
    raise NotImplementedError(f"the kernels are for mlp and two_tower, not for {architecture.kind}")


def _mlp(
    fitted: FittedStudent,
    architecture: MlpArchitecture,
    head: int,
    ids: NDArray[np.int32],
    numbers: NDArray[np.float32],
) -> tuple[FirstLayer, Dense]:
    tensors = fitted.tensors
    sides = [tensors.get(f"deep.first.{side}") for side in ("request", "candidate")]
    widths = [_padded(width) for width in architecture.hidden]
    weight = np.zeros((ids.shape[1] * architecture.embedding + numbers.shape[1], widths[0]), np.float32)
    for columns, half in zip(_columns(fitted), sides, strict=True):
        if half is not None:
            weight[columns, : len(half)] = half.T
    layer = FirstLayer(ids, numbers, tensors[EMBEDDING], weight, _pad(tensors["deep.first.bias"], widths[0]))
    # The logit needs no padding; padded units are 0.
    names = [f"deep.rest.{rest}" for rest in range(len(widths) - 1)]
    weights = [tensors[f"{name}.weight"] for name in names] + [tensors["heads.weight"][head : head + 1]]
    biases = [tensors[f"{name}.bias"] for name in names] + [tensors["heads.bias"][head : head + 1]]
    widths.append(1)
    flat = []
    for (before, after), matrix in zip(pairwise(widths), weights, strict=True):
        whole = np.zeros((before, after), np.float32)
        whole[: matrix.shape[1], : matrix.shape[0]] = matrix.T
        flat.append(whole.ravel())
    bias = [_pad(each, width) for each, width in zip(biases, widths[1:], strict=True)]
    return layer, Dense(np.array(widths), np.concatenate(flat), np.concatenate(bias))


def _two_tower(
    fitted: FittedStudent,
    architecture: TwoTowerArchitecture,
    head: int,
    ids: NDArray[np.int32],
    numbers: NDArray[np.float32],
) -> tuple[FirstLayer, Bilinear]:
    tensors = fitted.tensors
    # One more unit, which is always 1.
    units = architecture.hidden + 1
    width = _padded(units)
    weight = np.zeros((ids.shape[1] * architecture.embedding + numbers.shape[1], 2 * width), np.float32)
    bias, ends = [], []
    for tower, (side, columns) in enumerate(zip(("request", "candidate"), _columns(fitted), strict=True)):
        weight[columns, tower * width : tower * width + architecture.hidden] = tensors[f"{side}.hidden.weight"].T
        bias.append(_pad(np.append(tensors[f"{side}.hidden.bias"], np.float32(1)), width))
        end = [tensors[f"{side}.heads.{head}.{name}"].astype(np.float64) for name in ("weight", "bias")]
        ends.append(np.column_stack(end))
    left, right = ends
    # Vectors [output] and own bias of each side are linear functions of its units and 1.
    form = left[:-1].T @ right[:-1] / np.sqrt(architecture.output)
    form[:, -1] += left[-1]
    form[-1] += right[-1]
    form[-1, -1] += tensors["bias"][head]
    whole = np.zeros((2 * width, 2 * width), np.float32)
    whole[:units, width : width + units] = form
    return FirstLayer(ids, numbers, tensors[EMBEDDING], weight, np.concatenate(bias)), Bilinear(whole + whole.T)


def groups_of(layer: FirstLayer, towers: int, groups: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Groups:
    """Columns of ids and of numbers of each group, as the kernel reads them; towers: 1 or 2, of one width."""
    embedding, units = layer.embeddings.shape[1], len(layer.bias)
    width = units // towers
    lows, spans, weights = [], [], []
    for ids, numbers in groups:
        places = [np.arange(column * embedding, (column + 1) * embedding) for column in ids]
        behind = layer.ids.shape[1] * embedding
        rows = layer.weight[np.concatenate([*places, behind + np.array(numbers, np.int64)])]
        used = [tower for tower in range(towers) if rows[:, tower * width : (tower + 1) * width].any()]
        low, high = (used[0] * width, (used[-1] + 1) * width) if used else (0, width)
        lows.append(low)
        spans.append(high - low)
        weights.append(rows[:, low:high].ravel())
    starts = [_starts([len(group[of]) for group in groups]) for of in (0, 1)]
    flat = [np.array([column for group in groups for column in group[of]], np.int64) for of in (0, 1)]
    return Groups(
        starts[0],
        flat[0],
        starts[1],
        flat[1],
        np.array(lows, np.int64),
        np.array(spans, np.int64),
        _starts([len(each) for each in weights]),
        np.concatenate([np.empty(0, np.float32), *weights]),
    )


def _columns(fitted: FittedStudent) -> list[NDArray[np.int64]]:
    """Where each side's own columns, embeddings and then numbers, stand behind those of both sides' ids and numbers."""
    counts = [fitted.encoder.count(side) for side in ("request", "candidate")]
    embedding = fitted.tensors[EMBEDDING].shape[1]
    (ids, numbers), (more_ids, more_numbers) = counts
    first, every = ids * embedding, (ids + more_ids) * embedding
    return [
        np.r_[0:first, every : every + numbers],
        np.r_[first:every, every + numbers : every + numbers + more_numbers],
    ]


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths])


def _pad(vector: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    return np.pad(vector, (0, width - len(vector)))


def _padded(width: int) -> int:
    return -(-width // LANES) * LANES
