"""Importance weights: their mean is 1, and the closed form of the pseudo-inverse is the pseudo-inverse."""

from itertools import permutations

import numpy as np
import pytest

from ukdsl_assets.off_policy.weights import before, of_cascade, of_page, of_slots


@pytest.mark.parametrize(("slots", "eligible"), [(1, 4), (2, 3), (2, 5), (3, 4), (3, 3), (1, 1)])
def test_page_weights_are_those_of_the_pseudo_inverse_of_all_slates(slots: int, eligible: int) -> None:
    slates = np.array(list(permutations(range(eligible), slots)))
    indicators = np.zeros((len(slates), slots * eligible))
    for place in range(slots):
        indicators[np.arange(len(slates)), place * eligible + slates[:, place]] = 1
    moments = np.linalg.pinv(indicators.T @ indicators / len(slates), rcond=1e-9)
    target = indicators[0]
    same_slot = (slates == slates[0]).sum(1).astype(np.float64)
    same_page = np.isin(slates, slates[0]).sum(1).astype(np.float64)
    weights = of_page(same_slot, same_page, np.full(len(slates), slots), np.full(len(slates), eligible))
    assert weights == pytest.approx(indicators @ moments @ target)
    assert weights.mean() == pytest.approx(1.0)


def test_cascade_weights_multiply_from_the_top_down_and_begin_anew_with_each_request() -> None:
    request = np.array([0, 0, 0, 1, 2, 2])
    weight = np.array([2.0, 3.0, 0.5, 7.0, 0.0, 4.0])
    product = of_cascade(weight, request)
    assert product.tolist() == [2.0, 6.0, 3.0, 7.0, 0.0, 0.0]
    assert before(product, request).tolist() == [1.0, 2.0, 6.0, 1.0, 1.0, 0.0]
    assert of_cascade(np.empty(0), np.empty(0, np.int64)).tolist() == []
    assert before(np.empty(0), np.empty(0, np.int64)).tolist() == []


def test_a_slots_weight_is_the_ratio_of_both_chances() -> None:
    assert of_slots(np.array([0.5, 0.0]), np.array([0.25, 0.5])).tolist() == [2.0, 0.0]
