"""Arrow columns become columns that an exported file reads, or are refused by row and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.serving.onnx_metadata import Input
from ukdsl_assets.serving.onnx_values import bucket_of, column_of_values, missing_mark, padded

# From here on a 64-bit float may be a whole number that was rounded.
_WHOLE_IN_DOUBLE = 2.0**53


def columns_of_table(table: pa.Table | pa.RecordBatch, inputs: Sequence[Input]) -> dict[str, NDArray[Any]]:
    """A column each input, of the table's; see `OnnxStudent.columns_of_arrow`."""
    names = table.schema.names
    columns = {}
    for each in inputs:
        if names.count(each.name) != 1:
            seen = ", ".join(names) or "no columns"
            what = "is there more than once" if each.name in names else "is missing"
            raise ScoringError(f"column `{each.name}` {what}, saw {seen:.200}; send every feature once")
        column = table.column(each.name)
        columns[each.name] = _column(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, each)
    return columns


def _column(array: pa.Array, feature: Input) -> NDArray[Any]:
    plain = _plain(array, feature)
    if pa.types.is_null(plain.type):
        return column_of_values([None] * len(plain), feature)
    if feature.kind in ("categorical", "numeric"):
        values = _ids(plain, feature) if feature.of_ids else _numbers(plain, feature)
    else:
        values = _lists(plain, feature) if feature.of_ids else _vectors(plain, feature)
    # What is refused is told by value, as of JSON.
    return column_of_values(array.to_pylist(), feature) if values is None else values


def _plain(array: pa.Array, feature: Input) -> pa.Array:
    """Dictionaries and lists of other kinds in their plain form; ScoringError for a type that never fits."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    inner = kind.value_type if is_list else kind
    wanted_list = feature.kind in ("multi_valued", "vector")
    if feature.dtype == "string":
        fits = pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    else:
        fits = pa.types.is_integer(inner) or pa.types.is_floating(inner)
    if pa.types.is_null(kind) or (is_list == wanted_list and (fits or pa.types.is_null(inner))):
        return array
    raise ScoringError(
        f"column `{feature.name}` is {kind}, expected {feature.expected} a row; send it in the type of the logs"
    )


def _ids(array: pa.Array, feature: Input) -> NDArray[Any] | None:
    """Ids [rows], a missing one as its mark; None where one is refused."""
    if array.null_count and feature.missing == "refused":
        return None
    there = array.drop_null() if array.null_count else array
    if feature.dtype == "string":
        ids: NDArray[Any] = there.to_numpy(zero_copy_only=False).astype(object)
    elif pa.types.is_floating(there.type):
        numbers = there.to_numpy(zero_copy_only=False).astype(np.float64)
        if not (np.isfinite(numbers).all() and (np.floor(numbers) == numbers).all()):
            return None
        if (np.abs(numbers) >= _WHOLE_IN_DOUBLE).any():
            return None
        ids = numbers.astype(np.int64)
    else:
        try:
            ids = pc.cast(there, pa.int64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return None
    if feature.hash_buckets is not None:
        buckets = {each: bucket_of(each, feature.hash_buckets) for each in set(ids.tolist())}
        ids = np.array([buckets[each] for each in ids.tolist()], np.int64)
    elif any((ids == mark).any() for mark in (feature.missing_value, feature.padding) if mark is not None):
        return None
    if not array.null_count:
        return ids
    column = np.full(len(array), missing_mark(feature), ids.dtype)
    column[array.is_valid().to_numpy(zero_copy_only=False)] = ids
    return column


def _numbers(array: pa.Array, feature: Input) -> NDArray[np.float32] | None:
    """Numbers [rows], NaN where one is missing; None where one is refused."""
    values = array.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = values.astype(np.float32)
        rounded = (numbers.astype(values.dtype) != values) & ~np.isnan(numbers)
    if pa.types.is_integer(array.type) and rounded.any():
        return None
    missing = np.isnan(numbers)
    refused = missing.any() and feature.missing == "refused"
    return None if refused or np.isinf(numbers).any() else numbers


def _lists(array: pa.Array, feature: Input) -> NDArray[Any] | None:
    """Lists of ids as `padded` gives them; None where one is refused."""
    if array.null_count and feature.missing == "refused":
        return None
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.drop_null().flatten()
    if values.null_count or lengths.max(initial=0) > (feature.most_values or 0):
        return None
    if pa.types.is_null(values.type):
        values = values.cast(pa.string() if feature.dtype == "string" else pa.int64())
    ids = _ids(values, feature)
    nulls = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
    return None if ids is None else padded(ids, lengths, nulls, feature)


def _vectors(array: pa.Array, feature: Input) -> NDArray[np.float32] | None:
    """Vectors [rows, width], NaN in all places where one is missing; None where one is refused."""
    width, there = feature.width or 1, array.drop_null()
    lengths = pc.list_value_length(there).to_numpy(zero_copy_only=False)
    if (array.null_count and feature.missing == "refused") or (lengths != width).any():
        return None
    places = there.flatten()
    if pa.types.is_null(places.type):
        places = places.cast(pa.float32())
    with np.errstate(over="ignore"):
        numbers = places.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    missing = np.isnan(numbers)
    whole = missing.all(axis=1)
    broken = (missing.any(axis=1) & ~whole).any() or np.isinf(numbers).any()
    if broken or (whole.any() and feature.missing == "refused"):
        return None
    column = np.full((len(array), width), np.nan, np.float32)
    column[array.is_valid().to_numpy(zero_copy_only=False)] = numbers
    return column
