"""Expected order statistics against closed forms, symmetry, an independent integral, and the sum they replace."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import log_ndtr
from scipy.stats import norm

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.order_statistics import (
    blom_order_statistics,
    blom_top,
    expected_order_statistics,
    expected_top,
)

ROOT_PI = np.sqrt(np.pi)


@pytest.mark.parametrize(
    ("n", "largest"),
    [
        (1, 0),
        (2, 1 / ROOT_PI),
        (3, 1.5 / ROOT_PI),
        (4, 6 * np.arctan(np.sqrt(2)) / np.pi / ROOT_PI),
        (5, (5 / 4 + 15 / (2 * np.pi) * np.arcsin(1 / 3)) / ROOT_PI),
    ],
)
def test_the_largest_of_few_has_its_closed_form(n: int, largest: float) -> None:
    assert expected_order_statistics(n, n) == pytest.approx(largest, abs=1e-14)
    assert expected_top(1, n) == pytest.approx(largest, abs=1e-14)


def test_five_agree_with_the_published_table() -> None:
    # Harter (1961), Biometrika 48, table 1.
    assert expected_order_statistics([3, 4, 5], 5) == pytest.approx([0, 0.49502, 1.16296], abs=5e-6)


@settings(max_examples=30)
@given(n=st.integers(1, 300))
def test_they_rise_are_antisymmetric_and_sum_to_zero(n: int) -> None:
    z = expected_order_statistics(np.arange(1, n + 1), n)
    assert (np.diff(z) > 0).all()
    assert z == pytest.approx(-z[::-1], abs=1e-13)
    assert z.sum() == pytest.approx(0, abs=1e-11)


@settings(max_examples=30)
@given(n=st.integers(1, 400))
def test_the_mean_of_the_top_is_that_of_its_order_statistics(n: int) -> None:
    k = np.arange(1, n + 1)
    summed = np.cumsum(expected_order_statistics(k, n)[::-1]) / k
    assert expected_top(k, n) == pytest.approx(summed, abs=1e-12)


@pytest.mark.parametrize("n", [10, 1000, 10**6])
def test_the_largest_of_many_agrees_with_the_integral_of_its_tail(n: int) -> None:
    # E max = integral over z > 0 of 1 - Phi(z)^n, less that over z < 0 of Phi(z)^n, which is below 1e-3 for n = 10.
    above, _ = quad(lambda z: -np.expm1(n * log_ndtr(z)), 0, 12, epsabs=1e-13, epsrel=1e-13, limit=400)
    below, _ = quad(lambda z: np.exp(n * log_ndtr(z)), -12, 0, epsabs=1e-13, epsrel=1e-13)
    assert expected_order_statistics(n, n) == pytest.approx(above - below, abs=1e-11)


def test_a_million_are_stable_from_end_to_end() -> None:
    n = 10**6
    # The mean above a quantile q is phi(z_q) / (1 - q) in the limit; corrections are of the order 1 / n.
    k = np.array([n // 100, n // 2, 99 * n // 100])
    limits = norm.pdf(norm.isf(k / n)) / (k / n)
    assert expected_top(k, n) == pytest.approx(limits, abs=3e-5)
    assert expected_top(n, n) == 0
    middle = expected_order_statistics([n // 2, n // 2 + 1], n)
    assert middle.sum() == pytest.approx(0, abs=1e-12)
    # Neighbours of the median are 1 / (n phi(0)) apart in the limit.
    assert middle[1] - middle[0] == pytest.approx(np.sqrt(2 * np.pi) / n, rel=1e-5)


def test_royston_by_blom_is_within_a_hundredth() -> None:
    ranks = np.arange(1, 101)
    exact, blom = expected_order_statistics(ranks, 100), blom_order_statistics(ranks, 100)
    assert 1e-4 < np.abs(exact - blom).max() < 0.01
    assert blom_top([1, 10, 100], 100) == pytest.approx([blom[-1], blom[-10:].mean(), 0], abs=1e-12)


def test_shapes_are_kept_and_nothing_gives_nothing() -> None:
    assert expected_order_statistics(np.array([[1, 2], [2, 1]]), 2).shape == (2, 2)
    assert expected_order_statistics(np.empty(0, np.int64), 2).shape == (0,)
    assert expected_top(1, 2).shape == ()


@pytest.mark.parametrize(("ranks", "n"), [(0, 3), (4, 3), (1.5, 3), (1, 0)])
def test_ranks_that_cannot_be_are_refused(ranks: float, n: int) -> None:
    with pytest.raises(TheoryError, match="expected"):
        expected_order_statistics(ranks, n)
    with pytest.raises(TheoryError, match="expected"):
        expected_top(ranks, n)
