"""Agreement on weighted rows: closed forms, coverage of intervals, and recovery of a known shift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from tests.fixtures.shifted_predictions import drawn
from ukdsl_assets.learning.metrics.weighted import (
    calibration_on_log_scale,
    effective_number,
    logit_shift,
    shift_to_rate,
    shifted,
    shrunken,
)


def test_the_effective_number_counts_requests_of_equal_weight_and_sees_one_that_has_all_of_it() -> None:
    request = np.array([7, 7, 7, 2, 2, 2, 5, 5, 5])
    # Propensities of float32, whose inverses are no whole numbers.
    assert effective_number(np.full(9, 1 / np.float64(np.float32(0.3))), request) == 3
    # Three rows of one request go together; those of three requests do not.
    assert effective_number(np.ones(3), np.zeros(3, np.int64)) == 1
    assert effective_number(np.ones(3), np.arange(3)) == 3
    assert effective_number(np.array([1.0, 2, 3]), np.arange(3)) == pytest.approx(36 / 14)
    one_in_a_million = np.array([1e6, *np.full(999, 2.0)])
    assert effective_number(one_in_a_million, np.arange(1000)) == pytest.approx(1, abs=0.01)
    assert effective_number(np.zeros(4), np.arange(4)) == effective_number(np.zeros(0), np.zeros(0, np.int64)) == 0
    # A float32 can be as small as this, and its square in float64 is a number.
    assert effective_number(np.array([1 / 1.4e-45, 1.0]), np.arange(2)) == 1
    assert np.isnan(effective_number(np.array([1.0, np.nan]), np.arange(2)))


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.floats(1e-3, 1e3))
def test_the_effective_number_is_between_one_and_the_count_and_knows_no_unit(weights: list[float], unit: float) -> None:
    weight, request = np.array(weights), np.arange(len(weights))
    seen = effective_number(weight, request)
    assert 1 <= seen <= len(weights)
    assert effective_number(weight * unit, request) == pytest.approx(seen, abs=2e-6)


def test_predictions_that_agree_have_no_shift_and_others_the_one_that_solves_for_it() -> None:
    ones, request = np.ones(4), np.arange(4)
    label = np.array([1.0, 0, 0, 0])
    assert logit_shift(np.full(4, 0.25), label, ones, request)[0] == pytest.approx(0, abs=1e-9)
    shift, error = logit_shift(np.full(4, 0.5), label, ones, request)
    assert shift == pytest.approx(logit(0.25))
    # A binomial share's logit has the error 1 / sqrt(n p (1 - p)).
    assert error == pytest.approx(1 / np.sqrt(4 * 0.25 * 0.75))
    seen, error = calibration_on_log_scale(np.full(4, 0.5), label, ones, request)
    assert np.exp(seen) == pytest.approx(2)
    # A binomial share's logarithm has the error sqrt((1 - p) / (n p)), whatever the predictions' level is.
    assert error == pytest.approx(np.sqrt(0.75 / (4 * 0.25)))
    assert calibration_on_log_scale(np.full(4, 0.1), label, ones, request)[1] == pytest.approx(error)


def test_a_weight_counts_as_so_many_rows_of_the_same_request() -> None:
    prediction, label, request = np.array([0.2, 0.4, 0.1]), np.array([1.0, 0, 0]), np.array([0, 0, 1])
    weight = np.array([1.0, 3, 2])
    repeated = [np.repeat(each, weight.astype(int)) for each in (prediction, label, np.ones(3), request)]
    for figure in (calibration_on_log_scale, logit_shift):
        assert figure(prediction, label, weight, request) == pytest.approx(figure(*repeated))


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    covered = []
    for seed in range(200):
        shift, error = logit_shift(*drawn(seed, 0.3, requests=600))
        covered.append(abs(shift + 0.3) <= 1.96 * error)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_rows_of_a_request_that_go_together_widen_the_interval() -> None:
    prediction, label, weight, request = drawn(1, 0.0, requests=2000, shown=1)
    tripled = [np.repeat(each, 3) for each in (prediction, label, weight, request)]
    _, alone = logit_shift(prediction, label, weight, request)
    assert logit_shift(*tripled)[1] == pytest.approx(alone)


def test_one_sided_predictions_stop_at_the_largest_shift() -> None:
    assert logit_shift(np.zeros(2), np.array([1.0, 1]), np.ones(2), np.arange(2))[0] == 10
    assert logit_shift(np.ones(2), np.zeros(2), np.ones(2), np.arange(2))[0] == -10


def test_what_is_within_one_error_of_nothing_is_shrunken_to_nothing() -> None:
    assert shrunken(-0.2, 0.2) == shrunken(0.1, 0.2) == shrunken(0.0, 0.0) == 0
    assert shrunken(-0.4, 0.2) == pytest.approx(-0.3)
    # Exact: times 1.
    assert shrunken(0.4, 0.0) == 0.4


@given(st.floats(0, 1), st.floats(-5, 5))
def test_a_shift_moves_logits_and_a_second_one_takes_it_back(p: float, shift: float) -> None:
    moved = shifted(np.array([p, 0, 1]), shift)
    assert 0 <= moved[0] <= 1
    assert moved[1] == 0
    assert moved[2] == 1
    assert shifted(moved, -shift)[0] == pytest.approx(p, abs=2e-5)
    if 1e-3 < p < 1 - 1e-3:
        assert moved[0] == pytest.approx(expit(logit(p) + shift), abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1 - 1e-6), st.floats(0.01, 100)), min_size=1, max_size=20),
    st.floats(1e-4, 1 - 1e-4),
)
def test_after_the_shift_the_weighted_mean_is_the_rate(rows: list[tuple[float, float]], rate: float) -> None:
    prediction, weight = np.array(rows).T
    shift = shift_to_rate(prediction, weight, rate)
    assert np.average(expit(logit(prediction) + shift), weights=weight) == pytest.approx(rate, rel=1e-9)
    # Of one prediction it is the distance of the logits.
    assert shift_to_rate(prediction[:1], weight[:1], rate) == pytest.approx(logit(rate) - logit(prediction[0]))


def test_without_weight_there_is_no_shift_to_a_rate() -> None:
    assert np.isnan(shift_to_rate(np.zeros(0), np.zeros(0), 0.5))
    assert np.isnan(shift_to_rate(np.full(2, 0.5), np.zeros(2), 0.5))
