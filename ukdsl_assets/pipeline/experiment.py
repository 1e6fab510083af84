"""An experiment from its files: who is in which arm, the logs of both, and what they say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.experiments.plan import Plan
from ukdsl_assets.experiments.power import Traffic, measured_traffic
from ukdsl_assets.experiments.reading import Reading, lacking, read_experiment
from ukdsl_assets.experiments.visitors import ARM, DAY, VISITOR, days_of, two_arms, until
from ukdsl_assets.logs.visitor_days import PageColumns, visitor_days


def read_files(
    experiment: Experiment,
    logs: Sequence[Path],
    columns: PageColumns,
    plan: Plan | None,
    before: Path | None = None,
    events: Sequence[Path] = (),
) -> Reading:
    """What an experiment found.

    Args:
        logs: one log of both arms, whose arm is a column or else the hash's, or one log of each, control first.
        before: a log of the same kind of a time before the experiment, for CUPED; its arm is not read.
        events: of no log, of all logs together, or of each log; with `before` its own comes last.

    Raises:
        ExperimentError: files that do not go together, or that cannot be read so.
    """
    sources = [*logs, *([before] if before is not None else [])]
    if len(events) not in (0, 1, len(sources)):
        raise ExperimentError(
            f"--events: saw {len(events)} for {len(sources)} log(s); expected none, one for all, or one for each in "
            "their order, that of --before last"
        )
    of_log = list(events) * len(sources) if len(events) == 1 else list(events) or [None] * len(sources)  # type: ignore[list-item]
    without_arm = replace(columns, arm=None)
    if len(logs) == 1:
        rows = visitor_days(logs[0], columns, of_log[0])
        if columns.arm is None:
            rows = rows.with_columns(experiment.arms_of(rows[VISITOR]))
    else:
        options = ("--control", "--treatment")
        arms = list(experiment.shares)[:2]
        parts = [
            visitor_days(log, without_arm, each, option).with_columns(pl.lit(arm).alias(ARM))
            for log, each, option, arm in zip(logs, of_log, options, arms, strict=False)
        ]
        if len({DAY in part.columns for part in parts}) > 1:
            raise ExperimentError(
                "--control and --treatment: one of them has no column of days; name it in both (--day)"
            )
        rows = pl.concat(parts, how="diagonal")
    then = None if before is None else visitor_days(before, without_arm, of_log[-1], "--before")
    then_days, now_days = (None if each is None else days_of(each) for each in (then, rows))
    if then_days is not None and now_days is not None:
        last = then_days[0] + timedelta(days=then_days[1] - 1)
        if last >= now_days[0]:
            raise ExperimentError(
                f"--before {before}: it goes on until {last}, the experiment begins on {now_days[0]}; expected days "
                "before it alone, which no arm can have changed"
            )
    return read_experiment(rows, experiment, columns.metrics, plan, then)


def traffic_of(
    experiment: Experiment, log: Path, columns: PageColumns, events: Path | None = None, before_days: int = 0
) -> dict[str, tuple[float, Traffic]]:
    """What a log without an experiment would tell of a lift, by metric: its ratio, and how well it is known.

    Args:
        before_days: so many of the log's first days are known before, for CUPED; the others are measured.

    Raises:
        ExperimentError: the log cannot be read so, has no days where they are asked for, or too little in it.
    """
    rows = visitor_days(log, replace(columns, arm=None), events)
    span = days_of(rows)
    before = None
    if before_days:
        if span is None or not 0 < before_days < span[1]:
            seen = "no column of days" if span is None else f"{span[1]} day(s)"
            raise ExperimentError(
                f"--before-days: saw {before_days}, the log has {seen}; expected at least 1, and days left to measure"
            )
        before = until(rows, span[0], before_days)
        rows = rows.join(before.select(DAY).unique(), on=DAY, how="anti")
    arms = list(experiment.shares)[:2]
    sums = two_arms(rows.with_columns(experiment.arms_of(rows[VISITOR])), arms, columns.metrics, before)
    days = None if span is None else float(span[1] - before_days)
    found = {}
    for metric, (control, treatment) in sums.metrics.items():
        if why := lacking(control, treatment, arms):
            raise ExperimentError(
                f"--log {log}: {metric}: put into arms by hash, {why}; give a longer log, or figures (--rate)"
            )
        pages = sums.pages[0] + sums.pages[1]
        ratio = float(control.outcomes.sum() + treatment.outcomes.sum()) / pages
        found[metric] = (ratio, measured_traffic(control, treatment, days))
    return found
