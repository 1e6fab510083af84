"""The evaluation and the release history as tables for people: Markdown in the UI, rich in the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from rich.markup import escape
from rich.table import Table

from ukdsl_assets.gates import GateResult

EVALUATION_HEADER = ("arm", "head", "domain", "reference", "rows", "calibration", "NE", "NE vs baseline")

LEGEND = (
    "IMP: shown rows, judged by head impression, which labels train. CD: all rows that the teacher scored, judged by "
    "the last head, which the teacher trains and which serves. No one output is calibrated on both: shown rows were "
    "chosen. NE: normalized entropy, smaller is better; the baseline is trained on labels alone with equal effort."
)


def evaluation_rows(evaluation: pl.DataFrame) -> list[tuple[str, ...]]:
    """The evaluation's figures as texts, in its order, without the baseline's change against itself."""
    rows: list[tuple[str, ...]] = []
    for row in evaluation.iter_rows(named=True):
        change = "" if row["arm"] == "baseline" else f"{row['ne_change']:+.2%}"
        figures = (f"{row['rows']:,}", f"{row['calibration']:.3f}", f"{row['ne']:.4f}", change)
        rows.append((row["arm"], row["head"], row["domain"], row["reference"], *figures))
    return rows


def evaluation_markdown(evaluation: pl.DataFrame, data: str) -> str:
    """The evaluation of one student and day as a Markdown table below a line that says which data it is of."""
    return f"{data}\n\n{_markdown(EVALUATION_HEADER, evaluation_rows(evaluation))}"


def evaluation_table(title: str, evaluation: pl.DataFrame) -> Table:
    """The evaluation of one student and day for the terminal."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for name in EVALUATION_HEADER:
        table.add_column(name, justify="right" if name in EVALUATION_HEADER[4:] else "left", no_wrap=True)
    for row in evaluation_rows(evaluation):
        table.add_row(*row, style="dim" if row[0] == "baseline" else "")
    return table


def history_markdown(history: Iterable[Mapping[str, Any]]) -> str:
    """The release history of `CheckpointStore.release_history`, newest first."""
    rows = [
        (each["entry"]["day"], each["outcome"], each["entry"]["checkpoint"], _why(each["entry"]), each["decided_at"])
        for each in reversed(list(history))
    ]
    return _markdown(("day", "decision", "checkpoint", "why", "decided at"), rows)


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def gate_table(title: str, results: Iterable[GateResult]) -> Table:
    """Verdicts of gates for the terminal."""
    table = Table("gate", "verdict", "what was seen", title=title, title_justify="left", title_style="bold")
    for result in results:
        verdict = "[green]passed[/]" if result.passed else f"[red]{result.severity}[/]"
        table.add_row(result.name, verdict, escape(result.message))
    return table


def decision_on(day: str, history: Iterable[Mapping[str, Any]]) -> str:
    """The newest decision on a day's checkpoint, in one line; the history is oldest first."""
    found = [each for each in history if each["entry"]["day"] == day]
    if not found:
        return f"Not released: {day} passed its gates, and a newer day is released"
    entry = found[-1]["entry"]
    return f"{found[-1]['outcome'].capitalize()}: checkpoint {entry['checkpoint']} of {day}, {_why(entry)}"


def headline(serving: str, evaluation: pl.DataFrame) -> str:
    """What distillation did to one student, in one line: considered rows by the serving head, impressions by theirs."""

    def row(arm: str, head: str, domain: str, reference: str) -> dict[str, Any]:
        return evaluation.filter(arm=arm, head=head, domain=domain, reference=reference).row(0, named=True)

    before, after = row("baseline", "impression", "CD", "teacher"), row("distilled", serving, "CD", "teacher")
    shown = row("distilled", "impression", "IMP", "label")
    return (
        f"Considered rows: calibration {before['calibration']:.3f} -> {after['calibration']:.3f} against the teacher, "
        f"NE {after['ne_change']:+.2%}. Impressions: NE {shown['ne_change']:+.2%} against labels."
    )


def _why(entry: Mapping[str, Any]) -> str:
    return "; ".join(entry.get("reasons", [])) or "all gates passed"
