"""A corpus of bad logs: each is a sound day with one fault, and the words that its refusal must hold.

The words are a column, file or place, and the rule or the fix; a sound day is accepted.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, declare, write
from ukdsl_assets.errors import UkdslError
from ukdsl_assets.logs.gates.day import read_and_judge
from ukdsl_assets.logs.sources.parquet import ParquetReader

Spoil = Callable[[Path], None]
CANDIDATES, EVENTS = "candidate_log", "event_log"
FIRST, SECOND = pl.int_range(pl.len()) == 0, pl.int_range(pl.len()) == 1
RANKED = pl.col("deepest_stage") == "ranking"
COLUMNS = {
    CANDIDATES: (
        *("request_id", "candidate_id", "requested_at", "deepest_stage", "shown", "explored", "propensity", "bid"),
        *("pre_ranking_click_prediction", "ranking_click_prediction"),
        *("country", "item", "price", "image", "tags", "interests"),
    ),
    EVENTS: ("request_id", "candidate_id", "event", "occurred_at", "value"),
}
NEVER_NULL = {
    CANDIDATES: tuple(name for name in COLUMNS[CANDIDATES] if name not in ("propensity", "ranking_click_prediction")),
    EVENTS: ("request_id", "candidate_id", "event", "occurred_at"),
}


@dataclass(frozen=True)
class BadLog:
    """A fault of a day's files: its name, what plants it into the folder of logs, and words of its refusal."""

    name: str
    spoil: Spoil
    words: tuple[str, ...]


def refusal(folder: Path, spoil: Spoil) -> str:
    """Why a day that was spoilt is refused: failed gates and errors in their own words; empty where it is accepted."""
    cascade = declare(folder)
    write(folder, DAY, make_logs(cascade, DAY, requests=60))
    spoil(folder)
    try:
        judged = read_and_judge(ParquetReader(cascade), cascade, DAY, [])
    except UkdslError as error:
        return str(error)
    return "\n".join(f"{result.name}: {result.message}" for result in judged.results if not result.passed)


def part(folder: Path, log: str) -> Path:
    return folder / log / f"day={DAY}" / "part-0.parquet"


def rows(log: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Spoil:
    """Read the log's file, change its rows, and write it anew."""

    def spoil(folder: Path) -> None:
        frame = pl.read_parquet(part(folder, log))
        change(frame).write_parquet(part(folder, log))

    return spoil


def value(log: str, column: str, planted: Any, where: pl.Expr = FIRST) -> Spoil:
    """Plant a value into the rows of a condition."""
    return rows(
        log,
        lambda frame: frame.with_columns(
            pl.when(where).then(pl.lit(planted, dtype=frame.schema[column])).otherwise(column).alias(column)
        ),
    )


def column(log: str, name: str, expression: pl.Expr) -> Spoil:
    """Put another column in the place of one."""
    return rows(log, lambda frame: frame.with_columns(expression.alias(name)))


def file(log: str, change: Callable[[Path], object]) -> Spoil:
    """Do something to the log's file, or beside it."""

    def spoil(folder: Path) -> None:
        change(part(folder, log))

    return spoil


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _half_elsewhere(name: str) -> Callable[[Path], None]:
    """Half of the rows in a file of another name below the day's folder."""

    def move(path: Path) -> None:
        frame = pl.read_parquet(path)
        frame[: len(frame) // 2].write_parquet(path)
        other = path.parent / name
        other.parent.mkdir(exist_ok=True)
        frame[len(frame) // 2 :].write_parquet(other)

    return move


def _second_file(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    return lambda path: change(pl.read_parquet(path)).write_parquet(path.with_name("part-1.parquet"))


def _moment(hours: float) -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(hours=hours)


def corpus() -> list[BadLog]:
    """Every bad log, in the order of: columns, types, values, keys, events, files."""
    return [*_absent(), *_types(), *_nulls(), *_values(), *_events(), *_files()]


def _absent() -> list[BadLog]:
    return [
        BadLog(f"{log} without {name}", rows(log, lambda frame, n=name: frame.drop(n)), (f"`{name}`", "missing"))  # type: ignore[misc]
        for log, names in COLUMNS.items()
        for name in names
    ]


def _types() -> list[BadLog]:
    text = {"price": "cheap", "bid": "1,20", "pre_ranking_click_prediction": "high", "requested_at": "yesterday"}
    wrong = {
        "words in {name}": ((name, pl.lit(words)) for name, words in text.items()),
        "a list in {name}": ((name, pl.lit([1.0])) for name in ("price", "item", "country", "shown")),
        "a number for the list {name}": ((name, pl.lit(1)) for name in ("image", "tags", "interests")),
        "a fraction for the id {name}": [("item", pl.lit(1.5))],
        "an id of {name} beyond 64 bits": [("item", pl.lit(2**63, dtype=pl.UInt64))],
        "twos for the truth value {name}": ((name, pl.lit(2)) for name in ("shown", "explored")),
        "days for the moment {name}": [("requested_at", pl.lit(DAY))],
        "a vector {name} of another width": [("image", pl.lit([1.0, 2.0], dtype=pl.Array(pl.Float32, 2)))],
        "times without a zone in {name}": [("requested_at", pl.col("requested_at").dt.replace_time_zone(None))],
    }
    return [
        BadLog(fault.format(name=name), column(CANDIDATES, name, expression), (f"`{name}`",))
        for fault, planted in wrong.items()
        for name, expression in planted
    ]


def _nulls() -> list[BadLog]:
    return [
        BadLog(f"a null in {name} of {log}", value(log, name, None), (f"`{name}`", "1 of"))
        for log, names in NEVER_NULL.items()
        for name in names
    ]


def _values() -> list[BadLog]:
    log = CANDIDATES
    planted: list[tuple[str, Any, pl.Expr, tuple[str, ...]]] = [
        ("bid", -1.0, FIRST, ("0 or more",)),
        ("bid", float("inf"), FIRST, ("finite",)),
        ("bid", float("nan"), FIRST, ("finite",)),
        ("price", float("nan"), FIRST, ("finite", "1 of 720 rows")),
        ("price", float("-inf"), FIRST, ("finite",)),
        ("image", [0.0, 1.0, float("nan")], FIRST, ("finite",)),
        ("tags", ["a"] * 6, FIRST, ("at most 5",)),
        ("tags", ["a", None], FIRST, ("no null",)),
        ("pre_ranking_click_prediction", 1.5, FIRST, ("[0, 1]",)),
        ("pre_ranking_click_prediction", -0.1, FIRST, ("[0, 1]",)),
        ("pre_ranking_click_prediction", float("nan"), FIRST, ("[0, 1]",)),
        ("ranking_click_prediction", 2.0, RANKED, ("[0, 1]",)),
        ("ranking_click_prediction", None, RANKED, ("ranking",)),
        ("ranking_click_prediction", 0.5, ~RANKED, ("ranking",)),
        ("deepest_stage", "oracle", FIRST, ("pre_ranking, ranking",)),
        ("explored", True, ~pl.col("shown"), ("shown",)),
        ("propensity", 0.0, FIRST, ("(0, 1]",)),
        ("propensity", 2.0, FIRST, ("(0, 1]",)),
        ("propensity", float("nan"), FIRST, ("(0, 1]",)),
        ("requested_at", _moment(25), FIRST, (str(DAY),)),
        ("requested_at", _moment(-1), FIRST, (str(DAY),)),
        ("requested_at", datetime(1970, 1, 1, tzinfo=UTC), FIRST, (str(DAY),)),
    ]
    faults = [
        BadLog(f"{name} = {each}", value(log, name, each, at), (f"`{name}`", *words))
        for name, each, at, words in planted
    ]
    doubled = BadLog(
        "a row that stands twice", rows(log, lambda frame: frame.vstack(frame[:1])), ("keys_unique", "1 row")
    )
    everything = BadLog("every row twice", rows(log, lambda frame: frame.vstack(frame)), ("keys_unique", "720"))
    late = rows(log, lambda frame: frame.filter(~RANKED))
    unranked = BadLog("no row of the last stage", late, ("late_stage_present", "ranking"))
    empty = BadLog("no row at all", rows(log, lambda frame: frame.clear()), ("0 rows",))
    return [*faults, doubled, everything, unranked, empty]


def _events() -> list[BadLog]:
    return [
        BadLog("an event of nobody", value(EVENTS, "candidate_id", "nobody"), ("events_have_candidates", "nobody")),
        BadLog("an event of another request", value(EVENTS, "request_id", "r-0"), ("events_have_candidates", "r-0")),
        BadLog("an event before its request", value(EVENTS, "occurred_at", _moment(-30)), ("`occurred_at`", "request")),
        BadLog("a value that is no number", value(EVENTS, "value", float("nan")), ("`value`", "finite")),
        BadLog("an endless value", value(EVENTS, "value", float("inf")), ("`value`", "finite")),
        BadLog("words in value", column(EVENTS, "value", pl.lit("much")), ("`value`",)),
        BadLog("numbers for events", column(EVENTS, "event", pl.lit(7)), ("`event`",)),
    ]


def _files() -> list[BadLog]:
    nameless = ("part-1.snappy", "part-1.csv", "part-1.parquet.tmp", "part-1", "part-1.parquet.gz")
    second = "part-1.parquet"
    without, worded = (lambda frame: frame.drop("price")), (lambda frame: frame.with_columns(price=pl.lit("a")))
    done: list[tuple[str, Callable[[Path], object], tuple[str, ...]]] = [
        *((f"half of the day in {name}", _half_elsewhere(name), (name,)) for name in nameless),
        ("an empty file", lambda path: path.write_bytes(b""), ("part-0.parquet",)),
        ("a file that is cut off", _cut, ("part-0.parquet",)),
        ("text by the name of Parquet", lambda path: path.write_text("a,b\n1,2\n"), ("part-0.parquet",)),
        ("a second file that lacks a column", _second_file(without), (second, "price")),
        ("a second file of other types", _second_file(worded), (second, "price")),
        ("a copy of the file", _second_file(lambda frame: frame), ("keys_unique", "720")),
        ("a link to nothing", lambda path: path.with_name(second).symlink_to("nowhere"), (second,)),
        ("a pipe", lambda path: os.mkfifo(path.with_name(second)), (second,)),
        ("a day without its file", Path.unlink, (str(DAY),)),
        ("only a file that is being written", lambda path: path.rename(path.with_name("_part")), (str(DAY),)),
        (
            "a day that is written 2026-3-1",
            lambda path: path.parent.rename(path.parents[1] / "day=2026-3-1"),
            ("2026-3-1",),
        ),
    ]
    half_of_the_clicks = [
        BadLog(f"half of the clicks in {name}", file(EVENTS, _half_elsewhere(name)), (name,)) for name in nameless[:2]
    ]
    return [*(BadLog(name, file(CANDIDATES, change), words) for name, change, words in done), *half_of_the_clicks]
