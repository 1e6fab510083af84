"""A change of NE held to a margin, in three ways: it passed, it failed, or there is too little to tell."""

import math
from typing import Any

from ukdsl_assets.gates import GateResult, Severity, finite

# Of an interval of 95%, in standard errors.
STANDARD_ERRORS = 1.96


def held_to_margin(
    name: str, change: float, error: float, margin: float, told: str, days: int, severity: Severity
) -> GateResult:
    """The verdict on a change of NE, which is better the smaller it is.

    1. The upper end of its 95% interval is at most the margin: passed, however wide the interval.
    2. The change exceeds the margin and its interval lies above 0: failed. It is a loss, and too large by what is seen.
    3. The interval is wider than the margin to either side: not judged, with how many days would do. A loss of nothing
       and one of twice the margin cannot be told apart.
    4. Else failed: rows enough, and a loss beyond the margin is not ruled out.

    A change or error that is not finite excuses nothing: failed.

    Args:
        name: of the gate.
        change: NE over that of what it is compared with, minus 1; error: its standard error.
        margin: at 0 or below, a gain is demanded: then rule 2 asks for a whole interval above it.
        told: what was seen, the beginning of the message.
        days: how many days' requests the error is of.
        severity: of a verdict that is not passed.
    """
    low, high = interval(change, error)
    seen: dict[str, Any] = {"ne_change": finite(change), "standard_error": finite(error), "low": finite(low)}
    seen |= {"high": finite(high), "margin": margin, "days": days}
    if high <= margin:
        return GateResult(name, True, told, severity, seen)
    wide = STANDARD_ERRORS * error
    lost = not math.isfinite(error) or (change > margin and low > min(margin, 0))
    if lost or not wide > max(margin, 0) or not low <= margin:
        return GateResult(name, False, told, severity, seen)
    would = "too few rows to tell"
    if margin > 0:
        needed = math.ceil(days * (wide / margin) ** 2)
        would = f"too few rows for this margin: about {needed} days of them in place of {days} would do"
    return GateResult.not_judged(name, f"{told}; {would}", severity, seen)


def interval(change: float, error: float) -> tuple[float, float]:
    """The 95% interval of a change by its standard error; NaN where either is."""
    return change - STANDARD_ERRORS * error, change + STANDARD_ERRORS * error
