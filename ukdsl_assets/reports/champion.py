"""Champion against challenger for people: a table in the UI, sentences in the terminal and the report."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.evaluation.champion import Paired
from ukdsl_assets.learning.evaluation.champion_table import RELEASED, pooled
from ukdsl_assets.learning.metrics.interval import interval

WHEN = {"same_day": "same day", "next_day": "next day"}


def champion_markdown(table: pl.DataFrame) -> str:
    """A day's rows of champion_comparison as a Markdown table."""
    header = ("compared on", "challenger", "champion", "domain", "against", "requests", "rows", "NE vs champion")
    rows = [
        (
            WHEN[row["when"]],
            str(row["challenger_day"]),
            _champion(row),
            row["domain"],
            row["reference"],
            f"{row['requests']:,}",
            f"{row['rows']:,}",
            _change(row),
        )
        for row in table.iter_rows(named=True)
    ]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def champion_trends(table: pl.DataFrame) -> dict[str, float]:
    """NE against what serves, by when it was compared and domain: a number a day that is worth a plot; finite ones."""
    figures = {
        f"{row['when']}_{row['domain'].lower()}_ne_change": row["ne_change"] for row in table.iter_rows(named=True)
    }
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def champion_sentences(student: Student, table: pl.DataFrame, day: date) -> list[str]:
    """Same-day and next-day figures, a sentence each, which of them decides and over how many days; empty without rows.

    Args:
        table: champion_comparison of the trailing days, with their column day; day: whose figures are told.
    """
    sentences = []
    for when, of in (
        ("same_day", "this day's student on withheld requests"),
        ("next_day", "the student of {} on all of this day's requests, which it has not seen"),
    ):
        rows = table.filter(when=when, day=day)
        if not len(rows):
            continue
        decided = pooled(table, when, day) if student.release.decided_by == when else {}
        told = [row for row in rows.iter_rows(named=True) if not decided or row["domain"] in decided]
        figures = ", ".join(f"{row['domain']} {_change(row)}" for row in told)
        first, decides = told[0], ", which decides" if decided else ""
        who = of.format(first["challenger_day"])
        sentences.append(f"{WHEN[when].capitalize()}{decides}: {who}, NE against {_champion(first)}: {figures}.")
        sentences += [
            f"Decided over {days} days: "
            + ", ".join(f"{domain} {_pooled(row.sums)}" for domain, row in decided.items() if row.days == days)
            + "."
            for days in sorted({row.days for row in decided.values()} - {1}, reverse=True)
        ]
    return sentences


def _champion(row: Mapping[str, Any]) -> str:
    if row["champion_arm"] == RELEASED:
        return f"what was released, of {row['champion_day']}"
    return f"the baseline of {row['champion_day']}, since nothing is released"


def _change(row: Mapping[str, Any]) -> str:
    return _percent(row["ne_change"], row["low"], row["high"])


def _pooled(sums: Paired) -> str:
    return _percent(sums.change, *interval(sums.change, sums.error))


def _percent(change: float, low: float, high: float) -> str:
    """-1.98% (-2.31 to -1.65)"""
    if not all(map(math.isfinite, (change, low, high))):
        return "not measured"
    return f"{100 * change:+.2f}% ({100 * low:+.2f} to {100 * high:+.2f})"
