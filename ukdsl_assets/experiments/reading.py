"""What an experiment found: the ratio check first, then each metric at each planned look, then one verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.experiments.lift import Lift, Sums, lift_between
from ukdsl_assets.experiments.plan import Plan
from ukdsl_assets.experiments.ratio_check import RatioCheck, ratio_check
from ukdsl_assets.experiments.spending import bounds, spent
from ukdsl_assets.experiments.visitors import ARM, TwoArms, days_of, effective_visitors, two_arms, until

# The normal interval of a ratio needs some independent visitors, and some of them with an outcome, in each arm: of 100
# effective ones none has more than a tenth of the pages, and of 30 outcomes the ratio is known to about 18%.
LEAST_VISITORS, LEAST_WITH_OUTCOME = 100, 30
# Of an experiment by visitor hardly one is in both arms; more are a fault of the assignment or of the visitor's id.
MOST_IN_BOTH = 0.01

Finding = Literal["higher", "lower", "open", "not judged"]
Verdict = Literal["Better", "Worse", "No difference found", "Not decided yet", "Not judged"]


class Look(NamedTuple):
    """A metric after so many days (None: all there are): the lift, and the standard errors that decide there.

    bound is infinite where nothing may be decided yet; lift is None where there was too little to measure.
    """

    days: int | None
    lift: Lift | None
    bound: float


@dataclass(frozen=True)
class MetricReading:
    """One metric over all looks that are due, each metric with an error of 5% of its own.

    Attributes:
        finding: what the first look that decided has found; `open` where none has.
        decided_after: days of that look; None where none has decided, or the days are not known.
        why: what is lacking, where it is not judged.
    """

    name: str
    looks: tuple[Look, ...]
    finding: Finding
    decided_after: int | None = None
    why: str = ""

    @property
    def lift(self) -> Lift | None:
        """As of the newest look."""
        return self.looks[-1].lift if self.looks else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The lifts that the newest look does not exclude: right at all looks together in 19 of 20 experiments."""
        return None if self.lift is None or not self.looks else self.lift.interval(self.looks[-1].bound)


@dataclass(frozen=True)
class Reading:
    """An experiment as read from its logs.

    Attributes:
        days: of logs; read_days: those that the newest due look has read; both None where days are not known.
        plan: None for a single look at everything.
        verdict: of the first metric; why: in words.
    """

    experiment: Experiment
    visitors: tuple[int, int]
    pages: tuple[int, int]
    in_both: int
    ratio: RatioCheck
    days: int | None
    read_days: int | None
    plan: Plan | None
    metrics: tuple[MetricReading, ...]
    verdict: Verdict
    why: str


def read_experiment(
    rows: pl.DataFrame,
    experiment: Experiment,
    metrics: Sequence[str],
    plan: Plan | None = None,
    before: pl.DataFrame | None = None,
) -> Reading:
    """Read an experiment of two arms.

    Args:
        rows: visitor, arm (String), day (Date, may be left out), pages, and a column a metric; sums of any part of a
            visitor's pages of one day, such as those of `logs.visitor_days`.
        experiment: its two arms, control first, and their shares.
        metrics: the first one decides.
        plan: without one, everything is one look, which is right only if it was to be the only one.
        before: the same without arm and day, of a time before the experiment, for CUPED.

    Raises:
        ExperimentError: not two arms, an arm that the log lacks or that nobody declared, or a plan without days.
    """
    arms = _checked_arms(rows, experiment)
    span = days_of(rows)
    if plan is not None and span is None:
        raise ExperimentError(
            "plan: the log has no column of days, so that looks cannot be told apart; name it (--day)"
        )
    days = None if span is None else span[1]
    due: list[int | None] = [None] if plan is None or days is None else list(plan.done(days))
    parts = [rows if look is None or span is None else until(rows, span[0], look) for look in due]
    sums = [two_arms(part, arms, metrics, before) for part in parts]
    newest = sums[-1] if sums else two_arms(rows, arms, metrics, before)
    check = ratio_check(newest.visitors, list(experiment.shares.values()))
    fractions = [1.0] if plan is None else list(plan.fractions[: len(due)])
    read = tuple(_metric(name, due, sums, fractions) for name in metrics)
    verdict, why = _verdict(read, plan, days)
    if unsound := _unsound(newest, check):
        verdict, why = "Not judged", unsound
        read = tuple(replace(metric, finding="not judged", decided_after=None, why=unsound) for metric in read)
    return Reading(
        experiment,
        newest.visitors,
        newest.pages,
        newest.in_both,
        check,
        days,
        days if plan is None else (due[-1] if due else 0),
        plan,
        read,
        verdict,
        why,
    )


def _checked_arms(rows: pl.DataFrame, experiment: Experiment) -> list[str]:
    arms = list(experiment.shares)
    if len(arms) != 2:
        raise ExperimentError(
            f"experiment {experiment.name}: saw {len(arms)} arms, {', '.join(arms)}; two are read at a time: leave "
            "out the rows of the others, and give the shares of these two, of sum 1"
        )
    found = sorted(rows[ARM].unique().drop_nulls())
    if strange := [arm for arm in found if arm not in arms]:
        raise ExperimentError(
            f"experiment {experiment.name}: the log has arms {', '.join(strange[:5])}; expected {' and '.join(arms)}: "
            "name the arms as the log does (--shares), or leave those rows out"
        )
    if missing := [arm for arm in arms if arm not in found]:
        raise ExperimentError(
            f"experiment {experiment.name}: the log has no row of arm {' nor of '.join(missing)}, but of "
            f"{', '.join(found) or 'none'}; read whole logs, and name the arms as the log does (--shares)"
        )
    return arms


def lacking(control: Sums, treatment: Sums, arms: Sequence[str]) -> str:
    """What a lift cannot be measured for, in words; empty where it can."""
    for arm, sums in zip(arms, (control, treatment), strict=True):
        visitors = effective_visitors(sums)
        if visitors < LEAST_VISITORS:
            return f"{arm} has {visitors:,.0f} effective visitor(s), expected {LEAST_VISITORS}"
        with_outcome = int((sums.outcomes > 0).sum())
        if with_outcome < LEAST_WITH_OUTCOME or sums.ratio <= 0:
            return f"{arm} has {with_outcome:,} visitor(s) with an outcome, expected {LEAST_WITH_OUTCOME}"
    if not lift_between(control, treatment).error > 0:
        return "every page has the same outcome, expected some that differ"
    return ""


def _metric(name: str, due: Sequence[int | None], sums: Sequence[TwoArms], fractions: Sequence[float]) -> MetricReading:
    lifts: list[Lift | None] = []
    why = "no look is due yet"
    for each in sums:
        control, treatment = each.metrics[name]
        why = lacking(control, treatment, ("the control", "the treatment"))
        lifts.append(None if why else lift_between(control, treatment))
    # A look that measured nothing has spent nothing.
    information = [0.0 if lift is None else lift.error**-2 for lift in lifts]
    limits = bounds(spent(fractions), information)
    looks = tuple(Look(*each) for each in zip(due, lifts, map(float, limits), strict=True))
    for look in looks:
        if look.lift is not None and np.isfinite(look.bound) and abs(look.lift.z) >= look.bound:
            return MetricReading(name, looks, "higher" if look.lift.log > 0 else "lower", look.days)
    return MetricReading(name, looks, "not judged" if why else "open", why=why)


def _unsound(newest: TwoArms, check: RatioCheck) -> str:
    """Why no lift of this experiment means anything; empty where nothing speaks against it."""
    seen = sum(newest.visitors) + newest.in_both
    if newest.in_both > MOST_IN_BOTH * seen:
        share = newest.in_both / seen
        return f"{share:.1%} of the visitors are in both arms, expected at most {MOST_IN_BOTH:.0%}"
    if sum(newest.visitors) and not check.passed:
        return f"the arms do not have the visitors that their shares say (p = {check.p_value:.1g})"
    return ""


def _verdict(read: Sequence[MetricReading], plan: Plan | None, days: int | None) -> tuple[Verdict, str]:
    first = read[0]
    if plan is not None and days is not None and not plan.done(days):
        return "Not decided yet", f"the first look is after day {plan.looks[0]}, the log has {days}"
    if first.finding == "not judged":
        return "Not judged", first.why
    if first.finding in ("higher", "lower"):
        when = "" if first.decided_after is None else f", found after day {first.decided_after}"
        return ("Better" if first.finding == "higher" else "Worse"), f"{first.name} per page are {first.finding}{when}"
    if plan is not None and days is not None and plan.next_look(days) is not None:
        return "Not decided yet", f"{first.name} per page may still be either higher or lower"
    return "No difference found", f"{first.name} per page may be either higher or lower"
