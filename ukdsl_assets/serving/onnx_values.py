"""Values as JSON has them become columns that an exported file reads, or are refused by row and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import md5
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.serving.onnx_metadata import Input
from ukdsl_assets.serving.onnx_refusals import refusal

# What the inputs of hashed features have where a value is missing, and behind the end of a list.
MISSING_BUCKET, PADDING_BUCKET = -1, -2
BUCKET_RULE = (
    "the last eight bytes of MD5 of the id as UTF-8 text (an integer in decimal), read as an unsigned little-endian "
    f"integer, modulo hash_buckets; {MISSING_BUCKET} where the id is missing, {PADDING_BUCKET} behind the end of a list"
)


def bucket_of(value: int | str, buckets: int) -> int:
    """The bucket of an id, as `frames.splits.shard_of` gives it."""
    return int.from_bytes(md5(str(value).encode(), usedforsecurity=False).digest()[8:], "little") % buckets


def column_of_values(values: Sequence[Any], feature: Input, where: str = "row") -> NDArray[Any]:
    """A column of values as JSON has them.

    Args:
        values: one a row; None is null. where: what a row is called in messages; `request` has no number.

    Returns:
        The file's input: int64, float32 or object (texts), [rows]; [rows, width] of a vector, [rows, longest list] of
        lists. No rows give a column without any.

    Raises:
        ScoringError: names row, column, seen, expected and the fix.
    """
    try:
        column = _COLUMN_OF[feature.kind](values, feature)
    except (ValueError, TypeError, OverflowError):
        column = None
    if column is None:
        raise refusal(values, feature, where)
    return column


def _categorical(values: Sequence[Any], feature: Input) -> NDArray[Any] | None:
    kinds = set(map(type, values))
    if type(None) in kinds:
        if feature.missing == "refused":
            return None
        there = [value for value in values if value is not None]
        if (ids := _ids(there, feature)) is None:
            return None
        column = np.full(len(values), missing_mark(feature), ids.dtype)
        column[[place for place, value in enumerate(values) if value is not None]] = ids
        return column
    return _ids(values, feature)


def _ids(values: Sequence[Any], feature: Input) -> NDArray[Any] | None:
    """Ids without null as the file reads them; None where one of them is no id."""
    of = int if feature.dtype == "int64" else str
    if not set(map(type, values)) <= {of}:
        return None
    if feature.dtype == "int64":
        # OverflowError beyond 64 bits.
        column = np.array(values, np.int64)
    else:
        # UnicodeEncodeError, a ValueError, for halves of a surrogate pair.
        "".join(values).encode()
        column = np.empty(len(values), object)
        column[:] = values
    if feature.hash_buckets is not None:
        return np.array([bucket_of(value, feature.hash_buckets) for value in values], np.int64)
    marks = {feature.missing_value, feature.padding} - {None}
    return None if marks and not marks.isdisjoint(values) else column


def _multi_valued(values: Sequence[Any], feature: Input) -> NDArray[Any] | None:
    lists = [[] if value is None else value for value in values]
    if not set(map(type, lists)) <= {list, tuple}:
        return None
    nulls = [place for place, value in enumerate(values) if value is None]
    lengths = list(map(len, lists))
    if (nulls and feature.missing == "refused") or max(lengths, default=0) > (feature.most_values or 0):
        return None
    ids = _ids(list(chain.from_iterable(lists)), feature)
    return None if ids is None else padded(ids, np.array(lengths, np.int64), nulls, feature)


def padded(
    ids: NDArray[Any], lengths: NDArray[np.int64], nulls: Sequence[int] | NDArray[np.int64], feature: Input
) -> NDArray[Any]:
    """Ids of lists side by side, [rows, longest list], as the file reads them.

    Args:
        ids: of all lists, one list after the other; lengths: of the lists; nulls: places of lists that are missing.
    """
    longest = max(int(lengths.max(initial=0)), int(len(nulls) > 0))
    column = np.full((len(lengths), longest), padding_mark(feature), ids.dtype)
    column[np.arange(longest) < lengths[:, None]] = ids
    if len(nulls):
        column[nulls, 0] = missing_mark(feature)
    return column


def missing_mark(feature: Input) -> int | str | None:
    """What stands for a missing id in the file's input."""
    return feature.missing_value if feature.hash_buckets is None else MISSING_BUCKET


def padding_mark(feature: Input) -> int | str | None:
    """What stands behind the end of a list in the file's input."""
    return feature.padding if feature.hash_buckets is None else PADDING_BUCKET


def _numeric(values: Sequence[Any], feature: Input) -> NDArray[np.float32] | None:
    nulls = None in values
    if nulls and feature.missing == "refused":
        return None
    present = [value for value in values if value is not None] if nulls else values
    if (numbers := _numbers(present)) is None:
        return None
    if not nulls:
        return numbers
    column = np.full(len(values), np.nan, np.float32)
    column[[place for place, value in enumerate(values) if value is not None]] = numbers
    return column


def _numbers(values: Sequence[Any]) -> NDArray[np.float32] | None:
    """Numbers without null as float32; None where one of them is no number, not finite or has no place there."""
    kinds = set(map(type, values))
    if not kinds <= {int, float}:
        return None
    with np.errstate(over="ignore"):
        column = np.array(values, np.float64).astype(np.float32)
    if not np.isfinite(column).all() or (
        int in kinds and any(type(v) is int and int(np.float32(v)) != v for v in values)
    ):
        return None
    return column


def _vector(values: Sequence[Any], feature: Input) -> NDArray[np.float32] | None:
    width, nulls = feature.width or 1, [place for place, value in enumerate(values) if value is None]
    present = [value for value in values if value is not None] if nulls else values
    if (nulls and feature.missing == "refused") or not set(map(type, present)) <= {list, tuple}:
        return None
    if not set(map(len, present)) <= {width}:
        return None
    if (numbers := _numbers(list(chain.from_iterable(present)))) is None:
        return None
    if not nulls:
        return numbers.reshape(-1, width)
    column = np.full((len(values), width), np.nan, np.float32)
    column[[place for place, value in enumerate(values) if value is not None]] = numbers.reshape(-1, width)
    return column


_COLUMN_OF: dict[str, Callable[[Sequence[Any], Input], NDArray[Any] | None]] = {
    "categorical": _categorical,
    "multi_valued": _multi_valued,
    "numeric": _numeric,
    "vector": _vector,
}
