"""Estimators over every slate that could have been logged: unbiased where the weights' assumption holds."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.off_policy.estimators import (
    Choices,
    direct,
    doubly_robust,
    ips,
    lost_by_clipping,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)
from ukdsl_assets.off_policy.explored import CASCADE, PAGE, SLOTS, Explored, choices_of
from ukdsl_assets.off_policy.policies import top

ELIGIBLE, FILLED = 5, 3
RNG = np.random.default_rng(3)
# Of a candidate in a slot: what it truly earns, and what a model that is wrong says.
TRUTH, MODEL = RNG.uniform(0, 0.5, (ELIGIBLE, FILLED)), RNG.uniform(0, 0.5, (ELIGIBLE, FILLED))
SCORE = RNG.uniform(size=ELIGIBLE)


def every_slate(reward_by_slot: bool = True) -> tuple[Explored, np.ndarray, np.ndarray, np.ndarray, float]:
    """All slates, each logged once, with its expected rewards: what a policy earns is their mean, exactly."""
    slates = np.array(list(permutations(range(ELIGIBLE), FILLED)))
    requests = len(slates)
    of_requests = np.zeros((requests, ELIGIBLE), np.int64)
    np.put_along_axis(of_requests, slates, np.arange(1, FILLED + 1)[None, :], axis=1)
    slot = of_requests.ravel()
    request, candidate = np.divmod(np.arange(requests * ELIGIBLE), ELIGIBLE)
    truth = TRUTH if reward_by_slot else TRUTH[:, :1].repeat(FILLED, axis=1)
    reward = np.where(slot > 0, truth[candidate, np.maximum(slot, 1) - 1], 0.0)
    explored = Explored(request, slot, np.where(slot > 0, FILLED / ELIGIBLE, np.nan), by_slot=True)
    placed = top(SCORE[candidate], request, explored.slots)
    best = np.argsort(-SCORE)[:FILLED]
    return explored, reward, placed, MODEL[candidate], float(truth[best, np.arange(FILLED)].sum())


@pytest.mark.parametrize("weights", [SLOTS, CASCADE, PAGE])
def test_all_are_unbiased_where_rewards_depend_on_candidate_and_slot(weights: str) -> None:
    explored, reward, placed, model, truth = every_slate()
    choices = choices_of(explored, reward, placed, model)[weights]
    assert ips(choices).mean() == pytest.approx(truth)
    assert snips(choices).mean() == pytest.approx(truth)
    if weights != PAGE:
        assert doubly_robust(choices).mean() == pytest.approx(truth)
        assert self_normalised_doubly_robust(choices).mean() == pytest.approx(truth)


def test_without_slots_a_candidate_counts_wherever_it_was_shown() -> None:
    explored, reward, placed, model, truth = every_slate(reward_by_slot=False)
    found = choices_of(explored._replace(by_slot=False), reward, placed, model[:, :1])
    assert set(found) == {SLOTS}
    assert ips(found[SLOTS]).mean() == pytest.approx(truth)
    assert doubly_robust(found[SLOTS]).mean() == pytest.approx(truth)
    # Three rows in ten match, where of each slot it is one in five.
    matched = (found[SLOTS].weight > 0).mean()
    assert matched == pytest.approx(FILLED / ELIGIBLE)


def test_propensities_that_differ_leave_weights_of_single_slots_alone() -> None:
    explored, reward, placed, _, _ = every_slate()
    other = explored._replace(propensity=explored.propensity * 0.9)
    assert not other.uniform()
    assert set(choices_of(other, reward, placed)) == {SLOTS}


def test_a_model_that_is_right_leaves_no_error() -> None:
    explored, reward, placed, _, truth = every_slate()
    candidate = np.arange(len(reward)) % ELIGIBLE
    choices = choices_of(explored, reward, placed, TRUTH[candidate])
    for weights in (SLOTS, CASCADE):
        assert doubly_robust(choices[weights]) == pytest.approx(np.full(len(explored.slots), truth))
    assert direct(choices[SLOTS]) == pytest.approx(np.full(len(explored.slots), truth))


def test_switching_at_a_weight_that_none_has_is_doubly_robust_and_at_none_the_model_alone() -> None:
    explored, reward, placed, model, _ = every_slate()
    choices = choices_of(explored, reward, placed, model)[SLOTS]
    assert switch_doubly_robust(1e9)(choices) == pytest.approx(doubly_robust(choices))
    assert switch_doubly_robust(1.0)(choices) == pytest.approx(direct(choices))


def test_clipping_takes_what_it_says() -> None:
    explored, reward, placed, _, _ = every_slate()
    choices = choices_of(explored, reward, placed)[SLOTS]
    lost, most = lost_by_clipping(choices, 2.0)
    assert ips(choices).mean() - ips(choices.clipped(2.0)).mean() == pytest.approx(lost)
    assert 0 < lost <= most
    assert lost_by_clipping(choices, 1e9) == (0.0, 0.0)


def test_the_policy_that_logged_earns_what_it_earned() -> None:
    explored, reward, _, model, _ = every_slate()
    choices = choices_of(explored, reward, explored.slot, model)[SLOTS]
    same = choices._replace(weight=np.ones(len(choices.weight)))
    assert ips(same).mean() == pytest.approx(reward.sum() / len(explored.slots))
    assert snips(same).mean() == pytest.approx(ips(same).mean())


@given(st.floats(-5, 5), st.integers(0, 2**31 - 1))
def test_self_normalised_estimates_move_by_a_constant_that_is_added_to_rewards(added: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, slots = 40, np.tile(np.arange(2), 20)
    nothing = np.zeros(rows)
    choices = Choices(
        request=np.repeat(np.arange(20), 2),
        slot=slots,
        reward=rng.uniform(size=rows),
        weight=rng.uniform(0.1, 5, rows),
        model=nothing,
        expected=nothing,
        before=np.ones(rows),
        requests=20,
    )
    moved = snips(choices._replace(reward=choices.reward + added))
    assert moved.mean() - snips(choices).mean() == pytest.approx(2 * added, abs=1e-9)


def test_a_slot_without_weight_is_not_a_number_where_weights_are_divided_by() -> None:
    one = np.ones(2)
    choices = Choices(np.array([0, 1]), np.array([1, 1]), one, one * 0, one * 0, one * 0, one, requests=2)
    assert np.isnan(snips(choices)).all()
    assert ips(choices).tolist() == [0.0, 0.0]


def test_requests_of_which_nothing_was_drawn_count_as_earning_nothing() -> None:
    one = np.ones(1)
    choices = Choices(np.array([1]), np.array([1]), one, one * 4, one * 0, one * 0, one, requests=4)
    assert ips(choices).tolist() == [0.0, 4.0, 0.0, 0.0]


def test_a_slot_that_a_policy_leaves_empty_is_expected_to_earn_nothing() -> None:
    explored, reward, placed, _, _ = every_slate()
    candidate = np.arange(len(reward)) % ELIGIBLE
    without_second = np.where(placed == 2, 0, placed)
    best = np.argsort(-SCORE)[:FILLED]
    truth = TRUTH[best[[0, 2]], [0, 2]].sum()
    choices = choices_of(explored, reward, without_second, TRUTH[candidate])[SLOTS]
    assert direct(choices) == pytest.approx(np.full(len(explored.slots), truth))
    assert ips(choices).mean() == pytest.approx(truth)
    nothing = choices_of(explored, reward, placed * 0, TRUTH[candidate])[SLOTS]
    assert (direct(nothing).sum(), ips(nothing).sum()) == (0.0, 0.0)


def test_scores_in_any_order_of_rows_give_the_same_estimate() -> None:
    explored, reward, placed, model, _ = every_slate()
    mixed = np.lexsort((np.random.default_rng(1).uniform(size=len(reward)), explored.request))
    other = explored._replace(slot=explored.slot[mixed], propensity=explored.propensity[mixed])
    for weights in (SLOTS, CASCADE, PAGE):
        one = choices_of(explored, reward, placed, model)[weights]
        two = choices_of(other, reward[mixed], placed[mixed], model[mixed])[weights]
        assert doubly_robust(one) == pytest.approx(doubly_robust(two))
