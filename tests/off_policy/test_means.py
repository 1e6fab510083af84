"""Means over requests: their errors, how they add up over days, and an interval that allows for skewness."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.off_policy.means import NOTHING, Mean, difference, interval, mean_of, pooled

PARTS = np.random.default_rng(0).exponential(size=400)


def test_a_mean_has_the_usual_error_and_its_own_skewness() -> None:
    mean = mean_of(PARTS)
    assert mean.value == pytest.approx(PARTS.mean())
    assert mean.error == pytest.approx(PARTS.std(ddof=1) / 20)
    third = ((PARTS - PARTS.mean()) ** 3).mean() / PARTS.std(ddof=1) ** 3
    assert mean.skewness == pytest.approx(third / 20)


def test_without_skewness_the_interval_is_the_symmetric_one() -> None:
    assert interval(Mean(10, 2.0, 0.5, 0.0)) == pytest.approx((1.02, 2.98))
    low, high = interval(Mean(10, 2.0, 0.5, 1e-5))
    assert (low, high) == pytest.approx((1.02, 2.98), abs=1e-4)


def test_a_tail_to_the_right_moves_the_interval_to_the_right() -> None:
    low, high = interval(Mean(100, 0.0, 1.0, 0.2))
    assert -1.96 < low < 0 < 1.96 < high
    mirrored = interval(Mean(100, 0.0, 1.0, -0.2))
    assert mirrored == pytest.approx((-high, -low))
    # At its ends the transformed distance is 1.96.
    for t, normal in ((-low, 1.96), (-high, -1.96)):
        assert t + 0.2 * t**2 / 3 + 0.04 * t**3 / 27 + 0.2 / 6 == pytest.approx(normal)


@given(st.integers(2, 398))
def test_days_add_up_to_the_mean_of_all_their_requests(at: int) -> None:
    both = pooled([mean_of(PARTS[:at]), mean_of(PARTS[at:])])
    assert both.requests == 400
    assert both.value == pytest.approx(PARTS.mean())
    assert pooled([mean_of(PARTS), NOTHING]) == pytest.approx(mean_of(PARTS))


def test_errors_of_independent_means_add_up_and_tails_of_a_difference_cancel() -> None:
    one = mean_of(PARTS)
    less = difference(one, one)
    assert (less.value, less.skewness) == pytest.approx((0.0, 0.0))
    assert less.error == pytest.approx(math.sqrt(2) * one.error)
    halves = pooled([mean_of(PARTS[:200]), mean_of(PARTS[200:])])
    assert halves.error == pytest.approx(one.error, rel=0.02)


def test_what_cannot_be_measured_is_not_a_number() -> None:
    assert mean_of(np.empty(0)) is pooled([]) is NOTHING
    alone = mean_of(np.array([2.0]))
    assert alone.value == 2.0
    assert all(math.isnan(end) for end in interval(alone))
    assert all(math.isnan(end) for end in interval(difference(mean_of(PARTS), NOTHING)))
    assert interval(mean_of(np.ones(5))) == (1.0, 1.0)
    assert math.isnan(mean_of(np.array([1.0, math.nan])).value)
