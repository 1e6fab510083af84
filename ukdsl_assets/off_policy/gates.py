"""The gates of the table off_policy: whether propensities are true, and whether a policy earns more than production."""

import math
from datetime import date

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.corrections import ABOVE_PRODUCTION
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult, Severity, demand, finite
from ukdsl_assets.learning.metrics.interval import STANDARD_ERRORS
from ukdsl_assets.learning.metrics.least_positives import REQUESTS_TO_WEIGH, TO_RELEASE
from ukdsl_assets.off_policy.means import interval
from ukdsl_assets.off_policy.table import PooledEstimate, of_task, pooled_over_days

WEIGHTS_TRUE = "weights_average_to_one"
# Name of each gate -> what it demands.
RULES = {
    WEIGHTS_TRUE: demand(
        "The mean importance weight of explored rows is 1 within five standard errors and a hundredth; only told.",
        "log the probability with which exploration shows a candidate, and explored on all that it drew; whatever has "
        "no chance to be shown must not reach the last stage of an explored request.",
    ),
    ABOVE_PRODUCTION: demand(
        "The policy of a student earns more than production, at the lower end of its 95% interval; decides where "
        "release.off_policy is above_production, and is only told elsewhere.",
        "what serves is served on. Where it is not judged, explore a larger share or set evaluation_days to what the "
        "message says; where it failed, look at the student's figures on explored rows.",
    ),
}
# A policy that is better by so many standard errors passes nine times of ten.
_NEEDED = STANDARD_ERRORS + 1.28


def judge_off_policy(cascade: Cascade, student: Student, table: pl.DataFrame, day: date) -> list[GateResult]:
    """One verdict on the day's weights and one on the policy over the days of the table, by the declared estimator.

    Args:
        table: rows of trailing days, columns of `table.COLUMNS` and day; the cascade declares `off_policy`.
        day: the newest day that counts.
    """
    return [judge_weights(table.filter(day=day)), judge_above_production(cascade, student, table, day)]


def judge_above_production(cascade: Cascade, student: Student, table: pl.DataFrame, day: date) -> GateResult:
    """The verdict on the policy alone, of severity ERROR where it decides; arguments as of `judge_off_policy`."""
    assert cascade.off_policy is not None
    severity: Severity = "ERROR" if student.release.off_policy == "above_production" else "WARN"
    when, estimator = student.release.decided_by, cascade.off_policy.estimator
    found = of_task(pooled_over_days(table, when, day), student.task, estimator)
    if found is None:
        message = (
            f"no explored requests to estimate {student.task} on ({when}, {estimator}); log rows that a randomised "
            "policy shows as explored, with their propensity"
        )
        return GateResult.not_judged(ABOVE_PRODUCTION, message, severity)
    return _above(found, severity)


def _above(found: PooledEstimate, severity: Severity) -> GateResult:
    more, (low, high) = found.difference, interval(found.difference)
    told = (
        f"{found.reward} a request by {found.estimator}: {found.value.value:.4f}, production "
        f"{found.production.value:.4f} ({found.production_of}); difference {more.value:+.4f} ({low:+.4f} to "
        f"{high:+.4f}), {found.days} day(s): {found.requests:,} explored requests, {found.effective:,.0f} effective, "
        f"{found.rewarded:,} matched rewards; expected a lower end above 0"
    )
    seen = {
        "difference": finite(more.value),
        "standard_error": finite(more.error),
        "low": finite(low),
        "high": finite(high),
        "effective_requests": finite(found.effective),
        "days": found.days,
    }
    least = {
        "effective requests": (found.effective, REQUESTS_TO_WEIGH),
        "matched rewards": (found.rewarded, TO_RELEASE),
    }
    short = {name: pair for name, pair in least.items() if pair[0] < pair[1]}
    if short:
        few = ", ".join(f"{have:,.0f} {name} of {needed} needed" for name, (have, needed) in short.items())
        return GateResult.not_judged(ABOVE_PRODUCTION, f"{few}; {told}", severity, seen)
    if low > 0 or high <= 0 or not math.isfinite(more.value + more.error):
        return GateResult(ABOVE_PRODUCTION, low > 0, told, severity, seen)
    would = ""
    if more.value > 0:
        needed = math.ceil(found.days * (_NEEDED * more.error / more.value) ** 2)
        would = f"; were this the true difference, about {needed} days of them in place of {found.days} would do"
    return GateResult.not_judged(ABOVE_PRODUCTION, f"the interval holds 0{would}; {told}", severity, seen)


def judge_weights(table: pl.DataFrame) -> GateResult:
    """Whether the weights of a day are true, which is only told; rows of one day, columns of `table.COLUMNS`."""
    rows = table.filter(weights="slots").unique(["when"], keep="first", maintain_order=True)
    if not len(rows):
        return GateResult.not_judged(WEIGHTS_TRUE, "no explored requests on the day")
    rows = rows.filter(pl.col("mean_weight").is_not_nan())
    if not len(rows):
        return GateResult.not_judged(
            WEIGHTS_TRUE, "the policy shows nothing of explored requests, so nothing is weighted"
        )
    off = [
        f"{row['when']}: {row['mean_weight']:.3f} +- {row['mean_weight_error']:.3f}"
        for row in rows.iter_rows(named=True)
        if not abs(row["mean_weight"] - 1) <= 5 * row["mean_weight_error"] + 0.01
    ]
    seen = {f"{row['when']}_mean_weight": finite(row["mean_weight"]) for row in rows.iter_rows(named=True)}
    message = "; ".join(off) or ", ".join(f"{name} {value:.3f}" for name, value in seen.items() if value is not None)
    return GateResult(WEIGHTS_TRUE, not off, f"{message}; expected 1", "WARN", seen)
