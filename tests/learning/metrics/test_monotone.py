"""Maps that keep the order: what each mends, and what none of them can."""

import numpy as np
import pytest

from ukdsl_assets.learning.metrics.auc_bins import bins_of
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.monotone import (
    BinnedRows,
    any_monotone,
    binned_entropy,
    middles,
    right_level,
    right_line,
)

RANDOM = np.random.default_rng(5)
TRUTH = RANDOM.beta(2, 20, 20_000)


def binned(prediction: np.ndarray, reference: np.ndarray = TRUTH) -> BinnedRows:
    p = prediction.astype(np.float32)
    return BinnedRows.of(bins_of(p), p, reference, np.ones(len(p)))


def test_a_shift_and_a_line_of_the_logits_are_undone() -> None:
    shifted = sigmoid(logit(TRUTH) + 0.7)
    assert right_level(binned(shifted))(shifted) == pytest.approx(TRUTH, abs=1e-3)
    spread = sigmoid(1.8 * logit(TRUTH) + 0.7)
    assert right_line(binned(spread))(spread) == pytest.approx(TRUTH, abs=1e-3)
    assert right_level(binned(spread))(spread) != pytest.approx(TRUTH, abs=1e-2)


def test_a_reversed_order_becomes_the_constant_and_is_not_turned_round() -> None:
    reversed_order = binned(sigmoid(-logit(TRUTH)))
    for fit in (right_line, any_monotone):
        mapped = fit(reversed_order)(np.array([0.6, 0.8, 0.95]))
        assert mapped == pytest.approx([TRUTH.mean()] * 3, rel=0.02)


def test_no_map_that_keeps_the_order_has_less_entropy_than_the_bound() -> None:
    rows = binned(np.clip(TRUTH**1.5 * np.random.default_rng(11).uniform(0.5, 2, len(TRUTH)), 0, 1))
    bound = binned_entropy(rows, any_monotone(rows))
    for fit in (right_level, right_line, lambda each: any_monotone(each, 1.0)):
        assert binned_entropy(rows, fit(rows)) >= bound


def test_levels_of_few_rows_are_drawn_to_the_mean_and_stay_in_order() -> None:
    label = (np.random.default_rng(11).random(300) < TRUTH[:300]).astype(float)
    rows = binned(TRUTH[:300], label)
    at = np.sort(TRUTH[:300])
    drawn, exact = any_monotone(rows, 1.0)(at), any_monotone(rows)(at)
    assert exact.min() == 0
    assert drawn.min() > 0
    assert np.all(np.diff(drawn) >= 0)


def test_equal_predictions_have_a_level_and_no_slope() -> None:
    rows = binned(np.full(len(TRUTH), 0.3))
    assert right_line(rows)(np.array([0.3])) == pytest.approx([TRUTH.mean()])
    assert middles(rows)[bins_of(np.array([0.3], np.float32))] == pytest.approx([0.3])
