"""Figures keep three significant digits, and an error is never rounded to nothing."""

import math

import pytest

from ukdsl_assets.reports.rounded import UNDEFINED, percent, rounded, with_error


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.2834, "1.28"), (0.9983, "0.998"), (12.34, "12.3"), (127.4, "127"), (0.0, "0.00"), (0.00004, "0.000")],
)
def test_three_significant_digits_and_no_more_than_three_after_the_point(value: float, told: str) -> None:
    assert rounded(value) == told


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (1.2834, 0.0612, "1.28 +- .06"),
        (1.0031, 0.0042, "1.00 +- .004"),
        (0.9561, 0.0359, "0.956 +- .036"),
        (1.0031, 0.00002, "1.00 +- .000"),
        (1.0031, None, "1.00"),
        (1.0031, math.nan, "1.00"),
        (1.2, 3.4, "1.20 +- 3.40"),
    ],
)
def test_an_error_has_the_figures_digits_and_one_more_where_it_would_vanish(
    value: float, error: float | None, told: str
) -> None:
    assert with_error(value, error) == told


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (-0.0198, 0.0017, "-1.98 +- .17%"),
        (0.0281, 0.1826, "+2.81 +- 18.26%"),
        (-0.1234, 0.01, "-12.3 +- 1.0%"),
        (1.5, 0.3, "+150 +- 30%"),
        (-0.00031, 0.00012, "-0.03 +- .01%"),
        (-0.0198, None, "-1.98%"),
    ],
)
def test_changes_are_percent_with_a_sign(change: float, error: float | None, told: str) -> None:
    assert percent(change, error) == told


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_undefined_is_not_measured(value: float | None) -> None:
    assert {rounded(value), with_error(value, 0.1), percent(value, 0.1)} == {UNDEFINED}
