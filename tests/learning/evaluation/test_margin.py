"""The rule of a margin: closed forms of the three ways."""

import math

import pytest
from scipy.stats import norm

from ukdsl_assets.learning.evaluation.margin import held_to_margin
from ukdsl_assets.learning.metrics.interval import STANDARD_ERRORS

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
        (0.002, 0.001, "not judged"),  # rows enough, and a loss beyond the margin is neither seen nor ruled out
        (0.0031, 0.0014, "failed"),  # rows enough, and it is seen, although it may be nothing at all
        (0.0031, 0.0016, "not judged"),
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
    assert said(MARGIN / 2, error * 1.001) == "not judged"


def test_of_the_days_that_would_do_nine_of_ten_equal_students_pass_and_none_is_refused() -> None:
    days, error = 2, 0.01
    verdict = held_to_margin("kept", 0.001, error, MARGIN, "seen", days, "ERROR")
    needed = int(verdict.message.split("about ")[1].split(" ")[0])

    def passes(days_then: int) -> float:
        """Of changes that are normal around 0 with the error of so many days; the upper end is then at the margin."""
        then = error * math.sqrt(days / days_then)
        return float(norm.cdf((MARGIN - STANDARD_ERRORS * then) / then))

    assert passes(needed) == pytest.approx(0.9, abs=0.002)
    assert passes(needed) >= 0.8995 > passes(needed - 1)
    then = error * math.sqrt(days / needed)
    drawn = [said(then * float(norm.ppf((at + 0.5) / 400)), then, days=needed) for at in range(400)]
    assert drawn.count("passed") == pytest.approx(360, abs=2)
    assert drawn.count("failed") <= 1
    assert verdict.message.startswith("not judged: seen; ")
    assert (verdict.blocks, verdict.passed) == (True, False)


def test_rows_that_are_enough_for_an_equal_student_ask_for_no_fewer_days() -> None:
    verdict = held_to_margin("kept", 0.0029, 0.0005, MARGIN, "seen", 7, "ERROR")
    assert verdict.message == "not judged: seen; the change is within the margin, and its interval is not"


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [(-0.02, 0.001, "passed"), (-0.012, 0.005, "not judged"), (0.0, 0.001, "failed"), (-0.005, 0.001, "failed")],
)
def test_a_margin_below_zero_demands_a_gain(change: float, error: float, expected: str) -> None:
    assert said(change, error, margin=-0.01) == expected
