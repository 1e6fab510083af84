"""What changed since the day before: decisions, gates, figures beyond their error, and how many rows the logs have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from ukdsl_assets.gates import GateResult
from ukdsl_assets.reports.glossary import ROWS
from ukdsl_assets.reports.printed import in_words

OUTCOMES = {"newer": "Passed, but a newer day stays released", "undecided": "No decision yet"}
# Standard errors that a difference of two days must exceed; one figure in twenty does so by chance.
ERRORS = 2.0
_FIGURES = {"calibration": ("calibration", 1, ".3f"), "ne_change": ("NE change", 100, "+.2f")}


@dataclass(frozen=True)
class DayBefore:
    """A student on the day before.

    Attributes:
        evaluation: that day's rows of the table evaluation.
        outcome: as of `StudentReport.outcome`.
        gates: as of `StudentReport.gates`.
    """

    day: date
    evaluation: pl.DataFrame
    outcome: str
    gates: Sequence[GateResult] | None


def outcome_in_words(outcome: str) -> str:
    """Released, Refused, Not judged, or why nothing was decided."""
    return OUTCOMES.get(outcome) or in_words(outcome)


def student_changes(
    before: DayBefore, outcome: str, gates: Sequence[GateResult] | None, figures: Sequence[tuple[Any, Any]]
) -> list[str]:
    """Sentences on what changed of a student, decisions first; one sentence where nothing did.

    Args:
        outcome, gates: of the day.
        figures: pairs of rows of the evaluation, of the day before and of the day, None where there is none.
    """
    told = []
    now, then = outcome_in_words(outcome), outcome_in_words(before.outcome)
    if now != then:
        told.append(f"Decision: {now}; the day before: {then}.")
    told += gate_changes(before.gates or [], gates or [])
    told += [line for one, other in figures if one and other for line in figure_changes(one, other)]
    return told or [f"{now}, as the day before; no gate changed its verdict and no figure moved beyond its error."]


def gate_changes(before: Sequence[GateResult], now: Sequence[GateResult]) -> list[str]:
    """Gates whose verdict is another one than the day before, those that do not pass now with what was seen."""
    verdicts, told = {each.name: each.verdict for each in before}, []
    for gate in now:
        then = verdicts.get(gate.name)
        if then is None or then == gate.verdict:
            continue
        name = f"Gate \N{LEFT DOUBLE QUOTATION MARK}{gate.name.replace('_', ' ')}\N{RIGHT DOUBLE QUOTATION MARK}"
        seen = "" if gate.passed else f": {gate.message.removeprefix('not judged: ')}"
        told.append(f"{name} is now {gate.verdict!s} (was {then}){seen}.")
    return told


def figure_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Calibration and NE change of one row of the evaluation, where they moved by more than two standard errors."""
    told = []
    for column, (name, times, form) in _FIGURES.items():
        values = [row[column] for row in (before, now)]
        errors = [row[f"{column}_error"] for row in (before, now)]
        if not all(value is not None and math.isfinite(value) for value in [*values, *errors]):
            continue
        error = math.hypot(*errors)
        if abs(values[1] - values[0]) > ERRORS * error > 0:
            then, is_now = (f"{times * value:{form}}" for value in values)
            unit = "%" if times == 100 else ""
            by = f"{abs(values[1] - values[0]) / error:.1f} standard errors"
            counted = f"{before['rows']:,} and {now['rows']:,} rows"
            name = f"{name[0].upper()}{name[1:]} on {_rows(now)}"
            told.append(f"{name} moved from {then}{unit} to {is_now}{unit}, by {by} ({counted}).")
    return told


def row_changes(before: Mapping[str, int], now: Mapping[str, int]) -> list[tuple[str, str, str, str]]:
    """Table -> rows as texts: its name, rows of the day before and of the day, and the change in percent."""
    return [
        (name, f"{before.get(name, 0):,}", f"{rows:,}", _change(before.get(name, 0), rows))
        for name, rows in now.items()
    ]


def _change(before: int, now: int) -> str:
    if not before:
        return "\N{EN DASH}"
    return "0%" if now == before else f"{100 * (now / before - 1):+.1f}%".replace("-", "\N{MINUS SIGN}")


def _rows(row: Mapping[str, Any]) -> str:
    references = {"label": "labels", "teacher": "the teacher", "truth": "the truth"}
    name = ROWS[row["domain"]]
    where = {"own choice": "its own choice", "product": "the product"}.get(name, f"{name} rows")
    return f"{where}, by {references[row['reference']]},"
