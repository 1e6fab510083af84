"""Puts a frame into declared columns and types, or says what cannot be put so."""

import logging
from collections.abc import Iterable, Mapping

import polars as pl

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ContractError

TIMESTAMP = pl.Datetime("us", "UTC")
LOGGER = logging.getLogger(__name__)


def conform(frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType], where: str) -> pl.DataFrame:
    """Select and order the contract's columns, and cast them where no meaning is lost.

    Integers become Int64 (or Float32, if exactly), floats Float32, zoned datetimes microseconds in UTC, lists arrays of
    the declared width, categoricals and enums strings, all-null columns anything. Rows keep their order; an empty frame
    stays empty; NaN and nulls pass (the gates judge values). Columns beyond the contract are dropped and logged.

    Args:
        frame: what was read.
        dtypes: the contract, e.g. `candidate_log_dtypes(cascade)`.
        where: file or partition, for messages.

    Raises:
        ContractError: a column is missing or its type cannot be cast; names `where`, the column, seen and expected.
    """
    report_unused(set(frame.columns) - set(dtypes), where)
    return pl.DataFrame([_conformed(frame, column, dtype, where) for column, dtype in dtypes.items()])


def report_unused(columns: Iterable[str], where: str) -> None:
    """Log the columns of a file that the contract does not declare."""
    if unused := sorted(columns):
        LOGGER.info("%s: columns not declared and not read: %s", where, ", ".join(unused))


def feature_dtype(feature: Feature) -> pl.DataType:
    """Type of a declared feature's column."""
    if feature.kind == "vector":
        return pl.Array(pl.Float32, feature.width)
    if feature.kind == "numeric":
        return pl.Float32()
    of_one = pl.Int64() if feature.values == "integer" else pl.String()
    return pl.List(of_one) if feature.kind == "multi_valued" else of_one


def _conformed(frame: pl.DataFrame, column: str, expected: pl.DataType, where: str) -> pl.Series:
    if column not in frame.columns:
        raise ContractError(
            f"{where}: column `{column}` ({expected}) is missing, saw {', '.join(frame.columns) or 'no columns'}; "
            "write it, map it under `source.columns` if it has another name, or drop it from the declaration"
        )
    series = frame[column]
    if series.dtype == expected:
        return series
    try:
        cast = _cast(series, expected)
    except pl.exceptions.PolarsError as error:
        raise ContractError(
            f"{where}: column `{column}` is {series.dtype}, expected {expected}, and its values do not fit: {error}; "
            "write values that fit, or declare the column as it is"
        ) from error
    if cast is None:
        raise ContractError(
            f"{where}: column `{column}` is {series.dtype}, expected {expected}; {_fix(series.dtype, expected)}"
        )
    return cast


def _cast(series: pl.Series, expected: pl.DataType) -> pl.Series | None:
    """The cast series; None if the types have no lossless cast; PolarsError if single values have none."""
    dtype = series.dtype
    if dtype == pl.Null:
        return series.cast(expected)
    if isinstance(expected, pl.Datetime):
        zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        return series.dt.cast_time_unit("us").dt.convert_time_zone("UTC") if zoned else None
    if isinstance(expected, pl.Array):
        of_floats = isinstance(dtype, pl.List | pl.Array) and dtype.inner in (pl.Float32, pl.Float64)
        return series.cast(expected) if of_floats else None
    if isinstance(expected, pl.List):
        return _cast_lists(series, expected)
    if isinstance(expected, pl.String):
        return series.cast(expected) if isinstance(dtype, pl.Categorical | pl.Enum) else None
    if isinstance(expected, pl.Int64):
        return series.cast(expected) if dtype.is_integer() else None
    if isinstance(expected, pl.Float32):
        return _cast_to_float(series) if dtype.is_float() or dtype.is_integer() else None
    return None


def _cast_lists(series: pl.Series, expected: pl.List) -> pl.Series | None:
    if not isinstance(series.dtype, pl.List | pl.Array):
        return None
    inner = series.dtype.inner
    fits = inner.is_integer() if expected.inner == pl.Int64 else isinstance(inner, pl.String | pl.Categorical | pl.Enum)
    return series.cast(expected) if fits or inner == pl.Null else None


def _cast_to_float(series: pl.Series) -> pl.Series:
    cast = series.cast(pl.Float32)
    lost = cast.is_infinite() & series.is_finite() if series.dtype.is_float() else cast.cast(pl.Float64) != series
    if lost.any():
        raise pl.exceptions.InvalidOperationError(f"{lost.sum()} values, e.g. {series.filter(lost)[0]}")
    return cast


def _fix(dtype: pl.DataType, expected: pl.DataType) -> str:
    if isinstance(expected, pl.Datetime) and isinstance(dtype, pl.Datetime):
        return "its times have no zone: write them as UTC (in polars, .dt.replace_time_zone of the zone they are in)"
    return f"write it as {expected}, or declare the column as it is"
