"""Columns as Parquet files have them, put into types that polars reads; what it cannot take is named by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ukdsl_assets.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa


def to_polars(table: pa.Table, where: str) -> pl.DataFrame:
    """The columns of a table that is read of a file; give it those alone that are needed.

    Dictionaries become their values, times of any zone or offset the same moments in UTC, wide decimals narrow ones.

    Args:
        where: file, for messages.

    Raises:
        ContractError: a column of a type that no log has, such as a map, or a decimal of more than 38 digits.
    """
    import pyarrow as pa

    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(pl.Series(name, pl.from_arrow(column.cast(_plain(column.type)))))
        except (pa.ArrowException, pl.exceptions.PolarsError, TypeError) as error:
            raise ContractError(
                f"{where}: column `{name}` is {column.type}, which cannot be read: {error}; write it as texts, "
                "numbers, times, or lists of them"
            ) from error
    return pl.DataFrame(columns)


def _plain(dtype: pa.DataType) -> pa.DataType:
    """The type of the same values that polars has too; TypeError if there is none."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(dtype):
        return _plain(dtype.value_type)
    if types.is_timestamp(dtype):
        # The moments are in UTC in the file; polars knows names of zones and whole hours alone.
        return pa.timestamp(dtype.unit, None if dtype.tz is None else "UTC")
    if types.is_fixed_size_list(dtype):
        return pa.list_(_plain(dtype.value_type), dtype.list_size)
    if types.is_large_list(dtype):
        return pa.large_list(_plain(dtype.value_type))
    if types.is_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    if types.is_decimal256(dtype):
        return pa.decimal128(38, dtype.scale)
    if types.is_primitive(dtype) or types.is_decimal(dtype) or types.is_null(dtype):
        return dtype
    if types.is_string(dtype) or types.is_large_string(dtype) or types.is_string_view(dtype):
        return dtype
    if types.is_binary(dtype) or types.is_large_binary(dtype) or types.is_binary_view(dtype):
        return dtype
    raise TypeError("no log has such a type")
