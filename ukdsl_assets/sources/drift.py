"""Gates that compare a day with the days before it."""

from collections.abc import Sequence
from math import inf, isfinite
from statistics import median

from ukdsl_assets.cascade import Bounds, Cascade
from ukdsl_assets.gates import GateResult


def volume(cascade: Cascade, rows_today: int, trailing_rows: Sequence[int]) -> GateResult:
    """Judge a day's rows against the median of the trailing days (usually seven) by `gates.volume`.

    An empty day fails; without a trailing day everything else passes, and the message says so.
    """
    gate = "volume_near_trailing_median"
    if rows_today == 0:
        return GateResult(gate, False, f"{cascade.name}: 0 rows today; see whether the day's logs were written")
    return _near_median(cascade.name, gate, "rows", rows_today, trailing_rows, cascade.gates.volume)


def label_rate(cascade: Cascade, task: str, rate_today: float | None, trailing_rates: Sequence[float]) -> GateResult:
    """Judge the positive share of a task's labels against the median of the trailing days by `gates.label_rate`.

    Args:
        cascade: gives the bounds.
        task: names the gate.
        rate_today: in [0, 1]; None or NaN, of a day without labels, fails.
        trailing_rates: rates of earlier days (usually seven), in any order; None and NaN are left out.
    """
    gate = f"{task}_label_rate_near_trailing_median"
    if rate_today is None or not isfinite(rate_today):
        message = f"{cascade.name}: no labels of task {task} today; see whether impressions arrived"
        return GateResult(gate, False, message)
    known = [rate for rate in trailing_rates if rate is not None and isfinite(rate)]
    return _near_median(cascade.name, gate, f"{task} label rate", rate_today, known, cascade.gates.label_rate)


def _near_median(
    name: str, gate: str, what: str, today: float, trailing: Sequence[float], bounds: Bounds
) -> GateResult:
    if not trailing:
        message = f"{name}: {what} {today:,.6g}; passes without comparison, since there is no earlier day"
        return GateResult(gate, True, message, seen={"today": today, "trailing_days": 0})
    middle, (lowest, highest) = median(trailing), bounds
    # Nothing after days of nothing is no change; something after days of nothing is.
    ratio = today / middle if middle else (inf if today else 1.0)
    passed = lowest <= ratio <= highest
    message = (
        f"{name}: {what} {today:,.6g} is {ratio:.3g} of the median {middle:,.6g} of {len(trailing)} earlier day(s), "
        f"expected {lowest:g} to {highest:g}"
    )
    if not passed:
        message += "; see whether logs were lost, doubled or changed, or widen the cascade's bounds under `gates`"
    seen = {"today": today, "median": middle, "ratio": ratio, "trailing_days": len(trailing)}
    return GateResult(gate, passed, message, seen=seen)
