"""The contract of the logs, built from a cascade's declaration: column types, dataframely schemas, and conforming.

A request_id names one request of the whole cascade, not of one day: windows of several days join and split by it.

Logs can be checked where they are made, with the rules that the gates apply (but for those that need the day or the
other log):

    cascade = read_cascade(Path("my_cascade.yaml"))
    good, failure = candidate_log_schema(cascade).filter(frame)
    print(failure.counts())
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import dataframely as dy
import polars as pl

from ukdsl_assets.cascade import Cascade, Feature, prediction_column, truth_column
from ukdsl_assets.errors import ContractError, LogsError
from ukdsl_assets.sources.rules import (
    CANDIDATE_KEYS,
    Rule,
    candidate_log_rules,
    constant_columns,
    event_log_rules,
    nullable_columns,
)

TIMESTAMP = pl.Datetime("us", "UTC")
LOGGER = logging.getLogger(__name__)
LogName = Literal["candidate_log", "event_log"]
CANDIDATE_ORDER = CANDIDATE_KEYS
EVENT_ORDER = ("request_id", "candidate_id", "occurred_at", "event")
# Rows of a part of a day: some 50 MB of an ads log, and as many as polars writes to a row group.
ROWS_AT_ONCE = 1 << 18


class DayOfLogs(NamedTuple):
    """One UTC day of logs, or a part or shard of it; column types and order are those of the contract."""

    candidate_log: pl.DataFrame
    event_log: pl.DataFrame


def candidate_log_dtypes(cascade: Cascade) -> dict[str, pl.DataType]:
    """Columns of the candidate log in order, with their types."""
    identifier = pl.Int64() if cascade.identifiers == "integer" else pl.String()
    predictions = [
        prediction_column(stage.name, task) for stage in cascade.stages for task in cascade.predictions_of(stage.name)
    ]
    truths = [truth_column(task.name) for task in cascade.tasks] if cascade.has_truth else []
    return {
        "request_id": identifier,
        "candidate_id": identifier,
        "requested_at": TIMESTAMP,
        "deepest_stage": pl.String(),
        **dict.fromkeys(predictions, pl.Float32()),
        **({"bid": pl.Float32()} if cascade.has_bid else {}),
        "shown": pl.Boolean(),
        "explored": pl.Boolean(),
        "propensity": pl.Float32(),
        **{feature.name: feature_dtype(feature) for feature in cascade.features},
        **dict.fromkeys(truths, pl.Float32()),
    }


def event_log_dtypes(cascade: Cascade) -> dict[str, pl.DataType]:
    """Columns of the event log in order, with their types."""
    identifier = pl.Int64() if cascade.identifiers == "integer" else pl.String()
    return {
        "request_id": identifier,
        "candidate_id": identifier,
        "event": pl.String(),
        "occurred_at": TIMESTAMP,
        "value": pl.Float32(),
    }


def candidate_log_schema(cascade: Cascade) -> type[dy.Schema]:
    """A dataframely schema of the candidate log, to validate, filter or document logs outside the pipeline.

    It knows no day: that `requested_at` lies inside the partition is for the audit.
    """
    constant = {
        f"{column}|constant_within_request": pl.col(column).drop_nulls().n_unique().over("request_id") <= 1
        for column in constant_columns(cascade)
    }
    kept = _kept(candidate_log_rules(cascade)) | constant
    return _schema("CandidateLog", candidate_log_dtypes(cascade), nullable_columns(cascade), CANDIDATE_KEYS, kept)


def event_log_schema(cascade: Cascade) -> type[dy.Schema]:
    """A dataframely schema of the event log; that its candidates exist and were shown is for the audit."""
    kept = _kept(event_log_rules(cascade))
    return _schema("EventLog", event_log_dtypes(cascade), nullable_columns(cascade), (), kept)


@contextmanager
def reading(log: LogName) -> Iterator[None]:
    """Mark errors that are raised inside as being about one log."""
    try:
        yield
    except LogsError as error:
        error.log = log
        raise


def conform(frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType], where: str) -> pl.DataFrame:
    """Select and order the contract's columns, and cast them where no meaning is lost.

    Integers become Int64 (or Float32, if exactly), floats Float32, zoned datetimes microseconds in UTC, lists arrays of
    the declared width, categoricals and enums strings, all-null columns anything. Rows keep their order; an empty frame
    stays empty; NaN and nulls pass (the audit judges values). Columns beyond the contract are dropped and logged.

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


def _kept(rules: list[Rule]) -> dict[str, pl.Expr]:
    return {f"{rule.column}|{rule.expected}": ~rule.bad for rule in rules}


def _schema(
    name: str,
    dtypes: Mapping[str, pl.DataType],
    nullable: frozenset[str],
    keys: tuple[str, ...],
    kept: Mapping[str, pl.Expr],
) -> type[dy.Schema]:
    # Members are numbered and aliased: a feature may be called like a method of Schema, e.g. `filter`.
    columns = {
        f"column_{index}": _schema_column(dtype, alias=column, nullable=column in nullable, primary_key=column in keys)
        for index, (column, dtype) in enumerate(dtypes.items())
    }
    rules = {rule: dy.rule()(_returns(expression)) for rule, expression in kept.items()}
    return type(name, (dy.Schema,), {"__module__": __name__, **columns, **rules})


def _schema_column(dtype: pl.DataType, **options: Any) -> dy.Column:
    if isinstance(dtype, pl.Datetime):
        return dy.Datetime(time_unit="us", time_zone="UTC", **options)
    if isinstance(dtype, pl.Array):
        return dy.Array(dy.Float32(), dtype.size, **options)
    if isinstance(dtype, pl.List):
        inner = dy.Int64(nullable=False) if dtype.inner == pl.Int64 else dy.String(nullable=False)
        return dy.List(inner, **options)
    simple: dict[type[pl.DataType], Callable[..., dy.Column]] = {
        pl.Int64: dy.Int64,
        pl.String: dy.String,
        pl.Float32: dy.Float32,
        pl.Boolean: dy.Bool,
    }
    return simple[type(dtype)](**options)


def _returns(expression: pl.Expr) -> Callable[[Any], pl.Expr]:
    return lambda schema: expression


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
    seen = series.dtype
    if seen == pl.Null:
        return series.cast(expected)
    if isinstance(expected, pl.Datetime):
        zoned = isinstance(seen, pl.Datetime) and seen.time_zone is not None
        return series.dt.cast_time_unit("us").dt.convert_time_zone("UTC") if zoned else None
    if isinstance(expected, pl.Array):
        of_floats = isinstance(seen, pl.List | pl.Array) and seen.inner in (pl.Float32, pl.Float64)
        return series.cast(expected) if of_floats else None
    if isinstance(expected, pl.List):
        return _cast_lists(series, expected)
    if isinstance(expected, pl.String):
        return series.cast(expected) if isinstance(seen, pl.Categorical | pl.Enum) else None
    if isinstance(expected, pl.Int64):
        return series.cast(expected) if seen.is_integer() else None
    if isinstance(expected, pl.Float32):
        return _cast_to_float(series) if seen.is_float() or seen.is_integer() else None
    return None


def _cast_lists(series: pl.Series, expected: pl.List) -> pl.Series | None:
    if not isinstance(series.dtype, pl.List | pl.Array):
        return None
    seen = series.dtype.inner
    fits = seen.is_integer() if expected.inner == pl.Int64 else isinstance(seen, pl.String | pl.Categorical | pl.Enum)
    return series.cast(expected) if fits or seen == pl.Null else None


def _cast_to_float(series: pl.Series) -> pl.Series:
    cast = series.cast(pl.Float32)
    lost = cast.is_infinite() & series.is_finite() if series.dtype.is_float() else cast.cast(pl.Float64) != series
    if lost.any():
        raise pl.exceptions.InvalidOperationError(f"{lost.sum()} values, e.g. {series.filter(lost)[0]}")
    return cast


def _fix(seen: pl.DataType, expected: pl.DataType) -> str:
    if isinstance(expected, pl.Datetime) and isinstance(seen, pl.Datetime):
        return "its times have no zone: write them as UTC (in polars, .dt.replace_time_zone of the zone they are in)"
    return f"write it as {expected}, or declare the column as it is"
