"""A line through logits finds the line that made the targets, and a shift finds the level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.calibration import calibration, cross_entropy
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt, shift_to_mean


def drawn(rows: int = 500, seed: int = 0) -> np.ndarray:
    return sigmoid(np.random.default_rng(seed).normal(-3, 1, rows)).astype(np.float32)


@settings(max_examples=25)
@given(st.floats(0.3, 2), st.floats(-2, 2), st.integers(0, 9))
def test_the_line_behind_the_targets_is_found(slope: float, intercept: float, seed: int) -> None:
    p = drawn(seed=seed)
    found = fit_platt(p, apply_platt(p, slope, intercept))
    assert found == pytest.approx((slope, intercept), abs=1e-3)


def test_it_is_a_minimum_of_the_cross_entropy_and_calibrated_on_what_it_was_fitted_to() -> None:
    p = drawn()
    label = (np.random.default_rng(1).random(len(p)) < p**1.5).astype(np.float32)
    slope, intercept = fit_platt(p, label)
    least = cross_entropy(apply_platt(p, slope, intercept), label)
    for more in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert cross_entropy(apply_platt(p, slope + more[0], intercept + more[1]), label) > least
    assert calibration(apply_platt(p, slope, intercept), label) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("p", [np.full(20, 0.1), np.empty(0), np.full(20, np.nan)])
def test_what_has_no_minimum_is_refused(p: np.ndarray) -> None:
    with pytest.raises(TrainingError, match="no minimum"):
        fit_platt(p.astype(np.float32), np.resize([0, 1], len(p)).astype(np.float32))


@given(st.floats(-3, 3))
def test_a_shift_brings_the_mean_prediction_to_the_mean_target(shift: float) -> None:
    p = drawn(seed=2)
    target = sigmoid(logit(p) + shift).astype(np.float32)
    assert shift_to_mean(p, target) == pytest.approx(shift, abs=1e-4)
    assert np.isnan(shift_to_mean(p, np.zeros_like(p)))


def test_a_line_through_two_points_is_exact_and_a_weight_is_that_many_rows() -> None:
    p, y = np.array([0.2, 0.6], np.float32), np.array([0.1, 0.7], np.float32)
    slope, intercept = fit_platt(p, y, np.array([3.0, 0.5], np.float32))
    assert apply_platt(p, slope, intercept) == pytest.approx(y, rel=1e-5)
    many, soft = np.array([0.1, 0.2, 0.5, 0.9], np.float32), np.array([0.3, 0.1, 0.4, 0.6], np.float32)
    weight = np.array([1, 4, 2, 0], np.float32)
    times = weight.astype(int)
    assert fit_platt(many, soft, weight) == pytest.approx(fit_platt(many.repeat(times), soft.repeat(times)), abs=1e-6)
