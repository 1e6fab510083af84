"""A first layer on ids that come again within a batch: what the layer makes of an id is made once, then added up.

A batch of thousands of rows names a handful of devices, hundreds of categories. A layer's product over such a feature
is a sum over the batch's distinct ids: their products are few, and each row takes the ones that it names. The gradient
goes the same way back: summed by id first, then multiplied.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from ukdsl_assets.learning.networks.affine import affine, by_mkl, gradients, rectified_affine, worthwhile

# Of narrower embeddings, or into fewer outputs, products are made faster than they are added up: the default networks
# took a fifth longer so (measured on an Intel Xeon, 4,096 rows).
LEAST_WIDTH, LEAST_OUTPUTS = 16, 128
# A feature's ids are few up to this share of the rows; those of all features together are at most as many as rows.
FEW = 0.25


class Mentions(NamedTuple):
    """The ids behind a batch's columns, of which the first features * width are their embeddings side by side.

    ids: int32 [rows, features]; places: int32 [rows of the embedding table], -1 everywhere between uses.
    """

    ids: Tensor
    places: NDArray[np.int32]
    width: int


@dataclass(frozen=True)
class Repeats:
    """A batch's features of few ids.

    features: int32, their places, ascending. starts: int [features + 1], where each one's ids start among all
    distinct ones. firsts: int32 [distinct], the row that names each first. codes: int32 [features, rows], the place
    of a row's id among the distinct ones.
    """

    features: NDArray[np.int32]
    starts: list[int]
    firsts: NDArray[np.int32]
    codes: NDArray[np.int32]


def repeats_of(mentions: Mentions) -> Repeats | None:
    """The features of few ids; None if there is none. A feature with a row without an id (-1) is not one."""
    ids = mentions.ids.numpy()
    rows, features = ids.shape
    codes, firsts = np.empty((features, rows), np.int32), np.empty(rows, np.int32)
    chosen, counts = np.empty(features, np.int32), np.empty(features, np.int32)
    few = _distinct(ids, mentions.places, int(rows * FEW), codes, firsts, chosen, counts)
    if not rows or not few:
        return None
    starts = [0, *counts[:few].cumsum().tolist()]
    return Repeats(chosen[:few], starts, firsts[: starts[-1]], codes[:few])


def affine_of_mentions(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, mentions: Mentions | None, rectified: bool = False
) -> Tensor:
    """`affine` or `rectified_affine` of columns [n, in], whose first ones are those of `mentions`, unaltered.

    Ids are taken together where the layer is large and at least half of the features have few. The gradient of an id's
    columns is then summed over the rows that name it, and stands at the first of them; the other rows' is 0. That is
    the same to whoever sums by id, as `EmbeddingRows.step` does, and to nobody else. A rectified layer's gradient is
    masked in place: what reads the layer's value must give one that nobody else reads, as products and `torch.cat` do.
    """
    large = mentions is not None and mentions.width >= LEAST_WIDTH and len(weight) >= LEAST_OUTPUTS
    if mentions is not None and large and worthwhile(inputs, weight):
        repeats = repeats_of(mentions)
        if repeats is not None and 2 * len(repeats.features) >= mentions.ids.shape[1]:
            return _OfRepeats.apply(inputs, weight, bias, repeats, mentions.width, rectified)
    return (rectified_affine if rectified else affine)(inputs, weight, bias)


class _OfRepeats(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        repeats: Repeats,
        width: int,
        rectified: bool,
    ) -> Tensor:
        embedded = inputs.new_empty(len(repeats.firsts), width)
        _gather(inputs.detach().numpy(), repeats.features, repeats.codes, repeats.firsts, embedded.numpy())
        products = inputs.new_empty(len(embedded), len(weight))
        for of_ids, columns in _by_feature(repeats, width):
            torch.mm(embedded[of_ids], weight[:, columns].t(), out=products[of_ids])
        others = _others(repeats, width, inputs.shape[1])
        if _as_they_lie(others):
            # MKL reads and writes columns where they lie.
            rest, made = inputs, torch.mm(inputs[:, others[0]], weight[:, others[0]].t())
            if bias is not None:
                # Each row names one id of a feature, hence one of the first feature.
                products[: repeats.starts[1]] += bias
        else:
            rest = _joined(inputs, others)
            made = affine(rest, _joined(weight, others), bias)
        _add_products(products.numpy(), repeats.codes, rectified, made.numpy())
        context.save_for_backward(weight, embedded, rest, made if rectified else None)
        context.repeats, context.width = repeats, width
        return made

    @staticmethod
    def backward(context: Any, *given: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None, None, None]:
        gradient = given[0].contiguous()
        weight, embedded, rest, rectified = context.saved_tensors
        repeats, width = context.repeats, context.width
        summed = gradient.new_zeros(len(embedded), len(weight))
        if rectified is None:
            _sum_by_id(gradient.numpy(), repeats.codes, summed.numpy())
        else:
            _masked_sum_by_id(gradient.numpy(), rectified.numpy(), repeats.codes, summed.numpy())
        # Each row names one id of a feature, so those of the first feature sum up to all rows.
        of_bias = summed[: repeats.starts[1]].sum(0) if context.needs_input_grad[2] else None
        of_inputs, of_weight = gradient.new_empty(len(gradient), weight.shape[1]), torch.empty_like(weight)
        of_embedded = torch.empty_like(embedded)
        for of_ids, columns in _by_feature(repeats, width):
            torch.mm(summed[of_ids].t(), embedded[of_ids], out=of_weight[:, columns])
            torch.mm(summed[of_ids], weight[:, columns], out=of_embedded[of_ids])
        _scatter(of_embedded.numpy(), repeats.features, repeats.codes, repeats.firsts, of_inputs.numpy())
        others = _others(repeats, width, weight.shape[1])
        if _as_they_lie(others):
            torch.mm(gradient, weight[:, others[0]], out=of_inputs[:, others[0]])
            torch.mm(gradient.t(), rest[:, others[0]], out=of_weight[:, others[0]])
            return of_inputs, of_weight, of_bias, None, None, None
        of_rest, of_its_weight, _ = gradients(gradient, rest, _joined(weight, others))
        assert of_rest is not None
        assert of_its_weight is not None
        first = 0
        for columns in others:
            last = first + columns.stop - columns.start
            of_inputs[:, columns], of_weight[:, columns] = of_rest[:, first:last], of_its_weight[:, first:last]
            first = last
        return of_inputs, of_weight, of_bias, None, None, None


def _as_they_lie(others: list[slice]) -> bool:
    """Whether columns are multiplied without being copied side by side: by MKL, where they are."""
    return len(others) == 1 and by_mkl()


def _joined(columns: Tensor, parts: list[slice]) -> Tensor:
    """The parts of columns [n, in] side by side, copied: oneDNN takes 100 times as long on rows that lie apart."""
    return torch.cat([columns[:, part] for part in parts], dim=1)


def _by_feature(repeats: Repeats, width: int) -> list[tuple[slice, slice]]:
    """Of each feature its place among the distinct ids and among the columns."""
    return [
        (slice(*bounds), slice(feature * width, (feature + 1) * width))
        for feature, bounds in zip(repeats.features.tolist(), pairwise(repeats.starts), strict=True)
    ]


def _others(repeats: Repeats, width: int, columns: int) -> list[slice]:
    """The columns of all that is not in `repeats`, in as few slices as they take."""
    features = repeats.features.tolist()
    ends = [0, *((feature + 1) * width for feature in features)]
    starts = [*(feature * width for feature in features), columns]
    between = [slice(end, start) for end, start in zip(ends, starts, strict=True) if end < start]
    return between or [slice(0, 0)]


@njit(cache=True, nogil=True)
def _distinct(
    ids: NDArray[np.int32],
    places: NDArray[np.int32],
    most: int,
    codes: NDArray[np.int32],
    firsts: NDArray[np.int32],
    chosen: NDArray[np.int32],
    counts: NDArray[np.int32],
) -> int:
    """Numbers the distinct ids of each feature with at most `most`; returns how many features there are."""
    few, total = 0, 0
    for feature in range(ids.shape[1]):
        start, end = total, min(total + most, len(firsts))
        fits = True
        for i in range(len(ids)):
            row = ids[i, feature]
            if row < 0 or (places[row] < 0 and total == end):
                fits = False
                break
            if places[row] < 0:
                places[row] = total
                firsts[total] = i
                total += 1
            codes[few, i] = places[row]
        for place in range(start, total):
            places[ids[firsts[place], feature]] = -1
        if fits:
            chosen[few], counts[few] = feature, total - start
            few += 1
        else:
            total = start
    return few


@njit(cache=True, nogil=True)
def _gather(
    columns: NDArray[np.float32],
    features: NDArray[np.int32],
    codes: NDArray[np.int32],
    firsts: NDArray[np.int32],
    embedded: NDArray[np.float32],
) -> None:
    """The embedding of each distinct id, from the columns of its feature in the row that names it first."""
    width = embedded.shape[1]
    for feature in range(len(features)):
        start = features[feature] * width
        for i in range(len(columns)):
            place = codes[feature, i]
            if firsts[place] == i:
                for column in range(width):
                    embedded[place, column] = columns[i, start + column]


@njit(cache=True, nogil=True)
def _scatter(
    embedded: NDArray[np.float32],
    features: NDArray[np.int32],
    codes: NDArray[np.int32],
    firsts: NDArray[np.int32],
    columns: NDArray[np.float32],
) -> None:
    """The inverse of `_gather`, 0 in the features' other rows; columns of other features stay as they are."""
    width = embedded.shape[1]
    for i in range(len(columns)):
        for feature in range(len(features)):
            place, start = codes[feature, i], np.uint64(features[feature] * width)
            named_first = firsts[place] == i
            for column in range(np.uint64(width)):
                columns[i, start + column] = embedded[place, column] if named_first else np.float32(0)


@njit(cache=True, nogil=True)
def _add_products(
    products: NDArray[np.float32], codes: NDArray[np.int32], rectified: bool, made: NDArray[np.float32]
) -> None:
    for i in range(len(made)):
        for feature in range(len(codes)):
            place = np.uint64(codes[feature, i])
            for column in range(made.shape[1]):
                made[i, column] += products[place, column]
        if rectified:
            for column in range(made.shape[1]):
                made[i, column] = max(made[i, column], np.float32(0))


@njit(cache=True, nogil=True)
def _sum_by_id(gradient: NDArray[np.float32], codes: NDArray[np.int32], summed: NDArray[np.float32]) -> None:
    for i in range(len(gradient)):
        for feature in range(len(codes)):
            place = np.uint64(codes[feature, i])
            for column in range(gradient.shape[1]):
                summed[place, column] += gradient[i, column]


@njit(cache=True, nogil=True)
def _masked_sum_by_id(
    gradient: NDArray[np.float32],
    rectified: NDArray[np.float32],
    codes: NDArray[np.int32],
    summed: NDArray[np.float32],
) -> None:
    """Make the gradient 0 where the layer's value is 0 (not where it is NaN), and sum it."""
    for i in range(len(gradient)):
        for column in range(gradient.shape[1]):
            gradient[i, column] = np.float32(0) if rectified[i, column] <= 0 else gradient[i, column]
        for feature in range(len(codes)):
            place = np.uint64(codes[feature, i])
            for column in range(gradient.shape[1]):
                summed[place, column] += gradient[i, column]
