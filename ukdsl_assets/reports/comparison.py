"""A student's checkpoints over days: how each was calibrated and ordered by domain, and what was decided."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from rich.table import Table

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, SCORED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.table import completed
from ukdsl_assets.reports.contents import outcome_on, serving_rows
from ukdsl_assets.reports.printed import decided_on, in_words
from ukdsl_assets.settings import Settings

# (domain, reference) -> what a table of it is called; of all that was scored the first that there is.
VIEWS = {
    (IMP, "label"): "Shown rows, against labels",
    (CD, "teacher"): "Rows that the next stage scored, against the teacher",
    (SCORED, "teacher"): "All that its stage scored, against the teacher",
    (SCORED, "truth"): "All that its stage scored, against the truth",
}
ARMS = {"baseline": "baseline", "distilled": "distilled", "released": "released before"}
BARS, BARS_IN_ASCII = "▁▂▃▄▅▆▇█", "_.-=+*#@"


@dataclass(frozen=True)
class Comparison:
    """A student on some days.

    Attributes:
        evaluation: the table's rows of the days that have one, by day.
        decisions: day -> (outcome in words, checkpoint or empty, first reason or empty), of the same days.
        without: days that were asked for and have no evaluation.
    """

    cascade: Cascade
    student: Student
    evaluation: pl.DataFrame
    decisions: Mapping[date, tuple[str, str, str]]
    without: list[date]

    @property
    def days(self) -> list[date]:
        """The days that have an evaluation, in order."""
        return list(self.decisions)

    @property
    def views(self) -> list[tuple[str, str]]:
        """The domains and references to show: shown, considered and, where there is one, all that was scored."""
        there = set(self.evaluation.select("domain", "reference").unique().iter_rows())
        views = [view for view in VIEWS if view in there]
        scored = [view for view in views if view[0] == SCORED]
        return [view for view in views if view[0] != SCORED or view == scored[0]]

    def rows(self, arm: str, view: tuple[str, str]) -> pl.DataFrame:
        """The rows by which an arm is judged in a view, one a day that has one, in order."""
        return serving_rows(self.evaluation, arm, *view).sort("day")


def read_comparison(settings: Settings, cascade: Cascade, student: Student, days: Sequence[date]) -> Comparison:
    """Reads the student's evaluation table once, and its decisions.

    Raises:
        LakeError: none of the days has an evaluation.
    """
    lake, store = Lake(settings.tables, settings.shards), CheckpointStore(settings.checkpoints)
    key = (cascade.name, student.name)
    table = (*key, "evaluation")
    published = lake.partitions(table)
    there = [day for day in days if day in set(published)]
    if not there:
        newest = f"; days that have one: {published[0]} to {published[-1]}" if published else ""
        raise LakeError(
            f"{'/'.join(table)} has none of {days[0]}..{days[-1]} below {settings.lake}{newest}. Make one first: ukdsl "
            f"run {cascade.name} --days {days[0]}"
        )
    evaluation = completed(lake.scan(table, there).collect())
    history, released = store.release_history(key), store.released(key)
    decisions = {}
    for day in there:
        outcome, reasons = outcome_on(day, history, released)
        of_day = evaluation.filter(day=day, arm="distilled")["checkpoint"]
        taken = [record["entry"]["checkpoint"] for record in history if decided_on(record["entry"]) == str(day)]
        checkpoint = taken[-1] if taken else (of_day[0] or "")
        told = "a newer day is released" if outcome == "newer" else in_words(outcome)
        decisions[day] = (told, checkpoint, reasons[0] if reasons else "")
    return Comparison(cascade, student, evaluation, decisions, [day for day in days if day not in decisions])


def view_table(compared: Comparison, view: tuple[str, str]) -> Table:
    """Calibration of each arm, and its NE against the day's baseline, one line a day; 80 characters wide."""
    rows = {arm: {row["day"]: row for row in compared.rows(arm, view).iter_rows(named=True)} for arm in ARMS}
    counts = sorted(row["rows"] for row in rows["distilled"].values())
    of_rows = f"{counts[0]:,}" + (f" to {counts[-1]:,}" if counts[-1] != counts[0] else "") if counts else "no"
    table = Table(
        title=f"{VIEWS[view]} ({view[0]}; {of_rows} withheld rows a day)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("day", no_wrap=True)
    for name in ("baseline", "distilled", "released", "NE distilled", "NE released"):
        table.add_column(name, justify="right", overflow="fold")
    for day in compared.days:
        of_day = {arm: rows[arm].get(day) for arm in ARMS}
        levels = [_with_error(of_day[arm], "calibration") for arm in ARMS]
        changes = [_with_error(of_day[arm], "ne_change") for arm in ("distilled", "released")]
        table.add_row(_short_day(day, compared.days), *levels, *changes)
    return table


def decision_table(compared: Comparison) -> Table:
    """What was decided each day, about which checkpoint, and the first reason."""
    table = Table(title="Decisions", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("day", "checkpoint", "decision"):
        table.add_column(name, no_wrap=True)
    table.add_column("first reason", overflow="fold")
    for day, (outcome, checkpoint, reason) in compared.decisions.items():
        table.add_row(_short_day(day, compared.days), checkpoint, outcome, reason)
    return table


def spark_lines(compared: Comparison, view: tuple[str, str], ascii_only: bool = False) -> list[str]:
    """Calibration over the days as a line of bars for each arm, all on one scale, with its least and largest."""
    levels: dict[str, list[float]] = {}
    for arm in ARMS:
        rows = compared.rows(arm, view).select("day", pl.col("calibration").fill_null(math.nan))
        by_day: dict[date, float] = dict(rows.iter_rows())
        levels[arm] = [by_day.get(day, math.nan) for day in compared.days]
    known = [value for values in levels.values() for value in values if math.isfinite(value)]
    lines = []
    for arm, values in levels.items():
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            bars = spark(values, min(known), max(known), BARS_IN_ASCII if ascii_only else BARS)
            lines.append(f"{ARMS[arm]:<15}  {bars}  calibration {min(finite):.3f} to {max(finite):.3f}")
    return lines


def spark(values: Sequence[float], low: float, high: float, bars: str = BARS) -> str:
    """One character a value, the lowest bar for `low` and the highest for `high`; a blank for what is not finite."""
    steps = len(bars) - 1
    return "".join(
        bars[round(steps * (value - low) / (high - low)) if high > low else steps // 2] if math.isfinite(value) else " "
        for value in values
    )


def _with_error(row: Mapping[str, Any] | None, name: str) -> str:
    """`1.004 +- .012`, a change in percent; `-` for what there is not."""
    if row is None or row[name] is None or not math.isfinite(row[name]):
        return "-"
    error = row[f"{name}_error"]
    scale, digits, unit, sign = (100, 2, "%", "+") if name == "ne_change" else (1, 3, "", "")
    told = f"{scale * row[name]:{sign}.{digits}f}"
    if error is not None and math.isfinite(error):
        told += f" +- {f'{scale * error:.{digits}f}'.removeprefix('0')}"
    return f"{told}{unit}"


def _short_day(day: date, days: Sequence[date]) -> str:
    """The month and day alone where all days are of one year, which is told above."""
    return f"{day:%m-%d}" if days[0].year == days[-1].year else str(day)
