"""Lifts of ratios: closed forms where pages are independent, a bootstrap over visitors, coverage, CUPED."""

import math

import numpy as np
import polars as pl
import pytest
from numpy.random import Generator, default_rng

from ukdsl_assets.experiments.lift import Sums, influence, lift_between
from ukdsl_assets.experiments.ratio_check import ratio_check
from ukdsl_assets.experiments.visitors import two_arms


def visitors(random: Generator, count: int, rate: float, with_before: bool = False) -> Sums:
    """Visitors of one to many pages, of whom some click much more than others."""
    pages, taste = random.geometric(0.3, count).astype(float), random.gamma(2, 0.5, count)
    own = np.clip(rate * taste, 0, 1)
    outcomes = random.binomial(pages.astype(int), own).astype(float)
    if not with_before:
        return Sums(outcomes, pages)
    # No arm has changed the time before.
    before = random.poisson(3, count)
    clicks = random.binomial(before, np.clip(0.2 * taste, 0, 1))
    return Sums(outcomes, pages, clicks.astype(float), before.astype(float))


def test_one_page_each_is_the_lift_of_two_proportions() -> None:
    control = Sums(np.repeat([1.0, 0.0], [200, 800]), np.ones(1000))
    treatment = Sums(np.repeat([1.0, 0.0], [240, 760]), np.ones(1000))
    lift = lift_between(control, treatment)
    assert lift.lift == pytest.approx(0.2)
    assert lift.error == pytest.approx(math.sqrt(0.8 / (0.2 * 999) + 0.76 / (0.24 * 999)))
    assert lift.interval(1.96)[0] == pytest.approx(1.2 * math.exp(-1.96 * lift.error) - 1)
    assert (lift.control, lift.treatment) == pytest.approx((0.2, 0.24))


def test_the_error_is_that_of_a_bootstrap_over_visitors() -> None:
    random = default_rng(1)
    arms = [visitors(random, 3000, rate) for rate in (0.2, 0.24)]
    drawn = []
    for _ in range(600):
        ratios = []
        for arm in arms:
            who = random.integers(0, 3000, 3000)
            ratios.append(arm.outcomes[who].sum() / arm.pages[who].sum())
        drawn.append(math.log(ratios[1] / ratios[0]))
    # The deviation of 600 replicates is known to 3%.
    assert lift_between(*arms).error == pytest.approx(np.std(drawn), rel=0.1)


def test_pages_that_are_taken_for_independent_have_too_small_an_error() -> None:
    control, treatment = (visitors(default_rng(seed), 3000, 0.2) for seed in (1, 2))
    naive = math.sqrt(sum((1 - arm.ratio) / (arm.ratio * arm.pages.sum()) for arm in (control, treatment)))
    assert lift_between(control, treatment).error > 1.1 * naive


def test_intervals_hold_the_lift_in_95_of_100_experiments_with_cuped_and_without() -> None:
    random, held, removed = default_rng(3), np.zeros(2), []
    for _ in range(400):
        arms = [visitors(random, 800, rate, with_before=True) for rate in (0.2, 0.24)]
        for place, chosen in enumerate((arms, [Sums(*arm[:2]) for arm in arms])):
            lift = lift_between(*chosen)
            low, high = lift.interval(1.96)
            held[place] += low <= 0.2 <= high
            removed.append(lift.variance_removed) if place == 0 else None
    # Four standard errors of 400 draws of 95% are 4.4%.
    assert np.all(np.abs(held / 400 - 0.95) < 0.044)
    assert np.mean(removed) > 0.05


def test_cuped_takes_out_what_was_so_before() -> None:
    random = default_rng(4)
    pages, taste = np.full(2000, 10.0), random.gamma(4, 0.5, 2000)
    outcomes = random.poisson(taste).astype(float)
    before = random.poisson(5 * taste).astype(float)
    arms = [
        Sums(outcomes[half], pages[half], before[half], 5 * pages[half]) for half in (slice(0, 1000), slice(1000, None))
    ]
    lift = lift_between(*arms)
    assert lift.variance_removed == pytest.approx(1 - lift.error**2 / lift.unadjusted**2)
    # taste has variance 1, outcomes 3, before 35 with covariance 5: 25 / (3 * 35).
    assert lift.variance_removed == pytest.approx(25 / 105, abs=0.06)
    nothing = [Sums(arm.outcomes, arm.pages, np.zeros(1000), np.zeros(1000)) for arm in arms]
    assert lift_between(*nothing).log == pytest.approx(lift_between(*(Sums(*arm[:2]) for arm in arms)).log)


def test_what_a_visitor_adds_has_mean_zero_and_nothing_is_undefined_in_silence() -> None:
    arm = visitors(default_rng(5), 500, 0.3)
    assert abs(influence(arm).mean()) < 1e-12
    empty = Sums(np.zeros(0), np.zeros(0))
    silent = Sums(np.zeros(9), np.ones(9))
    for odd in (empty, silent, Sums(np.ones(1), np.ones(1))):
        lift = lift_between(odd, arm)
        assert math.isnan(lift.log) or math.isnan(lift.error)


def test_the_ratio_check_is_the_chi_square_of_the_shares() -> None:
    check = ratio_check((10_000, 10_300), (0.5, 0.5))
    # 2 * 150^2 / 10,150 = 4.43, of one degree of freedom.
    assert check.p_value == pytest.approx(math.erfc(math.sqrt(4.4335 / 2)), rel=1e-3)
    assert check.passed
    assert not ratio_check((10_000, 10_500), (0.5, 0.5)).passed
    assert not ratio_check((10_000, 10_000), (0.45, 0.55)).passed
    assert ratio_check((9_000, 1_020), (0.9, 0.1)).passed
    assert not ratio_check((0, 0), (0.5, 0.5)).passed


def test_a_metric_that_is_called_like_one_of_before_is_not_taken_for_it() -> None:
    rows = pl.DataFrame(
        {"visitor": ["1", "2"], "arm": ["a", "b"], "pages": [3, 4], "clicks": [1.0, 2.0], "clicks before": [7.0, 8.0]}
    )
    before = pl.DataFrame({"visitor": ["2"], "pages": [5], "clicks": [4.0], "clicks before": [9.0]})
    found = two_arms(rows, ["a", "b"], ["clicks", "clicks before"], before)
    told = {name: [[float(column[0]) for column in arm] for arm in arms] for name, arms in found.metrics.items()}  # type: ignore[index]
    assert told == {"clicks": [[1, 3, 0, 0], [2, 4, 4, 5]], "clicks before": [[7, 3, 0, 0], [8, 4, 9, 5]]}
