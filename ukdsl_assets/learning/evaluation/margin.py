"""A change of NE held to a margin, in three ways: it passed, it failed, or there is too little to tell."""

import math
from typing import Any

from ukdsl_assets.gates import GateResult, Severity, finite
from ukdsl_assets.learning.metrics.interval import STANDARD_ERRORS, interval

# So many standard errors within the margin lies the change of nine equal students of ten.
NINE_OF_TEN = 1.28


def held_to_margin(
    name: str, change: float, error: float, margin: float, told: str, days: int, severity: Severity
) -> GateResult:
    """The verdict on a change of NE, which is better the smaller it is.

    1. The upper end of its 95% interval is at most the margin: passed, however wide the interval.
    2. The change exceeds the margin and its interval lies above 0: failed. It is a loss, and too large by what is seen.
    3. The change exceeds the margin and the interval reaches no further than the margin to either side: failed.
    4. Else not judged: a loss beyond the margin is not ruled out, nor is it what was seen.

    A message of rule 4 says how many days would do, for nine of ten students that are equal to pass; none where there
    are as many: such a student is within the margin by less than its interval.

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
    lost = change > margin and (low > min(margin, 0) or wide <= margin)
    if lost or not (math.isfinite(change) and math.isfinite(error)):
        return GateResult(name, False, told, severity, seen)
    would = "too few rows to tell"
    if margin > 0:
        needed = math.ceil(days * ((STANDARD_ERRORS + NINE_OF_TEN) * error / margin) ** 2)
        would = "the change is within the margin, and its interval is not"
        if needed > days:
            would = f"too few rows for this margin: about {needed} days of them in place of {days} would do"
    return GateResult.not_judged(name, f"{told}; {would}", severity, seen)
