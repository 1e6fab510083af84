"""Puts a frame into declared columns and types, or says what cannot be put so."""

import logging
from collections.abc import Iterable, Mapping

import polars as pl

from ukdsl_assets.declaration.columns import KEYS, is_reserved
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ContractError
from ukdsl_assets.frames.casts import NoFitError, cast

LOGGER = logging.getLogger(__name__)
# How a feature's column could be declared instead -> the type that it then has, but for lists.
_DECLARED_AS = {
    "kind: categorical, values: integer": pl.Int64(),
    "kind: categorical, values: string": pl.String(),
    "kind: numeric": pl.Float32(),
    "kind: multi_valued, values: integer": pl.List(pl.Int64()),
    "kind: multi_valued, values: string": pl.List(pl.String()),
}


def conform(
    frame: pl.DataFrame,
    dtypes: Mapping[str, pl.DataType],
    where: str,
    time_zone: str | None = None,
    trained: bool = False,
) -> pl.DataFrame:
    """Select and order the contract's columns, and cast them where no meaning is lost.

    Whole numbers (integers, Booleans as 0 and 1, decimals and floats without a fraction) become Int64, Float32 or
    Boolean where they do so exactly; floats and decimals with a fraction the nearest Float32; zoned datetimes
    microseconds in UTC; lists arrays of the declared width; categoricals and enums strings; columns of nulls alone
    anything. Rows keep their order; an empty frame stays empty; NaN and nulls pass (the gates judge values), but a NaN
    is no id. Columns beyond the contract are dropped and logged.

    Args:
        frame: what was read.
        dtypes: the contract, e.g. `candidate_log_dtypes(cascade)`.
        where: file or partition, for messages.
        time_zone: in which datetimes without a zone are; None refuses them.
        trained: the types are a trained student's, so that no message says to declare others.

    Raises:
        ContractError: a column is missing or its type cannot be cast; names `where`, the column, seen and expected.
    """
    report_unused(set(frame.columns) - set(dtypes), where)
    return pl.DataFrame(
        [_conformed(frame, column, dtype, where, time_zone, trained) for column, dtype in dtypes.items()]
    )


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


def missing_column(column: str, dtype: pl.DataType, present: Iterable[str], where: str) -> ContractError:
    """What to raise where a file or frame has no such column, with what can be done about it."""
    if column == "bid":
        without = ", or declare `has_bid: false`"
    elif column.endswith("_prediction"):
        without = ", or leave the task out of the stage's `predicts`"
    elif column.startswith("audit_true_"):
        without = ", or declare `has_truth: false`"
    elif is_reserved(column):
        without = ""
    else:
        without = (
            ", or drop the feature from the declaration; a day from before it was logged may have it without values, "
            "where it is declared with `missing: allowed`"
        )
    return ContractError(
        f"{where}: column `{column}` ({dtype}) is missing, saw {', '.join(present) or 'no columns'}; "
        f"write it, map it under `source.columns` if it has another name{without}"
    )


def _conformed(
    frame: pl.DataFrame, column: str, expected: pl.DataType, where: str, time_zone: str | None, trained: bool
) -> pl.Series:
    if column not in frame.columns:
        raise missing_column(column, expected, frame.columns, where)
    series = frame[column]
    seen = f"{where}: column `{column}` is {series.dtype}, expected {expected}"
    try:
        there = cast(series, expected, time_zone)
    except NoFitError as error:
        fix = f"{_rewritten(series.dtype, expected, misfit=True)}{_redeclared(series, expected, trained)}"
        raise ContractError(f"{seen}, and its values do not fit: {error}; {fix}") from error
    if there is None:
        fix = f"{_rewritten(series.dtype, expected, misfit=False)}{_redeclared(series, expected, trained)}"
        raise ContractError(f"{seen}; {fix}")
    return there


def _rewritten(dtype: pl.DataType, expected: pl.DataType, misfit: bool) -> str:
    """How to write the column."""
    if isinstance(expected, pl.Datetime) and isinstance(dtype, pl.Datetime):
        if misfit:
            return "write them as UTC"
        return (
            "its times have no zone: write them as UTC (in polars, .dt.replace_time_zone of the zone they are in), or "
            "declare that zone as `time_zone` under `source`"
        )
    if misfit and isinstance(expected, pl.Float32) and not dtype.is_float():
        return "write it as Float64 if it may be rounded to 24 bits"
    if misfit and isinstance(expected, pl.Int64) and dtype.is_float():
        return "write ids as integers, and null where there is none"
    if misfit and isinstance(expected, pl.Int64):
        return "write whole numbers from -2^63 to 2^63 - 1 (64-bit hashes as signed integers)"
    return f"write values that fit {expected}" if misfit else f"write it as {expected}"


def _redeclared(series: pl.Series, expected: pl.DataType, trained: bool) -> str:
    """Which declaration would take the column as it is; empty where none would."""
    if trained:
        return ""
    name = series.name
    if name in KEYS:
        other = "string" if isinstance(expected, pl.Int64) else "integer"
        dtype = _DECLARED_AS[f"kind: categorical, values: {other}"]
        return f", or declare `identifiers: {other}`" if _fits(series, dtype) else ""
    if is_reserved(name):
        return ""
    for declared, dtype in _DECLARED_AS.items():
        if dtype != expected and _fits(series, dtype):
            return f", or declare the feature with `{declared}`"
    return ""


def _fits(series: pl.Series, dtype: pl.DataType) -> bool:
    try:
        return cast(series, dtype) is not None
    except NoFitError:
        return False
