"""NE against the constant and its error: closed forms, and the spread over drawn samples."""

import numpy as np
import pytest
from scipy.special import expit

from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.teachers.constant import against_constant


def test_the_constant_that_predicts_the_mean_label_has_an_ne_of_one_without_error() -> None:
    label = np.array([1.0] * 30 + [0.0] * 270)
    for prediction in (0.1, 0.7):
        ne, error = against_constant(np.full(300, prediction), label, np.arange(300))
        assert (ne, error) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    assert against_constant(np.full(3, 0.1), np.zeros(3), np.arange(3)) == (None, None)
    assert against_constant(np.zeros(0), np.zeros(0), np.zeros(0, np.int64)) == (None, None)


def test_the_level_of_a_teacher_is_not_what_it_knows() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(-2, 1, 5000)
    label = (rng.random(5000) < expit(x)).astype(float)
    ne, error = against_constant(expit(x), label, np.arange(5000))
    assert against_constant(expit(x + 2), label, np.arange(5000)) == (pytest.approx(ne), pytest.approx(error))
    assert ne == pytest.approx(normalized_entropy(expit(x), label), abs=1e-3)


def test_the_error_is_the_spread_over_samples_of_requests() -> None:
    def sample(seed: int) -> tuple[float, float]:
        rng = np.random.default_rng(seed)
        # Rows of a request go together: they have one user.
        x = np.repeat(rng.normal(-2.5, 0.8, 800), 4) + rng.normal(0, 0.3, 3200)
        label = (rng.random(3200) < expit(x)).astype(float)
        request = rng.permutation(800).repeat(4)
        ne, error = against_constant(expit(x + 0.2), label, request)
        assert ne is not None
        assert error is not None
        return ne, error

    figures = np.array([sample(seed) for seed in range(300)])
    assert figures[:, 1].mean() == pytest.approx(figures[:, 0].std(), rel=0.12)
