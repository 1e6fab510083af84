"""The gates between a challenger and the champion's place, from the table champion_comparison."""

import math
from datetime import date

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, Severity, demand
from ukdsl_assets.learning.evaluation.champion_table import RELEASED, PooledRow, pooled
from ukdsl_assets.learning.evaluation.margin import held_to_margin
from ukdsl_assets.learning.metrics.interval import interval
from ukdsl_assets.learning.metrics.least_positives import REQUESTS_TO_RELEASE, ROWS_TO_RELEASE, TO_RELEASE

ON_IMPRESSION, ON_SCORED = "no_worse_than_champion_on_impression", "no_worse_than_champion_on_scored"
# Name of each gate -> what it demands.
RULES = {
    ON_IMPRESSION: demand(
        "The challenger's NE on impressions exceeds the champion's by at most release.margin, at 95%.",
        "what serves is served on; find what changed in the day, its data or the declaration. Where it is not judged, "
        "set evaluation_days to what the message says, a margin that a day can tell, or decided_by: next_day.",
    ),
    ON_SCORED: demand(
        "So does its NE on what its stage scored (SCORED; CD where only what the next stage scored is known).",
        "as on impressions; look at the day's teacher first, which both are compared with.",
    ),
}


def judge_champion(cascade: Cascade, student: Student, table: pl.DataFrame, day: date) -> list[GateResult]:
    """One verdict on impressions and one on what the stage scored; rule of `held_to_margin` at `release.margin`.

    Comparable days of the table are pooled, so that the interval narrows with days; a day that fails by itself fails,
    whatever days before it say. With fewer than `TO_RELEASE` positive labels, `ROWS_TO_RELEASE` rows or
    `REQUESTS_TO_RELEASE` requests nothing is judged. Delayed labels are few by nature: they only tell. So does another
    cascade's teacher beside a student that labels alone train, as in `judge_student`.

    Args:
        table: rows of trailing days, columns of `champion_table.COLUMNS` and day.
        day: whose requests decide; without rows of the declared comparison on it nothing is judged.
    """
    found = pooled(table, student.release.decided_by, day)
    foreign = cascade.teacher(student.teacher).foreign and bool(student.teacher_tasks)
    results = []
    for name, domains in ((ON_IMPRESSION, (IMP,)), (ON_SCORED, [each for each in found if each != IMP] or [CD])):
        tells = foreign if name == ON_SCORED else cascade.task(student.task).delayed and not foreign
        severity: Severity = "WARN" if tells else "ERROR"
        row = found.get(domains[0])
        if row is None:
            when = student.release.decided_by
            message = f"no rows of {domains[0]} to compare on ({when}); {_WHEN_THERE_ARE[when]}"
            results.append(GateResult.not_judged(name, message, severity))
            continue
        results.append(_judged(name, domains[0], row, student.release.margin, severity))
    return results


_WHEN_THERE_ARE = {
    "same_day": "materialize champion_comparison, and see whether the day has withheld rows",
    "next_day": "a day's student is compared on the requests of the day after it, where it can read them",
}


def _judged(name: str, domain: str, row: PooledRow, margin: float, severity: Severity) -> GateResult:
    told = f"{_told(domain, row)}; expected an upper end of at most {margin:+.3%} (release.margin)"
    few = _too_few(domain, row)
    if few:
        counts = {"rows": row.sums.rows, "requests": row.sums.requests, "positives": row.sums.positives}
        return GateResult.not_judged(name, f"{few}; {told}", severity, counts)
    over_days = held_to_margin(name, row.sums.change, row.sums.error, margin, told, row.days, severity)
    today, error = row.today.change, row.today.error
    if (over_days.passed or not over_days.judged) and row.days > 1 and today > margin and interval(today, error)[0] > 0:
        message = f"{told}; the newest day alone says {_percent(today, error)}"
        return GateResult(name, False, message, severity, over_days.seen)
    return over_days


def _too_few(domain: str, row: PooledRow) -> str:
    """What is too little to be judged at all, and how many days would do; empty where there is enough."""
    sums = row.sums
    least = {
        "requests": (sums.requests, REQUESTS_TO_RELEASE),
        "rows": (sums.rows, ROWS_TO_RELEASE),
        **({"positive labels": (sums.positives, TO_RELEASE)} if domain == IMP else {}),
    }
    short = {name: pair for name, pair in least.items() if pair[0] < pair[1]}
    if not short:
        return ""
    said = ", ".join(f"{seen} {name} of {needed} needed" for name, (seen, needed) in short.items())
    if any(seen == 0 for seen, _ in short.values()):
        return f"{said}; see whether events arrive and the attribution window is right"
    days = max(math.ceil(row.days * needed / seen) for seen, needed in short.values())
    return f"{said}: about {days} days in place of {row.days} would do"


def _told(domain: str, row: PooledRow) -> str:
    newest, sums = row.newest, row.sums
    champion = "what was released, of" if newest["champion_arm"] == RELEASED else "nothing is released: the baseline of"
    which = "withheld requests of the same day" if newest["when"] == "same_day" else "all requests of the next day"
    positives = f", {sums.positives:,} positive" if domain == IMP else ""
    return (
        f"NE on {domain} against the {newest['reference']}: {_percent(sums.change, sums.error)} of the champion's "
        f"({champion} {newest['champion_day']}), {which}, {row.days} day(s): {sums.requests:,} requests, "
        f"{sums.rows:,} rows{positives}"
    )


def _percent(change: float, error: float) -> str:
    low, high = interval(change, error)
    return f"{change:+.3%} ({low:+.3%} to {high:+.3%})"
