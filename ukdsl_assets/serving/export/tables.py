"""The embedding table laid out for a file: a block of rows a feature, with rows for what is no id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.serving.onnx_metadata import Input
from ukdsl_assets.serving.onnx_values import bucket_of

# Rows at the start of a feature's block: unknown ids, zeros behind the end of a list, a missing value. The marks of
# buckets, -2 and -1, are so many rows before bucket 0.
UNKNOWN, PADDING, MISSING, FIRST = 0, 1, 2, 3
_SMALLEST = -(2**63)


@dataclass(frozen=True)
class Block:
    """Where a feature's rows are in the file's table.

    start: of the block. ids: those it knows, sorted, int64 or texts as objects; the row of id i is
    start + FIRST + i. A hashed feature has none, and its buckets in their place.
    """

    feature: Feature
    start: int
    ids: NDArray[np.int64] | NDArray[np.object_]

    @property
    def first(self) -> int:
        """The row of the first id or bucket."""
        return self.start + FIRST

    def row_of(self, value: int | str) -> int:
        """The row of one id, known or not."""
        if self.feature.hash_buckets is not None:
            return self.first + bucket_of(value, self.feature.hash_buckets)
        found = np.flatnonzero(self.ids == value)
        return self.first + int(found[0]) if len(found) else self.start + UNKNOWN


def blocks_of(encoder: Encoder) -> dict[str, Block]:
    """The block of each feature of ids, by its name, one behind the other."""
    blocks, start = {}, 0
    for feature in encoder.of_ids:
        ids: NDArray[Any] = np.empty(0, np.int64)
        if feature.hash_buckets is None:
            known = encoder.vocabularies[feature.name][0]
            ids = np.array(known.to_list(), object) if known.dtype == pl.String else known.to_numpy()
        blocks[feature.name] = Block(feature, start, ids)
        start += FIRST + (feature.hash_buckets or len(ids))
    return blocks


def laid_out(encoder: Encoder, table: NDArray[np.float32], blocks: Mapping[str, Block]) -> NDArray[np.float32]:
    """The file's table, float32 [rows, width], of the student's, [embedding rows, width]."""
    zeros, parts = np.zeros((1, table.shape[1]), np.float32), []
    for block in blocks.values():
        feature, unknown = block.feature, encoder.unknown_row(block.feature)
        missing = encoder.row_where_missing(feature) if feature.may_be_missing else unknown
        if feature.hash_buckets is not None:
            first = encoder.first_bucket_row(feature)
            rows: Any = slice(first, first + feature.hash_buckets)
        else:
            rows = encoder.vocabularies[feature.name][1]
        parts += [table[[unknown]], zeros, table[[missing]], table[rows]]
    return np.concatenate(parts)


def inputs_of(encoder: Encoder, blocks: Mapping[str, Block]) -> tuple[Input, ...]:
    """The features that a file reads, in the encoder's order."""
    described = []
    for feature in encoder.features:
        if feature.served_as is not None:
            continue
        missing, padding = marks(blocks[feature.name]) if feature.of_ids else (None, None)
        mean, deviation = ([], []) if feature.of_ids else encoder.scales[feature.name]
        places = feature.width or 1
        described.append(
            Input(
                feature.name,
                feature.kind,
                feature.side,
                _dtype(feature),
                feature.missing,
                feature.width,
                feature.most_values if feature.kind == "multi_valued" else None,
                feature.hash_buckets,
                missing,
                padding,
                tuple(mean[:places]),
                tuple(deviation[:places]),
            )
        )
    return tuple(described)


def marks(block: Block) -> tuple[int | str | None, int | str | None]:
    """What stands for a missing id, and behind the end of a list, in a file's input: no id that the student knows.

    None where there is no need of it, and for a hashed feature, whose buckets leave room.
    """
    feature = block.feature
    if feature.hash_buckets is not None:
        return None, None
    missing, padding = _free(block, "missing"), _free(block, "padding")
    return (missing if feature.may_be_missing else None, padding if feature.kind == "multi_valued" else None)


def _free(block: Block, of: str) -> int | str:
    """U+FFFF is no character, so no log that was written by hand has it; the smallest integers are rare likewise."""
    known = set(block.ids.tolist())
    if block.feature.values == "string":
        return next(text for many in range(1, len(known) + 2) if (text := "\uffff" * many + of) not in known)
    step = 0 if of == "padding" else 1
    return next(number for number in range(_SMALLEST + step, 0, 2) if number not in known)


def _dtype(feature: Feature) -> Literal["int64", "string", "float32"]:
    """Type of a feature's values, as files name it."""
    if not feature.of_ids:
        return "float32"
    return "int64" if feature.values == "integer" else "string"


def keys_of(block: Block, described: Input) -> tuple[NDArray[np.int64] | NDArray[np.object_], NDArray[np.int64]]:
    """What the file looks up of a feature that is not hashed, and the rows: its ids, and the marks."""
    own = {described.missing_value: block.start + MISSING, described.padding: block.start + PADDING}
    found = {mark: row for mark, row in own.items() if mark is not None}
    if not len(block.ids) and not found:
        # The operator takes no empty list of keys: an id that is as unknown as all others.
        found = {_free(block, "missing"): block.start + UNKNOWN}
    extra = np.array(list(found), block.ids.dtype)
    rows = np.arange(block.first, block.first + len(block.ids))
    return np.concatenate([block.ids, extra]), np.concatenate([rows, np.array(list(found.values()), np.int64)])
