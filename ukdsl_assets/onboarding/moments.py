"""Which columns are moments, and in what form: seconds or finer since 1970, ISO text, datetimes with a zone or none."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from ukdsl_assets.onboarding.columns import Column, col

Form = Literal["s", "ms", "us", "ns", "text", "text without zone", "datetime", "datetime without zone"]
# Of a second: how many units.
UNITS: dict[Form, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_TO_MICROSECONDS: dict[Form, str] = {"s": " * 1_000_000", "ms": " * 1_000", "us": "", "ns": " // 1_000"}
# Seconds since 1970 of 2000 and of 2100; a log spans no more days than this.
_FIRST, _LAST, _MOST_DAYS = 946_684_800, 4_102_444_800, 800
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}|$)"
_WITH_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_OF_TIME = ("ts", "time", "timestamp", "at", "date", "datetime", "when", "moment", "epoch", "created", "logged")


@dataclass(frozen=True)
class Moment:
    """A column of moments and their form; whole: whether a count of units has no fraction."""

    column: str
    form: Form
    whole: bool = False

    @property
    def has_zone(self) -> bool:
        """Whether the zone is known; epochs are in UTC."""
        return "without" not in self.form

    def expression(self) -> str:
        """Microseconds in UTC as a script has it; ZONE there is the zone of times without one."""
        value = col(self.column)
        if self.form in UNITS:
            # 32 bits would overflow; a fraction of a unit, as floats of seconds have, is kept.
            factor = _TO_MICROSECONDS[self.form]
            micros = f"{value}.cast(pl.Int64){factor}" if self.whole else f"({value}{factor}).cast(pl.Int64)"
            return f'pl.from_epoch({micros}, time_unit="us").dt.replace_time_zone("UTC")'
        if self.form == "text":
            return f'{value}.str.to_datetime(time_unit="us", time_zone="UTC")'
        if self.form == "datetime":
            return f'{value}.dt.cast_time_unit("us").dt.convert_time_zone("UTC")'
        moment = '.str.to_datetime(time_unit="us")' if self.form.startswith("text") else '.dt.cast_time_unit("us")'
        return f'{value}{moment}.dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")'

    def read(self, values: pl.Series, zone: str = "UTC") -> pl.Series:
        """The moments of the column's values, as the script's expression gives them; null for null."""
        if self.form in UNITS:
            values = values.cast(pl.Int64) if self.whole else values
            micros = values // 1_000 if self.form == "ns" else values * (10**6 // UNITS[self.form])
            return pl.from_epoch(micros.cast(pl.Int64), time_unit="us").dt.replace_time_zone("UTC")
        if self.form == "text":
            return values.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        read = values.str.to_datetime(time_unit="us", strict=False) if self.form.startswith("text") else values
        if self.has_zone:
            return read.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        local = read.dt.cast_time_unit("us").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        return local.dt.convert_time_zone("UTC")


def moment_of(column: Column) -> Moment | None:
    """The column as moments; None for any other column, such as ids that are as large but far apart."""
    form = _form(column)
    return None if form is None else Moment(column.name, form, column.dtype.is_integer())


def how_likely_the_time(column: Column, *of: str) -> int:
    """By its name, how likely a column of moments is the one of a row; of: words of what it may be of."""
    return 2 * column.has_word(*of) + column.has_word(*_OF_TIME) + column.full


def near_moments(columns: Iterable[Column]) -> str:
    """A sentence on columns that are called as times are and hold none, with values of theirs; empty without one."""
    seen = []
    for column in columns:
        known = column.values.drop_nulls()
        if column.has_word(*_OF_TIME) and len(known):
            examples = dict.fromkeys(repr(str(value)) for value in (known[0], known[-1]))
            seen.append(f"`{column.name}` with {' and '.join(examples)}")
    return f" Saw {', '.join(seen)}." if seen else ""


def _form(column: Column) -> Form | None:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        return "datetime" if dtype.time_zone else "datetime without zone"
    if dtype == pl.Date:
        return None
    if dtype.is_numeric() and column.low is not None and column.high is not None:
        for form, units in UNITS.items():
            if _FIRST * units <= column.low <= column.high <= _LAST * units:
                near = column.high - column.low <= _MOST_DAYS * 86_400 * units
                return form if near and "id" not in column.words else None
        return None
    if isinstance(dtype, pl.String):
        known = column.values.drop_nulls()
        if len(known) and known.str.contains(_ISO).all() and known.str.len_chars().max() > 10:  # type: ignore[operator]
            zones = known.str.contains(_WITH_ZONE)
            if zones.any() and not zones.all():
                return None
            return ("text" if zones.all() else "text without zone") if _readable(known, bool(zones.all())) else None
    return None


def _readable(texts: pl.Series, with_zone: bool) -> bool:
    """Whether a script reads all of them: ISO texts may end in a zone's name, or have a comma before the fraction."""
    try:
        read = pl.first().str.to_datetime(time_unit="us", time_zone="UTC" if with_zone else None)
        texts.to_frame().lazy().select(read).collect()
    except pl.exceptions.PolarsError:
        return False
    return True
