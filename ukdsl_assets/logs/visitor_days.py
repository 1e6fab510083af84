"""Logs of pages, summed by visitor and day: what an experiment is read from, or planned with.

Three kinds of files are one here: a row a page, a row a candidate with the page that it belongs to, and the candidate
log of the contract with its event log beside it. Files are scanned, so that a log may be larger than memory; what comes
out has a row a visitor, arm and day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.errors import ExperimentError, did_you_mean, in_own_words
from ukdsl_assets.frames.files import PARQUET_ENDINGS, files_of_rows

CSV_ENDINGS = (".csv", ".csv.gz")
# Columns that a log of the contract has, taken where the caller names no other.
PAGE, TIME, CANDIDATE, EVENT = "request_id", "requested_at", "candidate_id", "event"
_NUMBERED = ("visitor", "arm", "day", "pages")
# While sums are made: rows of no page, which would all count as one.
_WITHOUT_PAGE = "_without_page"


@dataclass(frozen=True)
class PageColumns:
    """Which columns say what.

    Attributes:
        visitor: whom the arms are drawn for. metrics: numbers or booleans that are summed; with an event log the names
            of events, each counted once a candidate.
        arm: None where the arm is not in the log. page: where rows are candidates, the page that each belongs to; None
            for `request_id` where there is such a column, else each row is a page.
        day: a date or a moment (its UTC day); None for `requested_at` where there is such a column, else no days.
    """

    visitor: str
    metrics: tuple[str, ...]
    arm: str | None = None
    page: str | None = None
    day: str | None = None
    _taken: tuple[str, ...] = field(default=_NUMBERED, repr=False)

    def __post_init__(self) -> None:
        wrong = sorted({name for name in self.metrics if name in self._taken})
        if not self.metrics or len(set(self.metrics)) < len(self.metrics) or wrong:
            raise ExperimentError(
                f"--metric: saw {', '.join(self.metrics) or 'none'}; expected at least one column or event, each once, "
                f"and none called {', '.join(self._taken)}"
            )


def visitor_days(source: Path, columns: PageColumns, events: Path | None = None, option: str = "--log") -> pl.DataFrame:
    """Sums of a log of pages.

    Args:
        source: a Parquet or CSV file, or a folder of Parquet files (days of the candidate log, for one).
        events: the event log of these pages; events of other pages are not counted.
        option: how the caller names the source, for messages.

    Returns:
        visitor (String), arm (String) and day (Date) where they are asked for, pages (Int64, different pages) and a
        Float64 column a metric (a null counts as nothing), sorted; a row for each that the log has.

    Raises:
        ExperimentError: no such file, a column that is not there or of another type, a row without visitor, arm or day,
            a metric that is not finite, or no row at all.
    """
    ids = [columns.visitor, columns.arm or "", columns.page or PAGE]
    rows = _scan(source, option, ids)
    schema = _schema(rows, source, option)
    page = columns.page or (PAGE if PAGE in schema else None)
    day = columns.day or (TIME if TIME in schema else None)
    if events is not None and page is None:
        raise ExperimentError(
            f"{option} {source}: no column `{PAGE}`, by which events belong to pages; name it (--page)"
        )
    named = [
        columns.visitor,
        *([columns.arm] if columns.arm else []),
        *([page] if page else []),
        *([day] if day else []),
    ]
    for name in named + (list(columns.metrics) if events is None else []):
        if name not in schema:
            raise ExperimentError(
                f"{option} {source}: no column `{name}`{did_you_mean(name, schema.names())}; it has "
                f"{', '.join(schema.names()[:12])}"
            )
    _refuse_numbers(schema, columns.visitor, source, option)
    keys = {"visitor": pl.col(columns.visitor).cast(pl.String).replace("", None)}
    if columns.arm:
        keys["arm"] = pl.col(columns.arm).cast(pl.String)
    if day:
        keys["day"] = _day(day, schema[day], source, option)
    counts = [(pl.col(page).n_unique() if page else pl.len()).cast(pl.Int64).alias("pages")]
    counts += [pl.col(page).null_count().alias(_WITHOUT_PAGE)] if page else []
    if events is None:
        _refuse_other_types(schema, columns.metrics, source, option)
        sums = [pl.col(name).cast(pl.Float64).sum() for name in columns.metrics]
        summed = rows.group_by([key.alias(name) for name, key in keys.items()]).agg(*counts, *sums)
    else:
        assert page is not None
        summed = _with_events(rows, keys, page, events, columns.metrics)
    return _checked(_collected(summed, source, option), list(keys), columns, source, option)


def distinct_visitors(source: Path, column: str, option: str = "--input") -> pl.Series:
    """The visitors of a file, each once, sorted; String, named as the column.

    Raises:
        ExperimentError: no such file or column.
    """
    rows = _scan(source, option, [column])
    schema = _schema(rows, source, option)
    if column not in schema:
        raise ExperimentError(
            f"{option} {source}: no column `{column}`{did_you_mean(column, schema.names())}; name it (--column)"
        )
    _refuse_numbers(schema, column, source, option)
    return _collected(rows.select(pl.col(column).cast(pl.String).unique()), source, option)[column].sort()


def _with_events(
    rows: pl.LazyFrame, keys: dict[str, pl.Expr], page: str, events: Path, metrics: Sequence[str]
) -> pl.LazyFrame:
    logged = _scan(events, "--events", [PAGE, CANDIDATE])
    schema = _schema(logged, events, "--events")
    if missing := [name for name in (PAGE, EVENT) if name not in schema]:
        raise ExperimentError(
            f"--events {events}: no column {', '.join(missing)}; expected an event log, with {PAGE}, "
            f"{CANDIDATE} and {EVENT}"
        )
    kept = [name for name in (PAGE, CANDIDATE, EVENT) if name in schema]
    once = logged.filter(pl.col(EVENT).is_in(list(metrics))).select(kept).unique()
    of_page = once.group_by(pl.col(PAGE).cast(pl.String).alias("_page")).agg(
        (pl.col(EVENT) == name).sum().cast(pl.Float64).alias(name) for name in metrics
    )
    # One row a page, whatever the number of its candidates.
    pages = rows.select(**keys, _page=pl.col(page).cast(pl.String)).unique()
    joined = pages.join(of_page, on="_page", how="left")
    return joined.group_by(list(keys)).agg(
        pl.col("_page").n_unique().cast(pl.Int64).alias("pages"),
        pl.col("_page").null_count().alias(_WITHOUT_PAGE),
        *(pl.col(name).sum() for name in metrics),
    )


def _scan(source: Path, option: str, ids: Sequence[str]) -> pl.LazyFrame:
    """ids: columns that are texts as they stand in a CSV file: 007 is not 7, which would be in another arm."""
    if source.is_dir():
        found = files_of_rows(LocalFileSystem(), str(source.absolute()))
        if found.refused:
            raise ExperimentError(f"{option}: {source}: {found.refusal}")
        if not found.read:
            raise ExperimentError(f"{option}: {source} has no Parquet file; name a folder that has, or a file")
        return pl.scan_parquet(found.read, hive_partitioning=False, glob=False)
    if not source.is_file():
        raise ExperimentError(
            f"{option}: {source} is not there; name a Parquet or CSV file, or a folder of Parquet files"
        )
    name = source.name.lower()
    if name.endswith(CSV_ENDINGS):
        texts = dict.fromkeys(ids, pl.String())
        return pl.scan_csv(source, schema_overrides=texts, try_parse_dates=True, infer_schema_length=None, glob=False)
    if name.endswith(PARQUET_ENDINGS):
        return pl.scan_parquet(source, hive_partitioning=False, glob=False)
    raise ExperimentError(
        f"{option}: {source}: expected a name that ends in {', '.join((*PARQUET_ENDINGS, *CSV_ENDINGS))}"
    )


def _schema(rows: pl.LazyFrame, source: Path, option: str) -> pl.Schema:
    try:
        return rows.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, source, option) from error


def _collected(rows: pl.LazyFrame, source: Path, option: str) -> pl.DataFrame:
    try:
        return rows.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, source, option) from error


def _unreadable(error: Exception, source: Path, option: str) -> ExperimentError:
    words = in_own_words(error).partition("\n")[0]
    return ExperimentError(f"{option} {source}: cannot be read: {words}; expected whole Parquet files, or CSV in UTF-8")


def _day(name: str, dtype: pl.DataType, source: Path, option: str) -> pl.Expr:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.col(name).dt.convert_time_zone("UTC").dt.date()
    if isinstance(dtype, pl.Date | pl.Datetime):
        return pl.col(name).cast(pl.Date)
    raise ExperimentError(
        f"{option} {source}: column `{name}` is {dtype}, expected dates such as 2026-01-31, or moments; cast it"
    )


def _refuse_numbers(schema: pl.Schema, visitor: str, source: Path, option: str) -> None:
    if not (schema[visitor].is_integer() or schema[visitor] == pl.String):
        raise ExperimentError(
            f"{option} {source}: column `{visitor}` is {schema[visitor]}, expected whole numbers or texts, as arms "
            "are drawn by: 7.0 would be another visitor than 7; cast it"
        )


def _refuse_other_types(schema: pl.Schema, metrics: Sequence[str], source: Path, option: str) -> None:
    for name in metrics:
        if not (schema[name].is_numeric() or schema[name] == pl.Boolean):
            raise ExperimentError(
                f"{option} {source}: column `{name}` is {schema[name]}, expected numbers or booleans, to be summed; "
                "with an event log (--events) a metric is the name of an event"
            )


def _checked(
    summed: pl.DataFrame, keys: Sequence[str], columns: PageColumns, source: Path, option: str
) -> pl.DataFrame:
    if not len(summed):
        raise ExperimentError(f"{option} {source}: no row; expected pages")
    if _WITHOUT_PAGE in summed.columns:
        if without := int(summed[_WITHOUT_PAGE].sum()):
            raise ExperimentError(
                f"{option} {source}: {without:,} row(s) without a page in column `{columns.page or PAGE}`; leave them "
                "out of the log, in both arms alike, or name the page's column (--page)"
            )
        summed = summed.drop(_WITHOUT_PAGE)
    names = {"visitor": columns.visitor, "arm": columns.arm, "day": columns.day or TIME}
    for key in keys:
        if missing := int(summed.filter(pl.col(key).is_null())["pages"].sum()):
            raise ExperimentError(
                f"{option} {source}: {missing:,} of {summed['pages'].sum():,} pages have no {key} in column "
                f"`{names[key]}`; leave them out of the log, in both arms alike"
            )
    for name in columns.metrics:
        if not summed[name].is_finite().all():
            raise ExperimentError(
                f"{option} {source}: column `{name}` has values that are no finite numbers; mend them"
            )
    if not summed.select(pl.sum_horizontal(pl.col(list(columns.metrics)).abs().sum())).item():
        raise ExperimentError(
            f"{option} {source}: no outcome at all in {', '.join(columns.metrics)}; expected some: name "
            "the columns or events as the log does"
        )
    return summed.sort(keys)
