"""Agreement on weighted rows: closed forms, coverage of intervals, and recovery of a known shift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from tests.fixtures.shifted_predictions import drawn
from ukdsl_assets.learning.metrics.weighted import calibration_on_log_scale, logit_shift, shifted, shrunken


def test_predictions_that_agree_have_no_shift_and_others_the_one_that_solves_for_it() -> None:
    ones, request = np.ones(4), np.arange(4)
    label = np.array([1.0, 0, 0, 0])
    assert logit_shift(np.full(4, 0.25), label, ones, request)[0] == pytest.approx(0, abs=1e-9)
    shift, error = logit_shift(np.full(4, 0.5), label, ones, request)
    assert shift == pytest.approx(logit(0.25))
    # A binomial share's logit has the error 1 / sqrt(n p (1 - p)).
    assert error == pytest.approx(1 / np.sqrt(4 * 0.25 * 0.75))
    seen, _ = calibration_on_log_scale(np.full(4, 0.5), label, ones, request)
    assert np.exp(seen) == pytest.approx(2)


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
