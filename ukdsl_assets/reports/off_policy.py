"""Off-policy estimates for people: lines and a table in the terminal, a sentence and a table in the UI."""

import math
import textwrap
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
from rich.table import Table

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.off_policy.means import Mean
from ukdsl_assets.off_policy.table import SAME, PooledEstimate, interval_of, of_task, pooled_over_days
from ukdsl_assets.pipeline.page_policy import PAGE, Estimated
from ukdsl_assets.reports.champion import WHEN
from ukdsl_assets.reports.rounded import UNDEFINED

# Which of two comparisons a glance is of where both are there: the one with more requests that nothing has seen.
_FIRST = ("next_day", "same_day")
LEGEND = (
    "Of explored requests that the models have not seen, weighted by propensity; 95% intervals over requests. "
    "Effective: requests of equal weight that would know as much."
)


def name_of(of: Estimated) -> str:
    """The policy by name: that of its student, or `page`."""
    return of.name if isinstance(of, Student) else PAGE


def glance_lines(cascade: Cascade, of: Estimated, table: pl.DataFrame) -> list[str]:
    """What a student's policy, or the page, would earn and what production earns, by reward, in at most 80 columns.

    Args:
        of: whose policy; the cascade's page is told as `page`.
        table: rows of off_policy of some days, with their column day; of a cascade that declares `off_policy`.
    """
    found, _ = _shown(table)
    days = table["day"].unique().sort()
    name = f"{cascade.name}/{name_of(of)}{f' ({cascade.note})' if cascade.note else ''}"
    shown = "if the student ordered it" if isinstance(of, Student) else "if the page were shown   "
    if not found:
        return [f"{name}: no explored requests, so nothing can be estimated"]
    lines = [f"{name}: {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")]
    if not isinstance(of, Student):
        lines.append(f"  its rules on {', '.join(of.value)}; without exploration")
    for when, one in first_told(cascade, table):
        lines += [
            "",
            f"{one.reward} a request, by {one.estimator}; {one.requests:,} explored requests ({WHEN[when]}), "
            f"{one.effective:,.0f} effective",
            f"  {shown}  {with_interval(one.value, one.rewarded)}",
            f"  production                 {with_interval(one.production)}",
            f"  difference                {with_interval(one.difference, one.rewarded, sign='+')}{_relative(one)}",
            f"  {_compared(one)}",
        ]
        if one.closed < 0.995:
            lines.append(f"  rewards of {one.closed:.0%} of the requests were final when logs were read")
        if one.lost_by_clipping > 0:
            lines.append(f"  clipping takes about {one.lost_by_clipping:.4f} from the policy's")
    return [each for line in lines for each in _wrapped(line)]


def first_told(cascade: Cascade, table: pl.DataFrame) -> list[tuple[str, PooledEstimate]]:
    """Of each reward the estimate by the declared estimator, or by snips without a model of it, and which comparison.

    Args:
        table: as of `glance_lines`.
    """
    found, when = _shown(table)
    estimator = cascade.off_policy.estimator if cascade.off_policy else ""
    rewards = dict.fromkeys(each.reward for each in found)
    told = (of_task(found, reward, estimator) or of_task(found, reward, "snips") for reward in rewards)
    return [(when, one) for one in told if one is not None]


def estimators_table(table: pl.DataFrame, task: str) -> Table:
    """Every estimator of one reward over the days, a line each; 80 characters wide."""
    found, _ = _shown(table)
    shown = Table(title=f"{task}, by every estimator", title_justify="left", box=None, padding=(0, 1, 0, 0))
    shown.add_column("estimator", no_wrap=True)
    for name in ("value", "95% interval", "difference", "95% interval", "effective"):
        shown.add_column(name, justify="right", no_wrap=True)
    for each in found:
        if each.reward == task:
            value, more = each.value, each.difference
            shown.add_row(
                each.estimator,
                *(_figure(value.value), _ends(value, each.rewarded)),
                *(_figure(more.value, "+"), _ends(more, each.rewarded)),
                f"{each.effective:,.0f}",
            )
    return shown


def estimates_json(cascade: Cascade, of: Estimated, table: pl.DataFrame) -> dict[str, Any]:
    """Every figure over the days, as JSON values; what is not finite is null, and so is the student of the page."""
    rows = []
    for when in _FIRST:
        for each in pooled_over_days(table, when):
            means = {name: _plain(getattr(each, name), each.rewarded) for name in ("value", "difference")}
            means |= {"production": _plain(each.production), "own": _plain(each.own)}
            plain = {key: value for key, value in vars(each).items() if key not in means}
            rows.append({"when": when, **plain, **means})
    days = [str(day) for day in table["day"].unique().sort()]
    policy, student = ("student", of.name) if isinstance(of, Student) else (PAGE, None)
    return {"cascade": cascade.name, "policy": policy, "student": student, "days": days, "estimates": rows}


def policy_sentence(cascade: Cascade, of: Estimated, table: pl.DataFrame) -> str:
    """The student's own task, or each task of the page's students, by the declared estimator, in words for the UI."""
    found, _ = _shown(table)
    estimator = cascade.off_policy.estimator if cascade.off_policy else ""
    students = (of,) if isinstance(of, Student) else tuple(cascade.student(name) for name in of.value)
    tasks = [each.task for each in students if not cascade.task(each.task).delayed]
    told = [one for task in tasks if (one := of_task(found, task, estimator)) is not None]
    if not told:
        whom = "the student has" if isinstance(of, Student) else "the page's students have"
        return f"Nothing to estimate {' or '.join(tasks)} on: no explored requests that {whom} not seen."
    begins = f"If {of.name} ordered them" if isinstance(of, Student) else "If the page were shown"
    return " ".join(
        f"{begins}, requests would earn {with_interval(one.value, one.rewarded).strip()} {one.reward} each; "
        f"production earns {with_interval(one.production).strip()}."
        for one in told
    )


def policy_markdown(table: pl.DataFrame) -> str:
    """A day's rows as a Markdown table."""
    header = ("on", "reward", "estimator", "requests", "effective", "policy", "production", "difference")
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in table.iter_rows(named=True):
        cells = (WHEN[row["when"]], row["reward"], row["estimator"], f"{row['requests']:,}", f"{row['effective']:,.0f}")
        means = (
            f"{_figure(row[name])} ({_figure(row[f'{name}_low'])} to {_figure(row[f'{name}_high'])})"
            for name in ("value", "production", "difference")
        )
        lines.append("| " + " | ".join((*cells, *means)) + " |")
    return "\n".join(lines)


def days_of(days: Sequence[date], newest: int) -> list[date]:
    """The newest of some published days, in order."""
    return sorted(days)[-newest:]


def _shown(table: pl.DataFrame) -> tuple[list[PooledEstimate], str]:
    """The estimates of the comparison with more requests, and its name."""
    found = {when: pooled_over_days(table, when) for when in _FIRST}
    when = max(_FIRST, key=lambda each: found[each][0].requests if found[each] else 0)
    return found[when], when


def with_interval(mean: Mean, rewarded: int = 1, sign: str = "") -> str:
    """A mean and its 95% interval, none without a matched reward; sign: + to show it always."""
    low, high = interval_of(mean, rewarded)
    if not math.isfinite(mean.value):
        return UNDEFINED
    if not math.isfinite(low):
        return f"{_figure(mean.value, sign)}  (no matched reward: no interval)"
    return f"{_figure(mean.value, sign)}  ({_figure(low, sign)} to {_figure(high, sign)})"


def _relative(one: PooledEstimate) -> str:
    # Of what is hardly told from 0 nothing is a share.
    low, _ = interval_of(one.production, one.rewarded)
    return f"  {one.difference.value / one.production.value:+.1%}" if low > 0 else ""


def _compared(one: PooledEstimate) -> str:
    """What production's value is of, and beside an estimate what it earned itself."""
    if one.production_of != SAME:
        return f"production is of {one.own.requests:,} requests that it served itself"
    itself = f"; it earned {_figure(one.own.value)} on its own {one.own.requests:,}" if one.own.requests else ""
    return f"production is of the same requests, paired{itself}"


def _wrapped(line: str) -> list[str]:
    """At most 80 columns, with names of any length; an empty line stays one."""
    return textwrap.wrap(line, 80, subsequent_indent="    ", drop_whitespace=False) or [""]


def _figure(value: float | None, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if value is not None and math.isfinite(value) else "-"


def _ends(mean: Mean, rewarded: int) -> str:
    low, high = interval_of(mean, rewarded)
    return f"{low:.4f} to {high:.4f}" if math.isfinite(low) and math.isfinite(high) else "-"


def _plain(mean: Mean, rewarded: int = 1) -> dict[str, Any]:
    low, high = interval_of(mean, rewarded)
    figures = {"mean": mean.value, "error": mean.error, "low": low, "high": high}
    return {"requests": mean.requests} | {
        key: value if math.isfinite(value) else None for key, value in figures.items()
    }
