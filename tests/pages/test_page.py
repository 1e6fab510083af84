"""A request's page: what it is worth, how it explores, and that logged propensities are the truth."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from ukdsl_assets.declaration.page import (
    EpsilonGreedyExploration,
    Exploration,
    RandomOrderExploration,
    ThompsonExploration,
)
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import PageError
from ukdsl_assets.pages.batch import build_pages
from ukdsl_assets.pages.chances import _random, _ranks
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import PageRules, discounts, page_rules, value_of

KINDS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4])
VALUE = np.array([0.30, 0.28, 0.25, 0.05, 0.20, 0.12, 0.04, 0.15, 0.02, 0.10, 0.03, 0.08])
FREE = PageRules(6, discounts(6))
# On every page a module in slot 2; no more than two of a kind, and none of a kind below the other.
BOUND = replace(FREE, pins=((1, "module", 6),), caps=(("kind", 2),), sides=("kind",))
POLICIES = (
    RandomOrderExploration(kind="random_order", share=0.5),
    EpsilonGreedyExploration(kind="epsilon_greedy", epsilon=0.3),
    ThompsonExploration(kind="thompson", scale=0.6),
)
FEATURES: Mapping[str, NDArray[np.int64]] = {"kind": KINDS, "module": np.arange(12)}


def test_the_shipped_page_values_a_purchase_as_click_times_purchase_given_a_click() -> None:
    rules = page_rules(read_cascade(SHIPPED / "simulated_item_page.yaml"))
    click, purchase = np.array([0.1, 0.2]), np.array([0.5, 0.1])
    value = value_of(rules, {"module_click": click, "module_purchase": purchase})
    assert value == pytest.approx(click + 5 * click * purchase)
    with pytest.raises(PageError, match="no predictions of module_purchase"):
        value_of(rules, {"module_click": click})
    with pytest.raises(PageError, match=r"shapes \[\(1,\), \(2,\)\]"):
        value_of(rules, {"module_click": click, "module_purchase": purchase[:1]})


@pytest.mark.parametrize("policy", POLICIES, ids=lambda each: each.kind)
@pytest.mark.parametrize("rules", [FREE, BOUND], ids=["free", "bound"])
def test_logged_propensities_are_how_often_candidates_are_shown(rules: PageRules, policy: Exploration) -> None:
    """Chi-square of frequencies over 3,000 explored pages, in their own slots too, with the stated errors."""
    rules, wanted = replace(rules, exploration=policy), 3_000
    seen, pages, of_slot, request = np.zeros(12), 0, np.zeros((12, 6)), 0
    while pages < wanted:
        page = build_page(rules, VALUE, FEATURES, request, seed=3)
        request += 1
        if page.explored:
            pages += 1
            seen[page.order] += 1
            of_slot[page.order, np.arange(6)] += 1
            last = page
    p, error = last.propensity, last.propensity_error
    assert p.sum() == pytest.approx(6)
    assert seen[p == 0].sum() == 0
    certain = p > 1 - 1e-9
    assert (seen[certain] == pages).all()
    random = (p > 0) & ~certain
    z = (seen / pages - p)[random] / np.sqrt(p * (1 - p) / pages + error**2)[random]
    # Frequencies add up to six, so that they vary together: a bound for one in 1,000 such tests, not an exact test.
    assert (z**2).sum() < chi2.ppf(0.999, int(random.sum()))
    chances = last.chances
    assert chances is not None
    off = np.abs(of_slot / pages - chances.of_slot)
    assert off.max() < 4.5 * np.sqrt(0.25 / pages + (0.25 / 1_000 if error.any() else 0))
    assert last.slot_propensity == pytest.approx(chances.of_slot[last.order, np.arange(6)])


def test_a_random_page_without_rules_shows_slots_over_candidates_exactly() -> None:
    rules = replace(
        FREE, exploration=RandomOrderExploration(kind="random_order", share=1.0), one_of=(("kind", frozenset({0, 1})),)
    )
    page = build_page(rules, VALUE, FEATURES, 5)
    assert page.explored
    assert page.propensity == pytest.approx(np.where(KINDS <= 1, 6 / 7, 0))
    assert not page.propensity_error.any()
    assert page.slot_propensity == pytest.approx(np.full(6, 1 / 7))


def test_chances_of_ranks_are_those_of_two_candidates_in_closed_form() -> None:
    """The difference of two logistic deviates is above d with (1 + (d - 1) e^d) / (e^d - 1)^2."""
    apart = np.array([0.5, 2.0, 8.0])
    for d in apart:
        ranks = _ranks(np.array([0.0, d]), np.pi / np.sqrt(3), 2)
        expected = (1 + (d - 1) * np.exp(d)) / np.expm1(d) ** 2
        assert ranks[0] == pytest.approx([expected, 1 - expected], rel=1e-6)
        assert ranks.sum(axis=0) == pytest.approx([1, 1])


def test_counts_are_shared_by_pages_that_rules_cannot_tell_apart() -> None:
    rules = replace(BOUND, exploration=POLICIES[0], pins=((1, "module", 6),))
    swapped = {"kind": np.array([9, 8, 7, 5])[np.minimum(KINDS, 3)], "module": np.arange(12)}
    same = {"kind": np.minimum(KINDS, 3), "module": np.arange(12)}
    pages = [
        next(page for request in range(50) if (page := build_page(rules, VALUE, each, request)).explored)
        for each in (swapped, same)
    ]
    _random.cache_clear()
    assert (pages[0].propensity == pages[1].propensity).all()
    assert _random.cache_info().misses == 1


def test_candidates_without_any_worth_are_drawn_alike() -> None:
    rules = replace(FREE, slots=1, exploration=POLICIES[2])
    shown = [int(build_page(rules, np.zeros(3), {}, request).order[0]) for request in range(600)]
    assert build_page(rules, np.zeros(3), {}, 0).propensity == pytest.approx(np.full(3, 1 / 3))
    assert np.abs(np.bincount(shown) / 600 - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 600)


def test_weights_of_counted_propensities_are_right_on_the_mean() -> None:
    """Means of 1 / propensity over pages that show a candidate, where pages are drawn and the one shown is counted."""
    hits, draws, p = np.arange(201), 200, 0.03
    from scipy.stats import binom

    mean = (binom.pmf(hits, draws, p) * (draws + 1) / (1 + hits)).sum()
    assert mean == pytest.approx((1 - (1 - p) ** (draws + 1)) / p)


def test_a_page_is_a_function_of_seed_and_request() -> None:
    rules = replace(BOUND, exploration=POLICIES[2])
    first, again = (build_page(rules, VALUE, FEATURES, 11, seed=1) for _ in range(2))
    assert (first.order == again.order).all()
    assert (first.propensity == again.propensity).all()
    assert (build_page(rules, VALUE, FEATURES, "11", seed=1).order == first.order).all()
    others = [build_page(rules, VALUE, FEATURES, 11, seed=seed).order.tolist() for seed in range(2, 8)]
    assert any(order != first.order.tolist() for order in others)


def test_pages_that_do_not_explore_have_no_propensity() -> None:
    for exploration in (None, RandomOrderExploration(kind="random_order", share=1e-9)):
        page = build_page(replace(FREE, exploration=exploration), VALUE, {}, 1)
        assert not page.explored
        assert np.isnan(page.propensity).all()
        assert np.isnan(page.slot_propensity).all()
        assert page.order.tolist() == np.argsort(-VALUE)[:6].tolist()


@pytest.mark.parametrize(
    ("value", "features", "says"),
    [
        (np.array([0.1, np.nan]), {"kind": [1, 2], "module": [1, 2]}, "value: nan of candidate 1"),
        (np.array([-np.inf, 1.0]), {"kind": [1, 2], "module": [1, 2]}, "value: -inf of candidate 0"),
        (np.array([1.0, 1e200]), {"kind": [1, 2], "module": [1, 2]}, "of candidate 1 .* within 1e100"),
        (np.ones((2, 2)), {"kind": [1, 2], "module": [1, 2]}, "an array of 2 dimensions"),
        (np.ones(2), {"kind": [1, 2]}, "`module`, which a rule of the page reads, is missing"),
        (np.ones(2), {"kind": [1, 2], "module": [1]}, "`module` has 1 values for 2 candidates"),
    ],
)
def test_what_a_page_cannot_be_built_of_is_told(
    value: NDArray[np.float64], features: dict[str, list[int]], says: str
) -> None:
    with pytest.raises(PageError, match=says):
        build_page(BOUND, value, features, 1)


def test_thompson_sampling_refuses_values_below_0() -> None:
    with pytest.raises(PageError, match="0 or more for Thompson sampling"):
        build_page(replace(FREE, exploration=POLICIES[2]), [-0.1, 0.2], {}, 1)


def test_pages_of_many_requests_with_fewer_candidates_than_slots_leave_the_last_empty() -> None:
    pages = build_pages(FREE, np.array([[0.1, 0.3], [0.4, 0.2]]), {}, [1, 2])
    left = [-1] * (FREE.slots - 2)
    assert pages.order.tolist() == [[1, 0, *left], [0, 1, *left]]
    assert all("since no more candidates are eligible" in pages.relaxed[row][0] for row in (0, 1))


@pytest.mark.parametrize("policy", [None, *POLICIES], ids=lambda each: getattr(each, "kind", "none"))
def test_pages_of_many_requests_are_those_of_each(policy: Exploration | None) -> None:
    generator = np.random.default_rng(2)
    rules = replace(BOUND, exploration=policy, different=(("kind", 3),))
    value = generator.random((8, 12)) ** 3
    features = {"kind": generator.integers(0, 4, (8, 12)), "module": np.tile(np.arange(12), (8, 1))}
    ids = np.arange(8) + 1_000
    pages = build_pages(rules, value, features, ids, seed=4)
    for row, request in enumerate(ids.tolist()):
        one = build_page(rules, value[row], {name: each[row] for name, each in features.items()}, request, seed=4)
        assert pages.order[row].tolist() == one.order.tolist()
        assert pages.explored[row] == one.explored
        assert pages.relaxed.get(row, ()) == one.relaxed
    if policy is not None and policy.kind == "random_order":
        p = pages.propensity(12)
        assert np.isnan(p[~pages.explored]).all()
        assert p[pages.explored].sum(axis=1) == pytest.approx(6)
