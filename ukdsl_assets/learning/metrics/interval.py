"""Intervals of 95% from standard errors."""

import math

# Half the width of such an interval, in standard errors.
STANDARD_ERRORS = 1.96


def interval(value: float, error: float) -> tuple[float, float]:
    """The 95% interval of a value by its standard error; NaN where either is."""
    return value - STANDARD_ERRORS * error, value + STANDARD_ERRORS * error


def interval_of_ratio(ratio: float, error_of_log: float) -> tuple[float, float]:
    """That of a ratio, on the log scale, where it has only positive ends.

    Args:
        error_of_log: standard error of the ratio's logarithm, which is about that of the ratio over the ratio.

    Returns:
        NaN for a ratio that is undefined or 0, or an error that is undefined.
    """
    if not (ratio > 0 and math.isfinite(error_of_log)):
        return math.nan, math.nan
    width = math.exp(STANDARD_ERRORS * error_of_log)
    return ratio / width, ratio * width
