"""Figures rounded for people who read them at a glance: three significant digits, an error beside what it is of."""

import math

UNDEFINED = "not measured"
# A digit further than the thousandth part says nothing that an error would not take back.
_MOST_DECIMALS = 3


def decimals_of(value: float) -> int:
    """Digits after the point that give a figure three significant ones, 0 to 3; 2 for 0 and what is not finite."""
    if not math.isfinite(value) or value == 0:
        return 2
    return min(max(2 - math.floor(math.log10(abs(value))), 0), _MOST_DECIMALS)


def rounded(value: float | None) -> str:
    """1.28, 0.998, 12.3, 127; what is None or not finite is not measured."""
    return f"{value:.{decimals_of(value)}f}" if value is not None and math.isfinite(value) else UNDEFINED


def with_error(value: float | None, error: float | None) -> str:
    """1.28 +- .06, 1.00 +- .004: the error with one digit more than the figure where it would be zero without."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    if error is None or not math.isfinite(error):
        return rounded(value)
    return f"{rounded(value)} +- {_beside(error, decimals_of(value))}"


def percent(change: float | None, error: float | None) -> str:
    """-1.98 +- .17%, of -0.0198 and 0.0017; one digit after the point from ten percent on, none from a hundred."""
    if change is None or not math.isfinite(change):
        return UNDEFINED
    decimals = min(decimals_of(100 * change), 2)
    told = f"{100 * change:+.{decimals}f}"
    if error is None or not math.isfinite(error):
        return f"{told}%"
    return f"{told} +- {_beside(100 * error, decimals)}%"


def _beside(error: float, decimals: int) -> str:
    while decimals < _MOST_DECIMALS and 0 < error < 0.5 * 10**-decimals:
        decimals += 1
    return f"{error:.{decimals}f}".removeprefix("0") if decimals else f"{error:.0f}"
