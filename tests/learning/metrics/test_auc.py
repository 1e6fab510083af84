"""The area under the ROC curve: the share of pairs won, over all rows and inside requests, and its influence."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.metrics.auc import auc, auc_with_influence, request_auc


def area_by_pairs(p: list[float], y: list[float], w: list[float], itself: bool = True) -> float:
    """Every pair of a positive and a negative part of a row, one by one."""
    won, total = 0.0, 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if itself or i != j:
                pair = w[i] * y[i] * w[j] * (1 - y[j])
                won += pair * ((p[i] > p[j]) + 0.5 * (p[i] == p[j]))
                total += pair
    return won / total


rows_of_auc = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.25, 1.0]), st.integers(1, 3)), min_size=2, max_size=12
)


@given(rows_of_auc)
def test_auc_equals_the_share_of_pairs_won_with_ties_weights_and_soft_references(rows: list[tuple[float, ...]]) -> None:
    p, y, w = ([float(each[index]) for each in rows] for index in range(3))
    if 0 < sum(y) < len(y):
        assert auc(p, y, w) == pytest.approx(area_by_pairs(p, y, w))
    else:
        assert math.isnan(auc(p, y, w))


def test_auc_of_a_perfect_a_reversed_and_a_constant_prediction() -> None:
    assert auc([0.1, 0.2, 0.3], [0, 0, 1]) == 1
    assert auc([0.3, 0.2, 0.1], [0, 0, 1]) == 0
    assert auc([0.2, 0.2, 0.2], [0, 0, 1]) == 0.5


def test_the_influence_is_what_the_auc_changes_by_when_a_row_weighs_a_little_more() -> None:
    rng = np.random.default_rng(0)
    p, y, w = rng.integers(0, 9, 30) / 9, rng.random(30), rng.uniform(1, 2, 30)
    area, influence = auc_with_influence(p, y, w)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for row in range(30):
        more = np.where(np.arange(30) == row, w * (1 + 1e-6), w)
        assert (auc(p, y, more) - area) / 1e-6 == pytest.approx(influence[row], rel=1e-3, abs=1e-6)


def test_the_linear_bootstrap_of_the_auc_has_the_spread_of_the_exact_one() -> None:
    rng = np.random.default_rng(1)
    request = np.repeat(np.arange(200), 5)
    p = rng.random(1000) + rng.normal(0, 0.3, 200)[request]
    y = (rng.random(1000) < 1 / (1 + np.exp(-3 * (p - 1)))).astype(float)
    _, influence = auc_with_influence(p, y)
    draws = rng.poisson(1, (300, 200))
    linear = draws @ np.bincount(request, influence)
    exact = [auc(p, y, draw[request]) for draw in draws]
    assert linear.std() == pytest.approx(np.std(exact), rel=0.05)


@given(rows_of_auc, st.randoms(use_true_random=False))
def test_request_auc_is_the_weighted_mean_of_pairs_inside_requests(
    rows: list[tuple[float, ...]], random: Random
) -> None:
    p, y, w = ([float(each[index]) for each in rows] for index in range(3))
    request = np.array([random.randrange(3) for _ in rows])
    areas, weights = [], []
    for each in range(3):
        inside = [index for index in range(len(rows)) if request[index] == each]
        part = [[column[index] for index in inside] for column in (p, y, w)]
        pairs = [(i, j) for i in inside for j in inside if i != j and y[i] > 0 and y[j] < 1]
        if pairs:
            areas.append(area_by_pairs(part[0], part[1], part[2], itself=False))
            weights.append(sum(part[2]))
    seen = request_auc(p, y, request, w)
    assert seen == pytest.approx(np.average(areas, weights=weights)) if areas else math.isnan(seen)


def test_order_between_requests_does_not_count_inside_them() -> None:
    request = np.array([0, 0, 1, 1])
    p, y = [0.1, 0.2, 0.8, 0.9], [0, 1, 0, 1]
    assert auc(p, y) == 0.75
    assert request_auc(p, y, request) == 1


def test_undefined_areas_are_nan() -> None:
    for p, y in (([], []), ([0.1, 0.2], [0, 0]), ([0.1, 0.2], [1, 1]), ([math.nan, 0.2], [0, 1])):
        assert math.isnan(auc(p, y))
        assert math.isnan(request_auc(p, y, np.zeros(len(p), np.int64)))


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_weight_that_is_no_number_makes_the_area_inside_requests_none(weight: float) -> None:
    p, y, request = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1, 1, 0]), np.array([0, 0, 1, 1])
    assert np.isnan(request_auc(p, y, request, np.array([1, weight, 1, 1])))
