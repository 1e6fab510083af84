"""Casts between types of columns: what is exact passes, what would be rounded is refused. docs/logs.md has the rule."""

from datetime import timedelta

import polars as pl

TIMESTAMP = pl.Datetime("us", "UTC")
# Whole numbers below these are all told apart by a float of so many bits; from there on neighbours fall together.
_WHOLE_IN_FLOAT: dict[pl.DataType, int] = {pl.Float16(): 1 << 11, pl.Float32(): 1 << 24, pl.Float64(): 1 << 53}

# Seconds since 1970 of the years 2 to 9998: no zone leads out of what a calendar has.
_CALENDAR = (-62_104_060_800, 253_370_764_800)
_IN_A_SECOND = {"ms": 1_000, "us": 1_000_000}

# All of their values are 64-bit integers.
_NARROW = frozenset({pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32})


class NoFitError(Exception):
    """Single values of a column that have no place in the type; says how many, with an example."""


def cast(series: pl.Series, expected: pl.DataType, time_zone: str | None = None) -> pl.Series | None:
    """The series in the expected type, rows in their order, nulls null.

    Args:
        series: any type. One of nulls alone, if it has rows, is anything.
        expected: String, Int64, Float32, Boolean, microseconds in UTC, a List of String or Int64, an Array of Float32.
        time_zone: in which times without a zone are, by name or as +HH:MM; None where that is not known.

    Returns:
        None if the types have no cast that keeps what is meant.

    Raises:
        NoFitError: single values do not fit.
    """
    dtype = series.dtype
    if dtype == expected and not isinstance(expected, pl.Datetime):
        return series
    if dtype == pl.Null or (len(series) and series.null_count() == len(series)):
        return pl.repeat(None, len(series), dtype=pl.Null, eager=True).cast(expected).alias(series.name)
    if isinstance(expected, pl.Datetime):
        return _moments(series, time_zone) if isinstance(dtype, pl.Datetime) else None
    if isinstance(expected, pl.List | pl.Array):
        return _lists(series, expected) if isinstance(dtype, pl.List | pl.Array) else None
    if isinstance(expected, pl.String):
        return _texts(series) if isinstance(dtype, pl.Categorical | pl.Enum | pl.Binary) else None
    if not (dtype.is_numeric() or dtype == pl.Boolean):
        return None
    if isinstance(expected, pl.Boolean):
        return _only(series, (series == 0) | (series == 1), "are neither 0 nor 1").cast(pl.Int8).cast(expected)
    if isinstance(expected, pl.Int64):
        return _whole(series)
    if isinstance(expected, pl.Float32):
        return _measure(series)
    return None


def utc_offset(time_zone: str) -> timedelta | None:
    """The offset that +HH:MM or -HH:MM says; None for a name."""
    if time_zone[:1] not in ("+", "-"):
        return None
    hours, minutes = time_zone[1:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if time_zone[0] == "-" else offset


def _only(series: pl.Series, fits: pl.Series, otherwise: str) -> pl.Series:
    """The series where all of its values fit; nulls do."""
    misfits = ~fits.fill_null(True)
    if count := int(misfits.sum()):
        raise NoFitError(f"{count:,} value(s) {otherwise}, e.g. {series.filter(misfits)[0]}")
    return series


def _exactly(series: pl.Series, expected: pl.DataType) -> pl.Series:
    """A cast of whole numbers after which each is what it was."""
    there = series.cast(expected, strict=False)
    back = there.cast(series.dtype, strict=False)
    _only(series, series.is_null() | (back.is_not_null() & (back == series).fill_null(False)), "do not fit exactly")
    return there


def _whole(series: pl.Series) -> pl.Series:
    """Ids and codes: whole numbers, none of which can have been rounded on its way into a float."""
    if series.dtype in _NARROW:
        return series.cast(pl.Int64)
    limit = _WHOLE_IN_FLOAT.get(series.dtype)
    if limit is not None:
        fits = series.is_finite() & (series == series.floor()) & (series.abs() < limit)
        _only(series, fits, f"are no whole numbers of less than {limit:,}")
    return _exactly(series, pl.Int64())


def _measure(series: pl.Series) -> pl.Series:
    """Measures: whole numbers, which may be codes, exactly; what has a fraction is the nearest 32-bit float."""
    if series.dtype == pl.Boolean:
        return series.cast(pl.Float32)
    if series.dtype.is_float():
        there = series.cast(pl.Float32)
        _only(series, ~(there.is_infinite() & series.is_finite()), "are beyond 32-bit floats")
        return there
    if isinstance(series.dtype, pl.Decimal) and series.dtype.scale:
        return series.cast(pl.Float32)
    return _exactly(series, pl.Float32())


def _texts(series: pl.Series) -> pl.Series:
    """Names of categories, and bytes that are UTF-8, as which some writers have texts."""
    try:
        return series.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise NoFitError(f"bytes that are not UTF-8 ({error})") from error


def _only_of_a_calendar(series: pl.Series) -> None:
    """Refuse times that microseconds or Python's calendar cannot hold; those in nanoseconds all lie within."""
    unit: str = series.dtype.time_unit  # type: ignore[attr-defined]
    if unit not in _IN_A_SECOND:
        return
    first, last = (second * _IN_A_SECOND[unit] for second in _CALENDAR)
    moments = series.to_physical()
    far = ~moments.is_between(first, last, closed="left").fill_null(True)
    if count := int(far.sum()):
        example = f"{moments.filter(far)[0]} {unit} since 1970"
        raise NoFitError(f"{count:,} time(s) are outside of the years 2 to 9998, e.g. {example}")


def _lists(series: pl.Series, expected: pl.List | pl.Array) -> pl.Series | None:
    """Lists whose elements fit one by one; arrays also need as many as their width."""
    inner = expected.inner() if isinstance(expected.inner, type) else expected.inner
    if series.dtype.inner not in (inner, pl.Null):  # type: ignore[attr-defined]
        elements = series.explode()
        known = elements.drop_nulls()
        if cast(known if len(known) else elements.clear(), inner) is None:
            return None
    try:
        return series.cast(expected)
    except pl.exceptions.PolarsError as error:
        raise NoFitError(str(error)) from error


def _moments(series: pl.Series, time_zone: str | None) -> pl.Series | None:
    """Microseconds in UTC; what is below a microsecond is cut off."""
    _only_of_a_calendar(series)
    series = series.dt.cast_time_unit("us")
    if series.dtype.time_zone is not None:  # type: ignore[attr-defined]
        return series.dt.convert_time_zone("UTC")
    if time_zone is None:
        return None
    if (offset := utc_offset(time_zone)) is not None:
        return series.dt.replace_time_zone("UTC") - offset
    try:
        there = series.dt.replace_time_zone(time_zone, ambiguous="null", non_existent="null")
    except pl.exceptions.PolarsError as error:
        raise NoFitError(str(error)) from error
    _only(series, series.is_null() | there.is_not_null(), f"come twice or never in {time_zone}, where clocks change")
    return there.dt.convert_time_zone("UTC")
