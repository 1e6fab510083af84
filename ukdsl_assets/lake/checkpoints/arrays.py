"""Long columns of a checkpoint's metadata, such as vocabularies, as safetensors beside its JSON.

As JSON a million ids take several times the bytes and the time, and text has to be parsed to find the first key.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

# In place of a column the JSON has {ARRAY: its name}.
ARRAY = "array in arrays.safetensors"
# A string column is its bytes in UTF-8, one string after the other, and where each ends.
BYTES, ENDS = "bytes", "ends"


def taken_out(metadata: Any, path: str = "") -> tuple[Any, dict[str, np.ndarray]]:
    """The metadata with every polars column replaced by its name, and the columns as arrays by name.

    Args:
        metadata: JSON values, and Series of integers or strings without nulls at any depth.

    Raises:
        TypeError: for a Series of another type or with nulls.
    """
    if isinstance(metadata, pl.Series):
        return {ARRAY: path}, _arrays_of(metadata, path)
    if not isinstance(metadata, Mapping | list | tuple):
        return metadata, {}
    arrays: dict[str, np.ndarray] = {}
    items = metadata.items() if isinstance(metadata, Mapping) else enumerate(metadata)
    left = {}
    for key, value in items:
        # As in a JSON pointer, so that no two places have one name.
        part = str(key).replace("~", "~0").replace("/", "~1")
        left[key], taken = taken_out(value, f"{path}/{part}" if path else part)
        arrays |= taken
    return (left if isinstance(metadata, Mapping) else list(left.values())), arrays


def put_back(metadata: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of `taken_out`, of what JSON gave back; metadata without names, as of old, stays as it is."""
    if isinstance(metadata, list):
        return [put_back(value, arrays) for value in metadata]
    if not isinstance(metadata, dict):
        return metadata
    if metadata.keys() == {ARRAY}:
        return _series_of(metadata[ARRAY], arrays)
    return {key: put_back(value, arrays) for key, value in metadata.items()}


def _arrays_of(column: pl.Series, name: str) -> dict[str, np.ndarray]:
    if column.null_count() or not (column.dtype.is_integer() or column.dtype == pl.String):
        raise TypeError(f"{name}: {column.dtype} with {column.null_count()} nulls, expected integers or strings")
    if column.dtype != pl.String:
        return {name: column.to_numpy()}
    joined = column.str.join("").item() if len(column) else ""
    ends = column.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
    return {f"{name}/{BYTES}": np.frombuffer(joined.encode(), np.uint8), f"{name}/{ENDS}": ends}


def _series_of(name: str, arrays: Mapping[str, np.ndarray]) -> pl.Series:
    if name in arrays:
        return pl.Series(arrays[name])
    import pyarrow as pa

    ends = arrays[f"{name}/{ENDS}"]
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    buffers = (pa.py_buffer(np.ascontiguousarray(each)) for each in (offsets, arrays[f"{name}/{BYTES}"]))
    return pl.Series(pl.from_arrow(pa.LargeStringArray.from_buffers(len(ends), *buffers)))
