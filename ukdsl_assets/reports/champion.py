"""Champion against challenger for people: a table in the UI, sentences in the terminal and the report."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.evaluation.champion_table import RELEASED

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


def champion_sentences(student: Student, table: pl.DataFrame) -> list[str]:
    """Same-day and next-day figures, a sentence each, and which of them decides; empty without rows.

    Args:
        table: a day's rows of champion_comparison.
    """
    sentences = []
    for when, of in (
        ("same_day", "this day's student on withheld requests"),
        ("next_day", "yesterday's on all of this day's requests, which it has not seen"),
    ):
        rows = table.filter(when=when)
        if not len(rows):
            continue
        figures = ", ".join(f"{row['domain']} {_change(row)}" for row in rows.iter_rows(named=True))
        decides = ", which decides" if student.release.decided_by == when else ""
        first = rows.row(0, named=True)
        name = WHEN[when].capitalize()
        sentences.append(f"{name}{decides}: {of}, NE against {_champion(first)}: {figures}.")
    return sentences


def _champion(row: Mapping[str, Any]) -> str:
    if row["champion_arm"] == RELEASED:
        return f"what was released, of {row['champion_day']}"
    return f"the baseline of {row['champion_day']}, since nothing is released"


def _change(row: Mapping[str, Any]) -> str:
    """-1.98% (-2.31 to -1.65)"""
    if not all(math.isfinite(row[name]) for name in ("ne_change", "low", "high")):
        return "not measured"
    return f"{100 * row['ne_change']:+.2f}% ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
