"""A run's result at a glance: an entry a student and a line a day, as texts that fit a terminal's width."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from textwrap import wrap
from typing import Any, NamedTuple

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, GIVEN, IMP, PRODUCT, SCORED
from ukdsl_assets.learning.evaluation.champion_table import SAME_DAY
from ukdsl_assets.learning.evaluation.table import judging_head
from ukdsl_assets.reports.decisions import DayDecision, counted
from ukdsl_assets.reports.rounded import UNDEFINED, percent, rounded, with_error

# What each domain is called where a line must be short.
WHERE = {
    SCORED: "all it scores",
    CD: "next stage's rows",
    IMP: "shown rows",
    GIVEN: "next stage's, given",
    PRODUCT: "shown, product",
}
HEADER = ("judged on", "by", "calibration", "NE against", "rows")
BELOW = ("", "", "baseline -> student", "the baseline", "")
LEGEND = (
    "calibration: mean prediction over what judges it, 1 is right. NE: normalized entropy, smaller is better. "
    "The baseline is trained on labels alone, with equal effort. +-: standard error."
)
LEGEND_OF_GIVEN = (
    "given: rows by the probability of what the task is given; product: both probabilities multiplied, on all "
    "shown rows."
)
STYLES = {"released": "green", "refused": "bold red", "not_judged": "yellow", "withdrawn": "yellow", "newer": "green"}
# Of a reason so many characters are told; all of it stands in the report.
_MOST_OF_A_REASON = 150
# How the end of a reason begins that says what its figures do not, and of one that says all.
_SAYS_WHY = ("its error is", "the newest day alone")
_SAYS_ALL = ("too few rows", "the change is within")


class Line(NamedTuple):
    """A line of the terminal, no longer than its width, and the style of its whole."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class View:
    """What distillation did on some rows: calibration of the baseline and the student, and the student's change of NE.

    Figures are NaN where they are undefined; of errors None too.
    """

    domain: str
    reference: str
    rows: int
    before: float
    after: float
    error: float | None
    change: float
    change_error: float | None


@dataclass(frozen=True)
class Glance:
    """One student on one day; requests: withheld ones that judged it over `days`, None where that is not known."""

    decision: DayDecision
    views: list[View]
    days: int
    requests: int | None


def glance_of(
    decision: DayDecision, evaluation: pl.DataFrame, serving: str, days: int, champion: pl.DataFrame | None
) -> Glance:
    """What is told of a student.

    Args:
        evaluation: the student's rows of the day; serving: the head that serves.
        days: how many days judged it.
        champion: `champion_comparison` of the trailing days, which counts requests; None without one.
    """
    return Glance(decision, views_of(evaluation, serving), days, _requests(champion, days))


def views_of(evaluation: pl.DataFrame, serving: str) -> list[View]:
    """What the stage scores against the teacher, by its own head, then shown rows against labels.

    Without a teacher on all that the stage scored it is the rows that the next stage scored, and all against the truth
    where that is known. Of a task that is given another both are weighed by what is given.
    """

    def view(domain: str, reference: str, *heads: str) -> View | None:
        before, after = (
            evaluation.filter(arm=arm, head=head, domain=domain, reference=reference)
            for arm, head in zip(("baseline", "distilled"), heads, strict=True)
        )
        return (
            None
            if before.is_empty() or after.is_empty()
            else _view(before.row(0, named=True), after.row(0, named=True))
        )

    def served(domain: str, reference: str) -> View | None:
        return view(domain, reference, "impression", judging_head(serving, CD if domain == GIVEN else domain))

    given, product = served(GIVEN, "teacher"), served(PRODUCT, "label")
    if given or product:
        return [each for each in (given, product) if each]
    scored = served(SCORED, "teacher")
    known = [scored] if scored else [served(CD, "teacher"), served(SCORED, "truth")]
    return [each for each in (*known, view(IMP, "label", "impression", "impression")) if each]


def _view(before: Mapping[str, Any], after: Mapping[str, Any]) -> View:
    figures = ("calibration", "calibration_error", "ne_change", "ne_change_error")
    return View(
        after["domain"], after["reference"], after["rows"], before["calibration"], *(after[name] for name in figures)
    )


def _requests(champion: pl.DataFrame | None, days: int) -> int | None:
    """Withheld requests of the newest `days`; of the domains the one that most requests have rows of."""
    if champion is None or not len(rows := champion.filter(when=SAME_DAY)):
        return None
    newest = rows["day"].unique().sort().tail(days)
    return int(
        rows.filter(pl.col("day").is_in(newest.implode())).group_by("day").agg(pl.max("requests"))["requests"].sum()
    )


def student_lines(cascade: Cascade, glances: Sequence[Glance], width: int) -> list[Line]:
    """The table: a header, and each student's verdict, figures and, where nothing was released, why and what next."""
    cells = [[_cells(view) for view in glance.views] for glance in glances]
    widths = [
        max(map(len, column)) for column in zip(HEADER, BELOW, *(row for rows in cells for row in rows), strict=True)
    ]
    lines = []
    if any(cells):
        lines = [Line(text, "bold") for text in _headers(widths, width)]
    for glance, rows in zip(glances, cells, strict=True):
        decision = glance.decision
        lines += [Line(text, STYLES.get(decision.outcome, "")) for text in _wrapped("", _headline(glance), width)]
        lines += [Line(text) for row in rows for text in _laid_out(row, widths, width)]
        lines += [Line(text) for text in why_and_next(cascade, decision, width)]
    return lines


def _headers(widths: Sequence[int], width: int) -> list[str]:
    if _fits(widths, width):
        return [*_laid_out(HEADER, widths, width), *_laid_out(BELOW, widths, width)]
    return _wrapped("", "judged on, by: calibration baseline -> student, NE against the baseline, rows", width)


def _fits(widths: Sequence[int], width: int) -> bool:
    return 2 + sum(widths) + 2 * (len(widths) - 1) <= width


def _headline(glance: Glance) -> str:
    decision = glance.decision
    of = f", the student of {decision.checkpoint_day}" if _earlier(decision) else ""
    if decision.outcome == "newer":
        of = ", and the student of a newer day stays released"
    days = "1 day" if glance.days == 1 else f"{glance.days} days"
    by = f"{glance.requests:,} withheld requests of {days}" if glance.requests is not None else days
    return f"{decision.student}: {decision.verdict}{of} (by {by})"


def _earlier(decision: DayDecision) -> bool:
    return decision.checkpoint_day not in (None, str(decision.day))


def _cells(view: View) -> tuple[str, ...]:
    after = with_error(view.after, view.error)
    calibration = after if after == UNDEFINED else f"{rounded(view.before)} -> {after}"
    return (
        WHERE.get(view.domain, view.domain),
        view.reference,
        calibration,
        percent(view.change, view.change_error),
        f"{view.rows:,}",
    )


def _laid_out(cells: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    """One line; two where the terminal is too narrow for it: what is judged by what, and the figures."""
    padded = [f"{cell:<{size}}" for cell, size in zip(cells[:-1], widths[:-1], strict=True)]
    padded.append(f"{cells[-1]:>{widths[-1]}}")
    if _fits(widths, width):
        return [f"  {'  '.join(padded)}".rstrip()]
    judged, figures = f"{cells[0]}, by {cells[1]}:", ", ".join(cells[2:])
    return [*_wrapped("  ", judged, width), *_wrapped("    ", f"{figures} rows", width)]


def why_and_next(cascade: Cascade, decision: DayDecision, width: int) -> list[str]:
    """Lines that say why a student was refused or not judged and what to do; what is accepted by name of any other."""
    if not decision.reasons:
        names = ", ".join(said.partition(": ")[0] for said in decision.accepted)
        return _wrapped("  accepted by name: ", names, width) if names else []
    first, *more = decision.reasons
    also = f" (and {len(more)} more reason{'s' if len(more) > 1 else ''}, by --details)" if more else ""
    return [
        *_wrapped("  why: ", first_clauses(first) + also, width),
        *_wrapped("  next: ", _next_step(cascade, decision), width),
    ]


def first_clauses(reason: str, most: int = _MOST_OF_A_REASON) -> str:
    """What a reason begins with, in whole clauses of about `most` characters, and its end where that says why.

    Where there was too little to judge by, the figures, which the table has too, are left out.

    Args:
        reason: `gate: what was seen; what was expected; ...`.
    """
    reason = reason.replace(": not judged: ", ": ", 1)
    parts = reason.split("; ")
    end = parts[-1] if len(parts) > 1 and parts[-1].startswith((*_SAYS_ALL, *_SAYS_WHY)) else ""
    if end.startswith(_SAYS_ALL):
        return f"{reason.partition(': ')[0]}: {end}"
    # What stands in brackets is whole.
    clauses = re.split(r"(?<=[;,:]) (?![^()]*\))", reason.removesuffix(end))
    told, room = clauses[0], most - len(end)
    for clause in clauses[1:]:
        if len(told) + 1 + len(clause) > room and not told.endswith(":"):
            break
        told += f" {clause}"
    told = told.rstrip(";,: ")
    return f"{told}; {end}" if end else told


def _next_step(cascade: Cascade, decision: DayDecision) -> str:
    gate = decision.reasons[0].partition(": ")[0]
    if decision.outcome == "withdrawn":
        day = decision.checkpoint_day or decision.day
        return f"ukdsl release {cascade.name} {decision.student} --to {day} lets it serve again"
    if decision.outcome == "refused":
        fix = _advice(decision.reasons[0])
        stays = "what was released before stays; "
        return stays + (fix or f"read the report. `accept: [{gate}]` at the student lets it pass by name")
    if decision.checkpoint is not None and "decide about it" in decision.reasons[0]:
        return f"ukdsl run {cascade.name} --days {decision.day + timedelta(days=1)}"
    return _advice(decision.reasons[0]) or (
        "let more requests judge: run more days, and raise evaluation_days or withheld_share"
    )


def _advice(reason: str) -> str:
    """The fix that a reason ends with, empty for none."""
    last = reason.split("; ")[-1]
    return last if last.startswith(("judge by", "materialize ", "see whether ")) else ""


def day_lines(decisions: Iterable[DayDecision]) -> list[str]:
    """One line a day: `2026-01-07: 2 released, 1 not judged`; the decisions come by day."""
    of_days: dict[date, list[DayDecision]] = {}
    for decision in decisions:
        of_days.setdefault(decision.day, []).append(decision)
    return [f"{day}: {counted(of_day)}" for day, of_day in of_days.items()]


def legend_lines(glances: Iterable[Glance], width: int) -> list[str]:
    """What the table's words mean, of those that it uses."""
    given = any(view.domain in (GIVEN, PRODUCT) for glance in glances for view in glance.views)
    return _wrapped("", f"{LEGEND} {LEGEND_OF_GIVEN}" if given else LEGEND, width)


def _wrapped(before: str, text: str, width: int) -> list[str]:
    return wrap(text, width, initial_indent=before, subsequent_indent=" " * len(before), break_on_hyphens=False)
