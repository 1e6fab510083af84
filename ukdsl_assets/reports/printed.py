"""The evaluation and the release history as tables for people: Markdown in the UI, rich in the terminal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import polars as pl
from rich.markup import escape
from rich.table import Table

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.errors import redacted
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.table import figure

UNDEFINED = "not measured"
EVALUATION_HEADER = ("arm", "head", "domain", "against", "rows", "calibration", "NE", "NE vs baseline", "AUC")
# On a narrow terminal; what distillation changed is what stays.
LEFT_OUT_FIRST = ("NE", "AUC", "rows")

LEGEND = (
    "IMP: shown rows, judged by head impression, which labels train. CD: all rows that the teacher scored, judged by "
    "the last head, which serves; where there are two, the teacher trains it. No one output is calibrated on "
    "both: shown rows were chosen. NE: normalized entropy, smaller is better; the baseline is trained on labels alone "
    "with equal effort. +-: standard error, by bootstrap over requests. Released: the student released before the day, "
    "which has not seen any of it."
)


def withheld_requests(cascade: Cascade, day: date) -> str:
    """Which requests a day's evaluation is of."""
    if cascade.evaluation_days == 1:
        return f"withheld requests of {day}"
    return f"withheld requests of the {cascade.evaluation_days} days up to {day}"


def evaluation_rows(evaluation: pl.DataFrame) -> list[tuple[str, ...]]:
    """The evaluation's figures as texts, in its order, without the baseline's change against itself."""
    rows: list[tuple[str, ...]] = []
    for row in evaluation.iter_rows(named=True):
        change = "" if row["arm"] == "baseline" else _change(row)
        figures = (
            f"{row['rows']:,}",
            _with_error(row["calibration"], row["calibration_error"]),
            f"{row['ne']:.4f}",
            change,
            _with_error(row["auc"], row["auc_error"]),
        )
        rows.append((row["arm"], row["head"], row["domain"], row["reference"], *figures))
    return rows


def evaluation_markdown(evaluation: pl.DataFrame, data: str) -> str:
    """The evaluation of one student and day as a Markdown table below a line that says which data it is of."""
    return f"{data}\n\n{_markdown(EVALUATION_HEADER, evaluation_rows(evaluation))}"


def evaluation_table(title: str, evaluation: pl.DataFrame, width: int | None = None) -> Table:
    """The evaluation of one student and day for the terminal.

    Args:
        width: characters of a line. Of what does not fit, whole columns are left out and named below the table, so that
            80 characters do; on fewer, words and figures are broken, never cut off. None for all columns.
    """
    rows, kept = evaluation_rows(evaluation), list(range(len(EVALUATION_HEADER)))
    left_out: list[str] = []
    for name in LEFT_OUT_FIRST:
        if width is not None and _least_width(rows, kept) > width:
            kept.remove(EVALUATION_HEADER.index(name))
            left_out.append(name)
    whole = width is None or _least_width(rows, kept) <= width
    caption = f"Not shown on {width} characters: {', '.join(left_out)}; the report has all." if left_out else None
    table = Table(
        title=escape(title), title_justify="left", title_style="bold", caption=caption, caption_justify="left"
    )
    if width is not None:
        table.show_edge = table.pad_edge = not left_out
    for place in kept:
        name = EVALUATION_HEADER[place]
        justify: Literal["left", "right"] = "right" if name in EVALUATION_HEADER[4:] else "left"
        table.add_column(name, justify=justify, no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(row[place] for place in kept), style="dim" if row[0] == "baseline" else "")
    return table


def _least_width(rows: Sequence[tuple[str, ...]], columns: Sequence[int]) -> int:
    """Characters that a table of these columns takes, with what stands between and, if it has all, around them."""
    widths = sum(max(len(row[column]) for row in [EVALUATION_HEADER, *rows]) for column in columns)
    return widths + 3 * (len(columns) - 1) + (4 if len(columns) == len(EVALUATION_HEADER) else 0)


def history_markdown(history: Iterable[Mapping[str, Any]]) -> str:
    """The release history of `CheckpointStore.release_history`, newest first."""
    rows = [
        (
            decision["entry"]["day"],
            decision["outcome"],
            decision["entry"]["checkpoint"],
            _why(decision["entry"]),
            decision["decided_at"],
        )
        for decision in reversed(list(history))
    ]
    return _markdown(("day", "decision", "checkpoint", "why", "decided at"), rows)


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def gate_table(title: str, results: Iterable[GateResult]) -> Table:
    """Verdicts of gates for the terminal."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    # Names of gates and files are whole, however long.
    for name in ("gate", "verdict", "what was seen"):
        table.add_column(name, overflow="fold")
    for result in results:
        verdict = "[green]passed[/]" if result.passed else f"[red]{result.severity}[/]"
        table.add_row(result.name, verdict, escape(result.message))
    return table


def stale_table(title: str, found: Iterable[tuple[date, tuple[str, ...], str]]) -> Table:
    """Stale partitions for the terminal: day, table and why; each day is named once."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for name in ("day", "table", "why"):
        table.add_column(name, overflow="fold")
    before = None
    for day, key, why in found:
        table.add_row("" if day == before else str(day), escape("/".join(key[1:])), escape(redacted(why)))
        before = day
    return table


def decision_on(day: str, history: Iterable[Mapping[str, Any]]) -> str:
    """The newest decision on a day's checkpoint, in one line; the history is oldest first."""
    decisions = [decision for decision in history if decision["entry"]["day"] == day]
    if not decisions:
        return f"Not released: {day} passed its gates, and a newer day is released"
    entry = decisions[-1]["entry"]
    return f"{decisions[-1]['outcome'].capitalize()}: checkpoint {entry['checkpoint']} of {day}, {_why(entry)}"


def headline(serving: str, evaluation: pl.DataFrame) -> str:
    """What distillation did to one student, in one line: considered rows by the serving head, impressions by theirs.

    Further lines are the same against the truth where it is known, and the progressive validation, where a student had
    been released before the day.
    """

    def row(arm: str, head: str, domain: str, reference: str) -> dict[str, Any]:
        return evaluation.filter(arm=arm, head=head, domain=domain, reference=reference).row(0, named=True)

    before, after = row("baseline", "impression", CD, "teacher"), row("distilled", serving, CD, "teacher")
    shown = row("distilled", "impression", IMP, "label")
    lines = [
        f"Considered rows: calibration {before['calibration']:.3f} -> {after['calibration']:.3f} against the teacher, "
        f"NE {_change(after)}. Impressions: NE {_change(shown)} against labels."
    ]
    if len(evaluation.filter(arm="baseline", domain=CD, reference="truth")):
        was, now = row("baseline", "impression", CD, "truth"), row("distilled", serving, CD, "truth")
        lines.append(
            f"Against the true probabilities, considered rows: calibration {was['calibration']:.3f} -> "
            f"{now['calibration']:.3f}, NE {_change(now)}."
        )
    heads = evaluation.filter(arm="released")["head"].unique()
    if len(heads):
        # It may have been released before the student got its present heads.
        considered = row("released", serving if serving in heads else "impression", CD, "teacher")
        shown = row("released", "impression", IMP, "label")
        lines.append(
            "Progressive validation, the student released before this day: considered rows: calibration "
            f"{_with_error(considered['calibration'], considered['calibration_error'])}, NE {_change(considered)}. "
            f"Impressions: calibration {_with_error(shown['calibration'], shown['calibration_error'])}, "
            f"NE {_change(shown)}."
        )
    return "\n".join(lines)


def teacher_markdown(figures: pl.DataFrame, data: str) -> str:
    """The table of `evaluate_teacher`, with a column `labels` before it, below a line that says which data it is of."""
    header = ("labels", "task", "rows", "positives", "calibration", "NE", "AUC")
    rows = [
        (
            row["labels"],
            row["task"],
            f"{row['rows']:,}",
            f"{row['positives']:,}",
            *(_with_error(row[name], row[f"{name}_error"]) for name in ("calibration", "ne", "auc")),
        )
        for row in figures.iter_rows(named=True)
    ]
    return f"{data}, withheld impressions against labels\n\n{_markdown(header, rows)}"


def groups_markdown(by_group: pl.DataFrame, serving: str) -> str:
    """Calibration of the distilled student by decile and segment: impressions, and considered rows by what serves."""
    header = ("domain", "by", "group", "rows", "prediction", "reference", "calibration")
    rows = []
    for domain, head, reference in ((IMP, "impression", "label"), (CD, serving, "teacher")):
        chosen = by_group.filter(arm="distilled", head=head, domain=domain, reference=reference)
        for row in chosen.iter_rows(named=True):
            means = (f"{row['mean_prediction']:.4f}", f"{row['mean_reference']:.4f}")
            calibration = _with_error(row["calibration"], row["calibration_error"])
            # A segment's value is a user's text.
            group = row["group"].replace("|", "\\|")
            rows.append((f"{domain}, {reference}", row["by"], group, f"{row['rows']:,}", *means, calibration))
    return _markdown(header, rows)


def trends(serving: str, evaluation: pl.DataFrame) -> dict[str, float]:
    """The distilled student's figures that are worth a plot over days; those that are not finite are left out."""
    figures: dict[str, float] = {}
    for name, domain, head, reference in (("cd", CD, serving, "teacher"), ("imp", IMP, "impression", "label")):
        where = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
        figures |= {f"{name}_{column}": figure(evaluation, column, **where) for column in ("calibration", "ne_change")}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _with_error(value: float, error: float) -> str:
    """1.004 +- .012"""
    return f"{value:.3f} +- {_short(error, 3)}" if math.isfinite(value) else UNDEFINED


def _percent(value: float, error: float) -> str:
    """-1.98 +- .17%"""
    return f"{100 * value:+.2f} +- {_short(100 * error, 2)}%" if math.isfinite(value) else UNDEFINED


def _change(row: Mapping[str, Any]) -> str:
    return _percent(row["ne_change"], row["ne_change_error"])


def _short(error: float, digits: int) -> str:
    return f"{error:.{digits}f}".removeprefix("0")


def _why(entry: Mapping[str, Any]) -> str:
    return "; ".join(entry.get("reasons", [])) or "no gate refused it"
