"""The page as a policy: its slots, what it earns in a small world whose truth is known, and production's order."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.graph import shipped
from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.off_policy.explored import Explored
from ukdsl_assets.off_policy.gates import judge_weights
from ukdsl_assets.off_policy.means import Mean
from ukdsl_assets.off_policy.table import Outcome, estimated
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import PageRules, discounts
from ukdsl_assets.pipeline.page_policy import (
    estimated_policies,
    greedy_rules,
    off_policy_table,
    placed_by_rules,
    policy_of,
)
from ukdsl_assets.pipeline.production_order import agreement, order_of, order_sums, production_columns

CASCADE = shipped("simulated_item_page")
CLICK, PURCHASE = CASCADE.students
# Six candidates of two kinds, three slots; further down, fewer look.
CANDIDATES, SLOTS = 6, 3
KINDS = np.array([1, 1, 1, 2, 2, 2])
LOOKED = np.array([1.0, 0.6, 0.4])
FREE = PageRules(SLOTS, discounts(SLOTS))
CAPPED = PageRules(SLOTS, discounts(SLOTS), caps=(("kind", 2),))
TWO = PageRules(2, discounts(2), caps=(("kind", 1),))


def world(requests: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values [requests, candidates] by which a page is made, and true probabilities of a click were each seen."""
    rng = np.random.default_rng(seed)
    # Kind 1 is worth more, so that a cap binds.
    truth = rng.uniform(0.05, 0.5, (requests, CANDIDATES)) + 0.35 * (KINDS == 1)
    return truth * np.exp(rng.normal(0, 0.1, truth.shape)), truth


def places(rules: PageRules, value: np.ndarray, shown: int = SLOTS) -> np.ndarray:
    """Slots [requests, candidates] by the function under test."""
    rows = pl.DataFrame({"_rule/kind": np.tile(KINDS, len(value))})
    request = np.repeat(np.arange(len(value)), CANDIDATES)
    return placed_by_rules(rules, rows, value.ravel(), request, np.full(len(value), shown)).reshape(value.shape)


def earned(placed: np.ndarray, truth: np.ndarray) -> float:
    """What pages truly earn a request."""
    return float((np.r_[0.0, LOOKED][placed] * truth).sum() / len(truth))


def estimates(rules: PageRules, seed: int, by_slot: bool = True, requests: int = 4000) -> tuple[pl.DataFrame, float]:
    """Every estimate of a page from pages in random order, and what it truly earns on these requests."""
    value, truth = world(requests, seed)
    rng = np.random.default_rng(seed + 1)
    slot = rng.permuted(np.tile([1, 2, 3, 0, 0, 0], (requests, 1)), axis=1)
    looked = LOOKED if by_slot else np.ones(SLOTS)
    clicked = (rng.uniform(size=slot.shape) < np.r_[0.0, looked][slot] * truth).astype(np.float64)
    explored = Explored(
        np.repeat(np.arange(requests), CANDIDATES), slot.ravel(), np.where(slot.ravel() > 0, 0.5, np.nan), by_slot
    )
    model = (truth[:, :, None] * looked * 0.9).reshape(-1, SLOTS) if by_slot else truth.reshape(-1, 1)
    outcomes = {"click": Outcome(clicked.ravel(), model, Mean(requests, 0.5, 0.01, 0.0), 1.0)}
    placed = places(rules, value)
    table = estimated(OffPolicy(slot="slot" if by_slot else None), explored, placed.ravel(), None, outcomes)
    true = earned(placed, truth) if by_slot else float(truth[placed > 0].sum() / requests)
    return table.with_columns(when=pl.lit("next_day")), true


@pytest.mark.parametrize("by_slot", [True, False])
@pytest.mark.parametrize(("rules", "seed"), [(FREE, 101), (CAPPED, 102), (TWO, 103)])
def test_estimates_of_a_page_are_what_it_truly_earns(rules: PageRules, seed: int, by_slot: bool) -> None:
    table, true = estimates(rules, seed, by_slot)
    for row in table.filter(pl.col("estimator").is_in(["ips", "snips", "dr", "sndr", "pi"])).iter_rows(named=True):
        assert abs(row["value"] - true) < 4 * row["value_error"], row["estimator"]
        assert row["value_error"] < 0.1 * true
    # Also of a page that shows fewer than the logged ones, and leaves the last slot empty.
    assert judge_weights(table).passed
    assert ("pi" in table["estimator"]) == (by_slot and rules is not TWO)


def test_a_capped_page_earns_something_else_than_an_uncapped_one_and_its_estimate_says_so() -> None:
    found = [estimates(rules, 104) for rules in (PageRules(2, discounts(2)), TWO)]
    (one,), (other,) = (table.filter(estimator="sndr").iter_rows(named=True) for table, _ in found)
    truly = found[0][1] - found[1][1]
    errors = np.hypot(one["value_error"], other["value_error"])
    assert truly > 4 * errors
    assert one["value"] - other["value"] == pytest.approx(truly, abs=4 * errors)


def test_a_page_that_shows_nothing_earns_nothing_and_its_weights_are_not_judged() -> None:
    table, true = estimates(PageRules(3, discounts(3), one_of=(("kind", frozenset({9})),)), 106, requests=50)
    assert true == 0
    assert table["value"].to_list() == [0.0] * len(table)
    assert not judge_weights(table).judged


def test_placed_is_the_page_that_one_finds_by_trying_every_one() -> None:
    value, _ = world(40, 105)
    rules = PageRules(3, discounts(3), caps=(("kind", 2),), sides=("kind",))
    for slots, of in zip(places(rules, value), value, strict=True):
        tried = [
            (sum(w * of[at] for w, at in zip(rules.weights, page, strict=True)), page)
            for page in itertools.permutations(range(CANDIDATES), 3)
            if KINDS[page[0]] != KINDS[page[1]] != KINDS[page[2]]
        ]
        assert [int(np.flatnonzero(slots == place)[0]) for place in (1, 2, 3)] == [*max(tried)[1]]


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_requests_of_any_size_have_the_pages_that_each_has_alone(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    kinds = [data.draw(st.lists(st.sampled_from([1, 2, 3, None]), min_size=size, max_size=size)) for size in sizes]
    value = np.random.default_rng(data.draw(st.integers(0, 99))).uniform(size=sum(sizes))
    shown = data.draw(st.lists(st.integers(1, 6), min_size=len(sizes), max_size=len(sizes)))
    rules = PageRules(4, discounts(4), pins=((0, "kind", 2),), caps=(("kind", 2),), sides=("kind",))
    rows = pl.DataFrame({"_rule/kind": pl.Series([*itertools.chain(*kinds)], dtype=pl.Int64)})
    request = np.repeat(np.arange(len(sizes)), sizes)
    placed = placed_by_rules(rules, rows, value, request, np.array(shown))
    for number, (of, most) in enumerate(zip(kinds, shown, strict=True)):
        expected = build_page(rules, value[request == number], {"kind": of}, number).order[:most]
        here = placed[request == number]
        assert [int(np.flatnonzero(here == place + 1)[0]) for place in range(len(expected))] == expected.tolist()
        assert (here > 0).sum() == len(expected)


def test_candidates_without_a_finite_value_come_last() -> None:
    value = np.array([[np.nan, 0.1, 0.2, np.inf, 0.3, -np.inf]])
    assert places(FREE, value).tolist() == [[0, 3, 2, 0, 1, 0]]


def test_the_page_is_estimated_after_its_students_and_only_where_it_is_declared_of_the_last_stage() -> None:
    assert estimated_policies(CASCADE) == (CLICK, PURCHASE, CASCADE.page)
    assert CASCADE.page is not None
    assert off_policy_table(CASCADE, CASCADE.page) == ("simulated_item_page", "off_policy")
    assert off_policy_table(CASCADE, CLICK) == ("simulated_item_page", "module_click", "off_policy")
    assert estimated_policies(CASCADE.model_copy(update={"page": None})) == (CLICK, PURCHASE)
    assert estimated_policies(CASCADE.model_copy(update={"off_policy": None})) == ()
    later = CASCADE.stages[0].model_copy(update={"name": "last"})
    assert CASCADE.model_copy(update={"stages": (*CASCADE.stages, later)}).estimated_page is None


def test_a_page_orders_by_its_value_and_not_by_bids_or_products_twice() -> None:
    assert CASCADE.page is not None
    whose = policy_of(CASCADE, CASCADE.page)
    click, purchase = np.array([0.5, 0.2]), np.array([0.1, 0.4])
    alone = {"click": click, "purchase": purchase}
    product = {"click": click, "purchase": click * purchase}
    assert whose.score(product, alone) == pytest.approx(click + 5 * click * purchase)
    assert whose.rules is not None
    assert whose.rules.exploration is None
    assert policy_of(CASCADE, PURCHASE).score(product, alone) is product["purchase"]


def logged_pages(requests: int = 60) -> pl.DataFrame:
    """A log whose pages are those of the declared rules on what the last stage predicted."""
    rng = np.random.default_rng(7)
    rules, count = greedy_rules(CASCADE), 12
    parts = []
    for number in range(requests):
        click, purchase = rng.uniform(0.05, 0.4, count), rng.uniform(0.05, 0.2, count)
        kinds = rng.integers(1, 5, count)
        page = build_page(rules, click + 5 * click * purchase, {"module_kind": kinds}, number)
        slot = np.zeros(count, np.int64)
        slot[page.order] = np.arange(1, 7)
        parts.append(
            pl.DataFrame(
                {
                    "request_id": np.full(count, number),
                    # Which module is which changes from page to page, so that there is no one order of them.
                    "candidate_id": rng.permutation(count),
                    "shown": slot > 0,
                    "slot": pl.Series(slot).replace(0, None),
                    "module_kind": kinds,
                    "module_ranking_click_prediction": click,
                    "module_ranking_purchase_prediction": purchase,
                }
            )
        )
    return pl.concat(parts)


def test_where_production_shows_the_page_its_order_is_found_by_the_rules_for_page_and_student() -> None:
    stage = CASCADE.stages[0].model_copy(update={"predicts": None})
    served = CASCADE.model_copy(update={"stages": (stage,)})
    log = logged_pages()
    assert served.page is not None
    for of in (served.page, CLICK):
        whose = policy_of(served, of)
        found = order_sums(served, whose, log.lazy(), log["request_id"].unique().sort(), 1)
        order = order_of([found], served)
        assert order is not None
        assert agreement(found.sample, order, by_slot=True) == 1
        rows = log.select("request_id", "candidate_id", *production_columns(served, whose))
        placed = order(rows, log["request_id"].to_numpy(), np.full(60, 6))
        assert placed.tolist() == log["slot"].fill_null(0).to_list()
        # Without what the last stage predicted, nothing is known of this order.
        assert order_of([order_sums(CASCADE, whose, log.lazy(), log["request_id"].unique().sort(), 1)], CASCADE) is None
