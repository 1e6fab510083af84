"""Bounds of planned looks: those of published tables, the error they keep, and a simulation of who peeks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.experiments.plan import Plan
from ukdsl_assets.experiments.power import drift, information_for, smallest_lift, stated_traffic
from ukdsl_assets.experiments.spending import bounds, crossing, spent


@pytest.mark.parametrize(
    ("looks", "published"),
    [
        (1, [1.96]),
        (2, [2.963, 1.969]),
        (4, [4.333, 2.963, 2.359, 2.014]),
        (5, [4.877, 3.357, 2.680, 2.290, 2.031]),
    ],
)
def test_bounds_are_the_published_ones(looks: int, published: list[float]) -> None:
    # Of two-sided 5% and equal steps, as in Reboussin et al., Computations for group sequential boundaries (2000).
    fractions = np.arange(1, looks + 1) / looks
    np.testing.assert_allclose(bounds(spent(fractions), fractions), published, atol=1.5e-3)


@given(st.lists(st.floats(0.02, 1), min_size=1, max_size=6), st.lists(st.floats(0.05, 1), min_size=6, max_size=6))
@settings(max_examples=20, deadline=None)
def test_the_error_that_is_spent_is_that_of_the_bounds_whatever_was_measured(
    steps: list[float], information: list[float]
) -> None:
    fractions = np.cumsum(steps) / np.sum(steps)
    measured = np.cumsum(information[: len(steps)])
    limits = bounds(spent(fractions), measured)
    assert crossing(limits, measured) == pytest.approx(0.05, abs=1e-6)


def test_a_look_that_tells_nothing_new_leaves_its_error_to_the_next() -> None:
    limits = bounds(spent([0.25, 0.5, 0.75, 1.0]), [0.0, 2.0, 2.0, 4.0])
    assert np.isinf(limits[[0, 2]]).all()
    np.testing.assert_allclose(limits[[1, 3]], bounds(spent([0.5, 1.0]), [0.5, 1.0]), atol=1e-6)


def test_who_peeks_finds_something_in_one_of_twenty_sound_experiments_and_without_bounds_in_many() -> None:
    random, experiments, looks = default_rng(1), 20_000, 10
    fractions = np.arange(1, looks + 1) / looks
    z = np.cumsum(random.standard_normal((experiments, looks)), axis=1) / np.sqrt(np.arange(1, looks + 1))
    kept = (np.abs(z) >= bounds(spent(fractions), fractions)).any(axis=1).mean()
    naive = (np.abs(z) >= 1.96).any(axis=1).mean()
    # Four standard errors of 20,000 draws are 0.6%.
    assert kept == pytest.approx(0.05, abs=0.006)
    assert naive > 0.18


def test_power_is_that_of_drawn_experiments() -> None:
    needed = drift(0.8, 4)
    assert drift(0.8, 1) == pytest.approx(1.95996 + 0.84162, abs=1e-3)
    # Four looks cost 2% more visitors.
    assert (needed / drift(0.8, 1)) ** 2 == pytest.approx(1.02, abs=0.005)
    fractions = np.arange(1, 5) / 4
    steps = default_rng(2).standard_normal((20_000, 4)) / 2 + needed / 4
    z = np.cumsum(steps, axis=1) / np.sqrt(fractions)
    found = (np.abs(z) >= bounds(spent(fractions), fractions)).any(axis=1).mean()
    assert found == pytest.approx(0.8, abs=0.012)


def test_lift_and_information_are_inverse_to_each_other() -> None:
    needed = drift()
    for lift in (0.01, 0.3):
        assert smallest_lift(information_for(lift, needed), needed) == pytest.approx(lift)
    # A loss takes as much as the lift that makes it good again.
    assert information_for(-0.5, needed) == pytest.approx(information_for(1.0, needed))


def test_stated_figures_are_those_of_the_textbook() -> None:
    # 16 p (1 - p) / d^2 visitors an arm, of an absolute difference d.
    traffic = stated_traffic(0.1, 1, None, 1000, None, (0.5, 0.5))
    visitors = 1000 * information_for(0.02, drift()) / traffic.information
    assert visitors == pytest.approx(2 * 16 * 0.09 / 0.002**2, rel=0.03)
    more = stated_traffic(0.1, 4, None, 1000, None, (0.5, 0.5))
    assert more.information == pytest.approx(4 * traffic.information)
    uneven = stated_traffic(0.1, 1, None, 1000, None, (0.1, 0.9))
    assert uneven.information == pytest.approx(0.36 * traffic.information)


@pytest.mark.parametrize("wrong", [0.0, 0.05, 1.0, 1.3, float("nan")])
def test_a_power_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(ExperimentError, match="power: saw"):
        drift(wrong)


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1e-200, -1e-9, float("nan"), float("inf")])
def test_a_lift_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(ExperimentError, match="lift: saw"):
        information_for(wrong, 2.8)


@pytest.mark.parametrize(
    "wrong", [(0, 1, None), (-0.1, 1, None), (1.5, 1, None), (0.1, 0, None), (0.1, 1, 0.0), (0.1, 1, -1.0)]
)
def test_figures_that_cannot_be_are_refused(wrong: tuple[float, float, float | None]) -> None:
    with pytest.raises(ExperimentError, match=r"saw|give --variance"):
        stated_traffic(*wrong, 100, None, (0.5, 0.5))


def test_looks_are_planned_evenly_and_the_last_is_the_end() -> None:
    assert Plan.evenly(14, 4).looks == (4, 7, 11, 14)
    assert Plan.evenly(3, 4).looks == (1, 2, 3)
    plan = Plan.evenly(8)
    assert plan.looks == (2, 4, 6, 8)
    assert (list(plan.done(5)), plan.next_look(5), plan.next_look(8)) == ([2, 4], 6, None)
    for days, looks in ((5, (2, 4)), (5, (3, 2, 5)), (5, ()), (0, (0,)), (5, (0, 5))):
        with pytest.raises(ExperimentError, match="plan: "):
            Plan(days, looks)


def test_what_few_visitors_of_a_tiny_share_find_is_infinite_and_no_fault() -> None:
    traffic = stated_traffic(0.1, 1, None, 100, None, (1e-300, 1.0))
    assert smallest_lift(traffic.information, 2.8) == math.inf
    with pytest.raises(ExperimentError, match="a standard error of"):
        stated_traffic(5e-324, 1, 1e300, 1, None, (0.5, 0.5))
