"""Gates that compare a day with the days before it."""

from collections.abc import Sequence
from math import inf, sqrt
from statistics import median
from typing import Literal

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult

FIX = "; see whether logs were lost, doubled or changed, or widen the cascade's bounds under `gates`"


def volume(cascade: Cascade, rows_today: int, trailing_rows: Sequence[int]) -> GateResult:
    """Judge a day's rows against the median of the trailing days (usually seven) by `gates.volume`.

    An empty day fails; without a trailing day everything else passes, and the message says so.
    """
    gate = "volume_near_trailing_median"
    if rows_today == 0:
        return GateResult(gate, False, f"{cascade.name}: 0 rows today; see whether the day's logs were written")
    if not trailing_rows:
        return _without_comparison(cascade, gate, f"rows {rows_today:,}", rows_today)
    middle, (lowest, highest) = median(trailing_rows), cascade.gates.volume
    ratio = rows_today / middle if middle else inf
    passed = lowest <= ratio <= highest
    message = (
        f"{cascade.name}: rows {rows_today:,} is {ratio:.3g} of the median {middle:,.6g} of {len(trailing_rows)} "
        f"earlier day(s), expected {lowest:g} to {highest:g}"
    )
    figures = {"today": rows_today, "median": middle, "trailing_days": len(trailing_rows)}
    return GateResult(gate, passed, message + ("" if passed else FIX), seen=figures)


def label_rate(
    cascade: Cascade, task: str, positive: int, labelled: int, trailing_rates: Sequence[float | None]
) -> GateResult:
    """Judge the positive share of a task's labels against the median of the trailing days by `gates.label_rate`.

    It fails only where the count of positive labels is outside the bounds by more than two standard errors (of a
    Poisson count): a rare event may double by chance. It only tells for a task that is `delayed`, whose rate depends
    on how long ago the day was.

    Args:
        cascade: gives the bounds.
        task: names the gate.
        positive, labelled: positive labels, and all labels, of today. A day without labels fails, unless the task
            has a label only `given` another.
        trailing_rates: shares of earlier days (usually seven), in any order; None, of a day without labels, is ignored.
    """
    gate = f"{task}_label_rate_near_trailing_median"
    known = [rate for rate in trailing_rates if rate is not None]
    if labelled == 0:
        message = f"{cascade.name}: no labels of task {task} today; see whether impressions arrived"
        return GateResult(gate, cascade.task(task).given is not None, message)
    rate = positive / labelled
    what = f"{task} label rate {rate:.4g} ({positive:,} of {labelled:,})"
    if not known:
        return _without_comparison(cascade, gate, what, rate)
    middle, (lowest, highest) = median(known), cascade.gates.label_rate
    error = sqrt(max(positive, 1))
    fewest, most = lowest * middle * labelled, highest * middle * labelled
    passed = positive + 2 * error >= fewest and positive - 2 * error <= most
    message = (
        f"{cascade.name}: {what} against the median {middle:.4g} of {len(known)} earlier day(s); expected "
        f"{fewest:,.0f} to {most:,.0f} positive labels ({lowest:g} to {highest:g} times), at two standard errors"
    )
    figures = {"today": rate, "median": middle, "trailing_days": len(known)}
    severity: Literal["ERROR", "WARN"] = "WARN" if cascade.task(task).delayed else "ERROR"
    return GateResult(gate, passed, message + ("" if passed else FIX), severity, figures)


def _without_comparison(cascade: Cascade, gate: str, what: str, today: float) -> GateResult:
    message = f"{cascade.name}: {what}; passes without comparison, since there is no earlier day"
    return GateResult(gate, True, message, seen={"today": today, "trailing_days": 0})
