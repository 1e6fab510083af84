"""Calibration and normalized entropy: closed forms, invariants, and the definition written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.metrics.calibration import calibration, cross_entropy, normalized_entropy

probabilities = st.lists(st.floats(0.01, 0.99), min_size=2, max_size=30)


def test_calibration_is_the_ratio_of_means() -> None:
    assert calibration([0.2, 0.4], [0.1, 0.2]) == pytest.approx(2)


def test_weights_count_rows_several_times() -> None:
    assert calibration([0.2, 0.4], [0, 1], [3, 1]) == pytest.approx(calibration([0.2, 0.2, 0.2, 0.4], [0, 0, 0, 1]))
    assert normalized_entropy([0.2, 0.4], [0, 1], [3, 1]) == pytest.approx(
        normalized_entropy([0.2, 0.2, 0.2, 0.4], [0, 0, 0, 1])
    )


def test_weights_have_no_unit() -> None:
    p, y, weight = [0.2, 0.4, 0.6], [0, 1, 0.5], np.array([3.0, 1, 2])
    for figure in (calibration, cross_entropy, normalized_entropy):
        assert figure(p, y, weight / 1024) == pytest.approx(figure(p, y, weight))


@given(probabilities)
def test_the_constant_base_rate_has_normalized_entropy_one(soft: list[float]) -> None:
    assert normalized_entropy([float(np.mean(soft))] * len(soft), soft) == pytest.approx(1)


@given(probabilities)
def test_no_prediction_beats_the_soft_label_itself(soft: list[float]) -> None:
    shifted = np.clip(np.asarray(soft) * 0.9, 0.01, 0.99)
    assert cross_entropy(soft, soft) <= cross_entropy(shifted, soft) + 1e-12


@given(probabilities, st.randoms())
def test_equals_the_definition_row_by_row(soft: list[float], random: object) -> None:
    p = [0.05 + 0.9 * x for x in soft]
    total = -sum(y * math.log(q) + (1 - y) * math.log(1 - q) for q, y in zip(p, soft, strict=True)) / len(p)
    b = sum(soft) / len(soft)
    assert normalized_entropy(p, soft) == pytest.approx(total / -(b * math.log(b) + (1 - b) * math.log(1 - b)))


def test_certain_wrong_predictions_stay_finite() -> None:
    assert math.isfinite(normalized_entropy([0.0, 1.0], [1, 0]))


@pytest.mark.parametrize(("p", "y"), [([], []), ([0.1], [0.0]), ([0.1], [1.0])])
def test_undefined_normalized_entropy_is_nan(p: list[float], y: list[float]) -> None:
    assert math.isnan(normalized_entropy(p, y))


def test_calibration_without_rows_or_positives_is_nan() -> None:
    assert math.isnan(calibration([], []))
    assert math.isnan(calibration([0.1], [0.0]))


def test_nan_predictions_are_not_hidden() -> None:
    assert math.isnan(calibration([float("nan"), 0.1], [0, 1]))
    assert math.isnan(normalized_entropy([float("nan"), 0.1], [0, 1]))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="three columns of one length"):
        calibration([0.1, 0.2], [1.0])
