"""Over-prediction with errors over requests, and what recalibration could gain: closed forms and simulations."""

import math
from typing import Any

import numpy as np
import pytest

from ukdsl_assets.learning.evaluation.diagnosis import Compared, agreement, deciles, gain
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.weighted import calibration_on_log_scale

REQUESTS, EACH = 1_000, 8
ROWS = REQUESTS * EACH
RANDOM = np.random.default_rng(7)
# Rows of a request go together.
TEACHER = sigmoid(-3 + np.repeat(RANDOM.normal(size=REQUESTS), EACH) * 0.8 + RANDOM.normal(size=ROWS) * 0.6)


def compared(
    prediction: np.ndarray, reference: np.ndarray, weight: np.ndarray | None = None, **changes: Any
) -> Compared:
    given: dict[str, Any] = {
        "prediction": prediction.astype(np.float32),
        "reference": reference,
        "weight": np.ones(len(prediction)) if weight is None else weight,
        "request": np.repeat(np.arange(REQUESTS), EACH),
        "first_half": np.arange(REQUESTS) % 2 == 0,
        "soft": True,
    }
    return Compared(**(given | changes))


def test_a_level_gains_all_of_a_shifted_logit() -> None:
    found = gain(compared(sigmoid(logit(TEACHER) + 0.5), TEACHER))
    assert found is not None
    for name in ("level", "line", "bound"):
        assert getattr(found, name) == pytest.approx(found.floor, abs=1e-5)
        assert found.share(name) == pytest.approx(1, abs=1e-3)
    assert found.change("level") < -10 * found.level_change_error
    assert found.ne == pytest.approx(normalized_entropy(sigmoid(logit(TEACHER) + 0.5), TEACHER), abs=1e-6)
    assert found.floor == pytest.approx(normalized_entropy(TEACHER, TEACHER))


def test_recalibration_gains_nothing_of_an_order_that_is_reversed() -> None:
    # Right on average, and the wrong way round.
    backwards = np.sort(TEACHER)[::-1][np.argsort(np.argsort(TEACHER))]
    found = gain(compared(backwards, TEACHER))
    assert found is not None
    assert found.ne > 1.05
    assert found.level == pytest.approx(found.ne, abs=5e-3)
    # All that keeps the order can do is to say the mean.
    for name in ("line", "monotone", "bound"):
        assert getattr(found, name) == pytest.approx(1, abs=2e-3)
    assert found.floor < 0.95


def test_what_is_calibrated_gains_nothing_and_the_rest_is_another_order() -> None:
    # The mean of the teacher over what this stage cannot see.
    seen = np.repeat(TEACHER.reshape(REQUESTS, EACH).mean(1), EACH)
    found = gain(compared(seen, TEACHER))
    assert found is not None
    assert found.level == pytest.approx(found.ne, abs=1e-4)
    assert found.share("bound") < 0.02
    assert found.ne > found.floor + 0.01


def test_maps_are_judged_on_requests_that_they_were_not_fitted_to() -> None:
    # Labels without sense: what fits them in sample is worse than nothing on other requests.
    label = (np.random.default_rng(11).random(ROWS) < 0.05).astype(float)
    found = gain(compared(np.random.default_rng(12).uniform(0.04, 0.06, ROWS), label, soft=False))
    assert found is not None
    assert found.bound < 1 < found.monotone
    assert math.isnan(found.floor)


def test_halves_that_have_too_few_labels_are_not_fitted() -> None:
    for positives, fitted in ((59, False), (60, True)):
        label = (np.arange(ROWS) < positives).astype(float)
        assert (gain(compared(TEACHER, label, soft=False)) is not None) == fitted


def test_agreement_is_that_of_rows_one_group_at_a_time() -> None:
    prediction, weight = np.random.default_rng(11).beta(1, 9, ROWS), np.random.default_rng(11).uniform(0.5, 4, ROWS)
    whole = compared(prediction, TEACHER, weight)
    place = np.random.default_rng(11).integers(0, 3, ROWS)
    found = agreement(whole, place, 4)
    for group in range(3):
        of = place == group
        columns = whole.prediction[of].astype(np.float64), TEACHER[of], weight[of], whole.request[of]
        log, error = calibration_on_log_scale(*columns)
        assert found.calibration[group] == pytest.approx(math.exp(log))
        assert found.error_of_log[group] == pytest.approx(error)
        assert found.rows[group] == of.sum()
    assert found.rows[3] == 0
    assert math.isnan(found.calibration[3])
    assert found.too_few(3, True, False) == "0 requests, fewer than 30"


def test_intervals_know_that_rows_of_a_request_go_together() -> None:
    label = np.repeat((np.random.default_rng(11).random(REQUESTS) < 0.1).astype(float), EACH)
    together = agreement(compared(np.full(ROWS, 0.1), label, soft=False))
    alone = agreement(
        compared(np.full(ROWS, 0.1), label, soft=False, request=np.arange(ROWS), first_half=np.ones(ROWS, bool))
    )
    assert together.error_of_log[0] == pytest.approx(alone.error_of_log[0] * math.sqrt(EACH), rel=0.01)
    narrow, wide = together.interval(0), together.interval(0, of_many=50)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_weights_of_rare_rows_make_them_stand_for_all() -> None:
    # What a stage rejects differs from what it hands on; a few of it are scored all the same.
    prediction = sigmoid(logit(TEACHER) + 0.4 * (TEACHER < 0.05))
    handed_on, rate = TEACHER > 0.08, 0.05
    whole = agreement(compared(prediction, TEACHER))
    ratios, errors = [], []
    for seed in range(60):
        probed = ~handed_on & (np.random.default_rng(seed).random(ROWS) < rate)
        kept = handed_on | probed
        weight = np.where(probed, 1 / rate, 1.0)[kept]
        found = agreement(
            compared(prediction[kept], TEACHER[kept], weight, request=np.repeat(np.arange(REQUESTS), EACH)[kept])
        )
        ratios.append(math.log(found.calibration[0]))
        errors.append(found.error_of_log[0])
    expected = math.log(whole.calibration[0])
    assert np.mean(ratios) == pytest.approx(expected, abs=4 * float(np.std(ratios)) / math.sqrt(len(ratios)))
    # The weights' part of the error is no larger than what the rows say; requests' own is beside it.
    assert np.std(ratios) < np.mean(errors) * 1.3
    unweighted = agreement(
        compared(prediction[handed_on], TEACHER[handed_on], request=compared(TEACHER, TEACHER).request[handed_on])
    )
    assert math.log(unweighted.calibration[0]) < expected - 0.05


def test_intervals_hold_the_ratio_about_as_often_as_they_say() -> None:
    held, logits = 0, logit(TEACHER)
    for seed in range(200):
        drawn = np.random.default_rng(seed).random(ROWS)
        found = agreement(compared(sigmoid(logits), (drawn < TEACHER).astype(float), soft=False))
        low, high = found.interval(0)
        held += low <= 1 <= high
    assert held >= 180


def test_deciles_hold_a_tenth_of_the_weight_each() -> None:
    weight = np.random.default_rng(11).uniform(0.5, 4, ROWS)
    rows = compared(TEACHER, TEACHER, weight)
    tenth = deciles(rows)
    assert np.bincount(tenth, weight) / weight.sum() == pytest.approx(np.full(10, 0.1), abs=0.005)
    lows = [TEACHER[tenth == each].min() for each in range(10)]
    assert lows == sorted(lows)


def test_too_few_say_which_number_is_too_small() -> None:
    few = agreement(compared(TEACHER, (np.arange(ROWS) < 19).astype(float), soft=False))
    assert few.too_few(0, False, False) == "19 positive labels, fewer than 20"
    one_heavy = np.where(np.arange(ROWS) == 0, 1e6, 1.0)
    heavy = agreement(compared(TEACHER, TEACHER, one_heavy))
    assert heavy.too_few(0, True, True) == "1 effective requests, fewer than 30"
    none = agreement(compared(TEACHER, np.zeros(ROWS)))
    assert none.too_few(0, True, False) == "what it is compared with sums to 0"
    silent = agreement(compared(np.zeros(ROWS), TEACHER))
    assert silent.too_few(0, True, False) == "its predictions sum to 0"
