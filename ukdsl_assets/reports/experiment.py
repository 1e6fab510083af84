"""An experiment for people: the verdict, a line a metric, the ratio check, the looks, and what to do next."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ukdsl_assets.experiments.power import Traffic, drift, information_for, smallest_lift
from ukdsl_assets.experiments.ratio_check import THRESHOLD
from ukdsl_assets.experiments.reading import MOST_IN_BOTH, MetricReading, Reading
from ukdsl_assets.reports.rounded import decimals_of
from ukdsl_assets.reports.standing import wrapped

_LABEL, _NAME, _FIGURE = 10, 20, 10
# Days of which a plan is shown what it would find.
_WEEKS = (7, 14, 28)


def reading_lines(reading: Reading, width: int) -> list[str]:
    """At a glance: lines of at most `width` characters, but for longer words."""
    control, treatment = reading.experiment.shares
    title = f"{reading.experiment.name}: {treatment} against {control}: {reading.verdict}"
    lines = [*wrapped(title, width), *wrapped(f"Because {reading.why}.", width), ""]
    head = f"{'per page':{_NAME}}{_cut(control, _FIGURE - 1):>{_FIGURE}}{_cut(treatment, _FIGURE - 1):>{_FIGURE}}"
    lines.append(f"{head}{'lift':>{_FIGURE}}  interval")
    lines += [_metric_line(metric) for metric in reading.metrics]
    lines.append("")
    for label, words in _facts(reading):
        lines += _labelled(label, words, width)
    return lines


def reading_json(reading: Reading) -> dict[str, Any]:
    """Everything that was read, as JSON values; what is undefined or infinite is null."""
    plan = reading.plan
    return {
        "experiment": reading.experiment.name,
        "shares": dict(reading.experiment.shares),
        "verdict": reading.verdict,
        "why": reading.why,
        "next": next_step(reading),
        "visitors": list(reading.visitors),
        "pages": list(reading.pages),
        "visitors_in_both_arms": reading.in_both,
        "ratio_check": {
            "expected": list(reading.ratio.expected),
            "p_value": reading.ratio.p_value,
            "threshold": THRESHOLD,
            "passed": reading.ratio.passed,
        },
        "days": reading.days,
        "read_days": reading.read_days,
        "plan": None if plan is None else {"days": plan.days, "looks": list(plan.looks)},
        "next_look": _next_look(reading),
        "metrics": [_metric_json(metric) for metric in reading.metrics],
    }


def next_step(reading: Reading) -> str:
    """What to do now, one sentence or two."""
    control, treatment = reading.experiment.shares
    look = _next_look(reading)
    if reading.verdict == "Not judged":
        if not reading.ratio.passed:
            return (
                "find out why the arms differ in number (redirects, lost logs, bots, who counts as a visitor), mend "
                "it, and run a new experiment with another name; no lift of this one means anything"
            )
        if reading.in_both > MOST_IN_BOTH * (sum(reading.visitors) + reading.in_both):
            return "check that the visitor's id is the one that arms are drawn by, and that logs of the arms are apart"
        return "let it run on, or name a metric that happens more often"
    if reading.verdict == "Better":
        if worse := [metric.name for metric in reading.metrics if metric.finding == "lower"]:
            lost, gained = " and ".join(worse), reading.metrics[0].name
            return f"serve {treatment} to nobody yet: it loses {lost}; decide what a {gained} is worth beside it"
        if unknown := [metric.name for metric in reading.metrics if metric.finding == "not judged"]:
            return f"let it run on, or find out why {' and '.join(unknown)} cannot be judged, before all are served"
        return f"serve {treatment} to all; keep a small share on {control} if its lift is to be known later"
    if reading.verdict == "Worse":
        return f"serve {control} to all, and look at where {treatment} loses"
    if reading.verdict == "Not decided yet":
        return f"look again after day {look}; looking before changes nothing"
    return (
        f"keep {control}; a smaller lift than the interval's ends takes a longer experiment: "
        "`ukdsl experiment power --lift` says how long"
    )


def power_lines(
    found: Mapping[str, tuple[float, Traffic]],
    power: float,
    looks: int,
    lift: float | None,
    days: int | None,
    width: int,
) -> list[str]:
    """What an experiment would find by its length, and how long it takes for a lift where one is asked for."""
    lines = wrapped(f"Power {power:.0%}, error 5% over {looks} look(s), each metric by itself", width)
    for metric, (ratio, traffic) in found.items():
        of_days = "" if traffic.days is None else f", of {traffic.days:g} day(s)"
        lines += ["", *wrapped(f"{metric} per page: {_ratio(ratio)}; {traffic.visitors:,} visitors{of_days}", width)]
        if traffic.unadjusted > traffic.error:
            removed = 1 - (traffic.error / traffic.unadjusted) ** 2
            lines += wrapped(f"CUPED takes {removed:.1%} of the variance", width)
        lines += _plan_lines(traffic, power, looks, days)
        if lift is not None:
            lines += wrapped(_takes(traffic, power, looks, lift), width)
    return lines


def power_json(
    found: Mapping[str, tuple[float, Traffic]], power: float, looks: int, lift: float | None, days: int | None
) -> dict[str, Any]:
    """The same as JSON values."""
    needed = drift(power, looks)
    metrics = []
    for metric, (ratio, traffic) in found.items():
        enough = None if lift is None else information_for(lift, needed) / traffic.information
        spans = [] if traffic.days is None else sorted({*_WEEKS, *([days] if days else [])})
        metrics.append(
            {
                "metric": metric,
                "per_page": ratio,
                "visitors": traffic.visitors,
                "days": traffic.days,
                "error": traffic.error,
                "error_without_cuped": traffic.unadjusted,
                "smallest_lift": _finite(smallest_lift(traffic.information, needed)),
                "smallest_lift_by_days": {
                    str(span): _finite(smallest_lift(traffic.information * span / (traffic.days or 1), needed))
                    for span in spans
                },
                "visitors_for_lift": None if enough is None else math.ceil(traffic.visitors * enough),
                "days_for_lift": None if enough is None or traffic.days is None else math.ceil(traffic.days * enough),
            }
        )
    return {"power": power, "looks": looks, "lift": lift, "metrics": metrics}


def _plan_lines(traffic: Traffic, power: float, looks: int, days: int | None) -> list[str]:
    needed = drift(power, looks)
    if traffic.days is None:
        return [f"Smallest lift that these visitors find: {_percent(smallest_lift(traffic.information, needed))}"]
    lines = [f"{'days':>6}{'smallest lift found':>22}"]
    for span in sorted({*_WEEKS, *([days] if days else [])}):
        information = traffic.information * span / traffic.days
        lines.append(f"{span:>6}{_percent(smallest_lift(information, needed)):>22}")
    return lines


def _takes(traffic: Traffic, power: float, looks: int, lift: float) -> str:
    needed = drift(power, looks)
    times = information_for(lift, needed) / traffic.information
    visitors = math.ceil(traffic.visitors * times)
    if traffic.days is None:
        return f"A lift of {_percent(lift)} takes {visitors:,} visitors."
    days = math.ceil(traffic.days * times)
    return f"A lift of {_percent(lift)} takes {days:,} day(s): give --days {days} to `ukdsl experiment read`."


def _metric_line(metric: MetricReading) -> str:
    name = f"{_cut(metric.name, _NAME - 1):{_NAME}}"
    if metric.lift is None:
        return f"{name}not judged"
    figures = "".join(f"{_ratio(value):>{_FIGURE}}" for value in (metric.lift.control, metric.lift.treatment))
    told = f"{name}{figures}{_percent(metric.lift.lift):>{_FIGURE}}  "
    if metric.finding == "not judged":
        return f"{told}not judged"
    if metric.interval is None or not all(map(math.isfinite, metric.interval)):
        return f"{told}none at this look"
    low, high = map(_percent, metric.interval)
    return f"{told}{low} to {high}, {metric.finding}"


def _facts(reading: Reading) -> list[tuple[str, str]]:
    check, shares = reading.ratio, list(reading.experiment.shares.values())
    told = " and ".join(f"{count:,}" for count in reading.visitors)
    passed = "passed" if check.passed else "FAILED"
    facts = [
        ("Visitors", f"{told}, by shares of {shares[0]:.3g} and {shares[1]:.3g}"),
        ("Ratio", f"check {passed}: p = {check.p_value:.2g}, threshold {THRESHOLD:g}"),
        ("Pages", " and ".join(f"{count:,}" for count in reading.pages)),
    ]
    if reading.in_both:
        facts.append(("Left out", f"{reading.in_both:,} visitor(s) who were in both arms"))
    facts += [("Lacking", f"{each.name}: {each.why}") for each in reading.metrics if each.lift is None]
    facts.append(("Looks", _looks_told(reading)))
    removed = [
        f"{metric.name} {metric.lift.variance_removed:.1%}"
        for metric in reading.metrics
        if metric.lift is not None and metric.lift.unadjusted > metric.lift.error
    ]
    if removed:
        facts.append(("CUPED", f"took of the variance: {', '.join(removed)}"))
    facts.append(("Next", next_step(reading)))
    return facts


def _looks_told(reading: Reading) -> str:
    plan = reading.plan
    if plan is None:
        return "this one alone: its error of 5% holds if nobody looked before or will again (--days plans more)"
    days = ", ".join(map(str, plan.looks))
    left = sum(look > (reading.days or 0) for look in plan.looks)
    seen = f"read after day {reading.read_days}" if reading.read_days else "none is due"
    beyond = ""
    if reading.days is not None and reading.read_days is not None and reading.days > reading.read_days:
        beyond = f", {reading.days - reading.read_days} newer day(s) not read"
    return f"after day(s) {days}; {seen}{beyond}; {left} left"


def _next_look(reading: Reading) -> int | None:
    return None if reading.plan is None or reading.days is None else reading.plan.next_look(reading.days)


def _metric_json(metric: MetricReading) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "finding": metric.finding,
        "decided_after": metric.decided_after,
        "why": metric.why,
        "looks": [
            {
                "days": look.days,
                "bound": _finite(look.bound),
                **(
                    {}
                    if look.lift is None
                    else {
                        "control": look.lift.control,
                        "treatment": look.lift.treatment,
                        "lift": look.lift.lift,
                        "error_of_log": look.lift.error,
                        "error_without_cuped": look.lift.unadjusted,
                        "z": look.lift.z,
                        "interval": [_finite(end) for end in look.lift.interval(look.bound)],
                    }
                ),
            }
            for look in metric.looks
        ],
    }


def _labelled(label: str, words: str, width: int) -> list[str]:
    first, *rest = wrapped(words, width - _LABEL)
    return [f"{label:{_LABEL}}{first}", *(f"{'':{_LABEL}}{line.strip()}" for line in rest)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ratio(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.{decimals_of(value)}f}"


def _percent(value: float) -> str:
    return f"{100 * value:+.{1 if abs(value) >= 0.1 else 2}f}%" if math.isfinite(value) else "none"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}~"


def arm_lines(assigned: Sequence[tuple[str, str]]) -> list[str]:
    """A line a visitor: the id and its arm."""
    widest = max((len(visitor) for visitor, _ in assigned), default=0)
    return [f"{visitor:{widest}}  {arm}" for visitor, arm in assigned]
