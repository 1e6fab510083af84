"""The rule of a margin: closed forms of the three ways."""

import math

import pytest

from ukdsl_assets.learning.evaluation.margin import STANDARD_ERRORS, held_to_margin

MARGIN = 0.003


def said(change: float, error: float, margin: float = MARGIN, days: int = 1) -> str:
    return held_to_margin("kept", change, error, margin, "seen", days, "ERROR").verdict


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        (-0.05, 0.02, "passed"),  # a gain needs no narrow interval
        (0.0, 0.0015, "passed"),
        (0.0, 0.0016, "not judged"),
        (0.025, 0.003, "failed"),  # the first bad student
        (0.04, 0.015, "failed"),  # and its second, of few rows
        (0.004, 0.0001, "failed"),
        (0.002, 0.001, "failed"),  # rows enough, and a loss beyond the margin is not ruled out
        (0.002, 0.01, "not judged"),
        (0.05, 0.03, "not judged"),  # it may be nothing at all
        (-0.001, 0.02, "not judged"),
        (math.nan, 0.001, "failed"),
        (0.0, math.nan, "failed"),
        (0.0, math.inf, "failed"),
    ],
)
def test_a_change_passes_fails_or_cannot_be_told(change: float, error: float, expected: str) -> None:
    assert said(change, error) == expected


@pytest.mark.parametrize(("change", "error"), [(0.025, 0.003), (0.04, 0.015)])
def test_both_bad_students_fail_at_the_bound_of_the_baseline_too(change: float, error: float) -> None:
    assert said(change, error, margin=0.02) == "failed"


def test_the_upper_end_at_the_margin_passes_and_a_little_more_does_not() -> None:
    error = MARGIN / STANDARD_ERRORS / 2
    assert said(MARGIN / 2, error * 0.999) == "passed"
    assert said(MARGIN / 2, error * 1.001) == "failed"


def test_the_days_that_would_do_make_the_interval_as_narrow_as_the_margin() -> None:
    days, error = 2, 0.01
    verdict = held_to_margin("kept", 0.001, error, MARGIN, "seen", days, "ERROR")
    needed = int(verdict.message.split("about ")[1].split(" ")[0])
    assert STANDARD_ERRORS * error * math.sqrt(days / needed) <= MARGIN
    assert STANDARD_ERRORS * error * math.sqrt(days / (needed - 1)) > MARGIN
    assert verdict.message.startswith("not judged: seen; ")
    assert (verdict.blocks, verdict.passed) == (True, False)


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [(-0.02, 0.001, "passed"), (-0.012, 0.005, "not judged"), (0.0, 0.001, "failed"), (-0.005, 0.001, "failed")],
)
def test_a_margin_below_zero_demands_a_gain(change: float, error: float, expected: str) -> None:
    assert said(change, error, margin=-0.01) == expected
