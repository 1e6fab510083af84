"""AUC by bins: the exact one up to the pairs that share a bin, whatever the shards."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.metrics.auc import auc, auc_with_influence
from ukdsl_assets.learning.metrics.auc_bins import BINS, BinnedOutcomes, bins_of

PROBABILITY = st.floats(0, 1, width=32)
ROWS = st.lists(st.tuples(PROBABILITY, st.floats(0, 1), st.floats(0, 5)), max_size=40)


def binned(p: np.ndarray, y: np.ndarray, w: np.ndarray, parts: int = 1) -> BinnedOutcomes:
    outcomes = BinnedOutcomes()
    for part in np.array_split(np.arange(len(p)), parts):
        outcomes.add(p[part], y[part], w[part])
    return outcomes


@given(st.lists(PROBABILITY, max_size=50))
def test_bins_rise_with_the_prediction_and_are_a_thousandth_wide(values: list[float]) -> None:
    p = np.sort(np.array(values, np.float32))
    bins = bins_of(p)
    assert (np.diff(bins) >= 0).all()
    assert ((bins >= 0) & (bins < BINS)).all()
    smaller = np.clip(np.minimum(p, 1 - p), 2.0**-24, None).astype(float)
    for place in np.flatnonzero(np.diff(bins) == 0):
        assert abs(smaller[place + 1] - smaller[place]) <= smaller[place : place + 2].min() / 1000


def test_the_ends_and_the_middle_have_bins_of_their_own() -> None:
    p = np.array([0, 0.4999, 0.5, 0.5001, 1], np.float32)
    assert bins_of(p).tolist() == sorted(set(bins_of(p).tolist()))
    assert bins_of(p)[[0, -1]].tolist() == [0, BINS - 1]
    assert bins_of(np.array([], np.float32)).shape == (0,)
    beyond = np.array([-1, np.nan, 2, 1e30], np.float32)
    assert bins_of(beyond).tolist() == [0, 0, BINS - 1, BINS - 1]


@given(ROWS, st.integers(1, 4))
def test_the_auc_is_off_by_no_more_than_half_the_pairs_that_share_a_bin(rows: list[tuple], parts: int) -> None:
    p, y, w = np.array(rows, float).reshape(-1, 3).T
    p = p.astype(np.float32)
    outcomes, exact = binned(p, y, w, parts), auc(p, y, w)
    if math.isnan(exact):
        assert math.isnan(outcomes.auc())
        return
    shares = (each / each.sum() for each in (outcomes.positive, outcomes.negative))
    pairs = np.dot(*shares)
    assert abs(outcomes.auc() - exact) <= pairs / 2 + 1e-9


def test_on_many_rows_it_is_the_exact_auc_to_six_places() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 20, 200_000).astype(np.float32)
    y, w = (rng.random(200_000) < p).astype(float), rng.uniform(1, 3, 200_000)
    outcomes = binned(p, y, w, parts=7)
    exact, influence = auc_with_influence(p, y, w)
    assert outcomes.auc() == pytest.approx(exact, abs=1e-6)
    assert outcomes.curve().influence(p, y, w) == pytest.approx(influence, abs=2e-3 * np.abs(influence).max())
    assert outcomes.curve().influence(p, y, w).sum() == pytest.approx(0, abs=1e-9)


def test_a_prediction_that_is_no_number_leaves_nothing_defined() -> None:
    p, y, w = np.array([0.1, np.nan], np.float32), np.array([0.0, 1.0]), np.ones(2)
    outcomes = binned(p, y, w)
    assert math.isnan(outcomes.auc())
    assert np.isnan(outcomes.curve().influence(p, y, w)).all()


def test_tenths_of_the_weight_are_told_by_bin() -> None:
    p = np.linspace(0.01, 0.99, 1000, dtype=np.float32)
    outcomes = binned(p, np.full(1000, 0.3), np.ones(1000))
    assert np.bincount(outcomes.parts(10)[bins_of(p)]) == pytest.approx(np.full(10, 100), abs=3)
