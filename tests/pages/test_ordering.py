"""The page that is built is the best of all that keep the rules, and the nearest one where none does."""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ukdsl_assets.pages.ordering import candidates_of, ordered, told
from ukdsl_assets.pages.rules import PageRules, discounts
from ukdsl_assets.pages.search import MOST_STEPS, Ranked, Slack, _Search, best_page, sets_by_value

FEATURES = ("kind", "brand", "module")


@st.composite
def cases(draw: st.DrawFn) -> tuple[PageRules, dict[str, list[int]], list[float]]:
    """A few candidates, and any rules for them, such that every page can be looked at."""
    count = draw(st.integers(1, 7))
    slots = draw(st.integers(1, 4))
    columns = {name: draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)) for name in FEATURES[:2]}
    columns["module"] = list(range(count))
    some = st.lists(st.sampled_from(FEATURES[:2]), unique=True, max_size=2)
    pinned = draw(st.lists(st.integers(0, slots - 1), unique=True, max_size=2))
    rules = PageRules(
        slots,
        tuple(sorted(draw(st.lists(st.floats(0.1, 1), min_size=slots, max_size=slots)), reverse=True)),
        pins=tuple((slot, draw(st.sampled_from(FEATURES)), draw(st.integers(0, 3))) for slot in pinned),
        caps=tuple((name, draw(st.integers(1, 3))) for name in draw(some)),
        sides=tuple(draw(some)),
        different=tuple((name, draw(st.integers(1, slots))) for name in draw(some)),
    )
    return rules, columns, draw(st.lists(st.floats(0, 1, width=16), min_size=count, max_size=count))


def violations(rules: PageRules, columns: Mapping[str, Sequence[Any]], page: Sequence[int]) -> tuple[int, ...]:
    """Candidates beyond caps, values short, and equal neighbours, counted plainly."""
    excess = short = 0
    for name, most in rules.caps:
        of_page = [columns[name][at] for at in page]
        excess += sum(max(0, of_page.count(value) - most) for value in set(of_page))
    for name, least in rules.different:
        short += max(0, least - len({columns[name][at] for at in page}))
    pairs = sum(any(columns[n][a] == columns[n][b] for n in rules.sides) for a, b in pairwise(page))
    return excess, short, pairs


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_page_is_the_best_of_all_that_keep_the_rules_or_are_nearest_to_it(
    case: tuple[PageRules, dict[str, list[int]], list[float]],
) -> None:
    rules, columns, value = case
    made = ordered(rules, candidates_of(rules, columns, len(value)), np.array(value))
    slots = min(rules.slots, len(value))
    pins = [(s, f, v) for s, f, v in rules.pins if s < slots and v in columns[f]]
    every = list(permutations(range(len(value)), slots))
    # Pins give way from the last declared on.
    while not (pages := [page for page in every if all(columns[f][page[s]] == v for s, f, v in pins)]):
        pins.pop()
    nearest = min(violations(rules, columns, page) for page in pages)
    best = max(
        sum(weight * value[at] for weight, at in zip(rules.weights, page, strict=False))
        for page in pages
        if violations(rules, columns, page) == nearest
    )
    assert all(columns[f][made.order[s]] == v for s, f, v in pins)
    assert violations(rules, columns, made.order) == nearest
    assert sum(w * value[at] for w, at in zip(rules.weights, made.order, strict=False)) == pytest.approx(best)
    kept = slots == rules.slots and len(pins) == len(rules.pins) and not any(nearest)
    assert bool(made.relaxed) != kept


def test_what_gave_way_is_told_by_rule_with_what_was_seen_and_asked() -> None:
    columns = {"kind": [1, 1, 1, 2], "module": [10, 11, 12, 13]}
    rules = PageRules(
        4,
        discounts(4),
        pins=((0, "module", 13), (1, "module", 99)),
        caps=(("kind", 2),),
        sides=("kind",),
        different=(("kind", 3),),
    )
    made = ordered(rules, candidates_of(rules, columns, 4), np.array([0.1, 0.4, 0.2, 0.3]))
    assert made.order == [3, 1, 2, 0]
    assert made.relaxed == (
        "pinned: module 99 not in slot 2: no eligible candidate has it",
        "not_side_by_side: kind 1 in slots 2 and 3",
        "not_side_by_side: kind 1 in slots 3 and 4",
        "at_least_different: 2 of 3 values of kind",
        "at_most: 3 with kind 1, of 2",
    )


def test_what_is_not_eligible_is_never_shown_and_a_page_is_shorter_for_it() -> None:
    columns: dict[str, list[float | None]] = {"stock": [0.0, 3.0, None, float("nan"), 9.0], "kind": [1, 1, 1, 1, 2]}
    rules = PageRules(3, discounts(3), ranges=(("stock", 1.0, np.inf),), one_of=(("kind", frozenset({1})),))
    made = ordered(rules, candidates_of(rules, columns, 5), np.arange(5.0))
    assert (made.order, made.relaxed) == ([1], ("slots: 1 of 3, since no more candidates are eligible",))
    none = ordered(rules, candidates_of(rules, {"stock": [], "kind": []}, 0), np.zeros(0))
    assert none.order == []


def test_of_equal_candidates_the_earlier_one_stands_higher() -> None:
    rules = PageRules(3, discounts(3), caps=(("kind", 2),))
    assert ordered(rules, candidates_of(rules, {"kind": [1, 1, 1, 2]}, 4), np.ones(4)).order == [0, 1, 3]


def test_crossing_caps_are_solved_where_greedy_loses_nearly_half() -> None:
    """The best candidate uses up both caps that the second and third would share."""
    columns = {"kind": ["a", "a", "b", "b"], "brand": ["p", "q", "p", "q"]}
    rules = PageRules(2, (1.0, 1.0), caps=(("kind", 1), ("brand", 1)))
    made = ordered(rules, candidates_of(rules, columns, 4), np.array([0.50, 0.49, 0.49, 0.01]))
    assert sorted(made.order) == [1, 2]


def test_a_better_candidate_that_only_fits_a_later_slot_is_found_beside_a_worse_one() -> None:
    """The best candidate is pinned to the second slot, and two caps leave the fourth best alone beside it."""
    columns = {"kind": [2, 0, 2, 0], "brand": [0, 0, 1, 1]}
    rules = PageRules(2, (1.0, 1.0), pins=((1, "kind", 2),), caps=(("kind", 1), ("brand", 1)))
    made = ordered(rules, candidates_of(rules, columns, 4), np.array([1.0, 0.75, 0.625, 0.5]))
    assert (made.order, made.relaxed) == ([3, 0], ())


@pytest.mark.parametrize("most_steps", [50, 1_000])
def test_a_search_for_the_nearest_page_ends_soon_where_it_must_and_says_so(most_steps: int) -> None:
    generator = np.random.default_rng(3)
    columns = {name: generator.integers(0, kinds, 40).tolist() for name, kinds in (("x", 8), ("y", 8), ("z", 4))}
    rules = PageRules(12, discounts(12), caps=(("x", 2), ("y", 2)), sides=("x", "z"), different=(("z", 5), ("x", 6)))
    candidates, value = candidates_of(rules, columns, 40), generator.random(40)
    began = time.process_time()
    made = ordered(rules, candidates, value, most_steps)
    assert time.process_time() - began < 2
    assert len(set(made.order)) == 12
    assert made.relaxed[:-1] == tuple(told(rules, columns, made.order))
    assert made.relaxed[-1].startswith("rules: the search for the nearest page stopped early")


def test_a_search_that_is_too_long_gives_the_best_page_so_far_and_says_so() -> None:
    generator = np.random.default_rng(1)
    count = 200
    value = np.sort(generator.random(count) ** 0.2)[::-1]
    columns = {str(number): generator.integers(0, 6, count).tolist() for number in range(6)}
    rules = PageRules(24, discounts(24), caps=tuple((name, 5) for name in columns), sides=tuple(columns)[:1])
    made = ordered(rules, candidates_of(rules, columns, count), value)
    assert made.relaxed == (f"value: the search for the best page stopped after {MOST_STEPS:,} steps",)
    assert not told(rules, columns, made.order)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_one_cap_is_solved_in_one_descent(most: int) -> None:
    of = sets_by_value([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3])
    value = np.linspace(1, 0.1, 12).tolist()
    ranked = Ranked(4, discounts(4), value, {}, [(of, most)], [], [])
    found = best_page(ranked)
    search = _Search(ranked, Slack(), False)
    assert found is not None
    assert search.first
    assert found.order == {1: [0, 4, 6, 11], 2: [0, 1, 4, 5], 3: [0, 1, 2, 4]}[most]


def test_crossing_rules_on_more_candidates_are_solved_as_by_every_page() -> None:
    """Eight candidates and four slots: caps of two features that cross, neighbours, pins."""
    generator = np.random.default_rng(2)
    every = np.array(list(permutations(range(8), 4)))
    weights = np.array(discounts(4))
    feasible = 0
    for _ in range(400):
        columns = {name: generator.integers(0, 4, 8) for name in ("kind", "brand")} | {"module": np.arange(8)}
        rules = PageRules(
            4,
            discounts(4),
            pins=((int(generator.integers(0, 4)), "module", 3),) if generator.random() < 0.3 else (),
            caps=tuple((name, int(generator.integers(1, 4))) for name in ("kind", "brand")),
            sides=("kind",) if generator.random() < 0.3 else (),
        )
        value = generator.random(8) ** generator.choice([0.2, 1, 3])
        kept = np.ones(len(every), bool)
        for slot, name, wanted in rules.pins:
            kept &= columns[name][every[:, slot]] == wanted
        for name in rules.sides:
            kept &= (columns[name][every[:, 1:]] != columns[name][every[:, :-1]]).all(axis=1)
        for name, most in rules.caps:
            shown = columns[name][every]
            kept &= (shown[:, :, None] == shown[:, None, :]).sum(axis=2).max(axis=1) <= most
        made = ordered(rules, candidates_of(rules, columns, 8), value)
        assert bool(made.relaxed) != kept.any()
        if kept.any():
            feasible += 1
            assert weights @ value[made.order] == pytest.approx((value[every[kept]] @ weights).max(), rel=1e-9)
    assert feasible > 200


def test_a_bound_asks_no_more_of_later_candidates_than_of_earlier_ones() -> None:
    """To take a candidate may use up the second cap for what comes after it, and to take a worse one need not."""
    columns = {"kind": [1, 1, 2, 0, 0, 0, 0, 1], "brand": [0, 1, 1, 2, 1, 2, 1, 0]}
    rules = PageRules(
        5,
        (0.868, 0.776, 0.742, 0.447, 0.136),
        pins=((2, "kind", 1),),
        caps=(("kind", 2), ("brand", 2)),
        different=(("kind", 2),),
    )
    value = np.array([0.403, 0.214, 0.339, 0.101, 0.360, 0.338, 0.696, 0.122])
    made = ordered(rules, candidates_of(rules, columns, 8), value)
    pages = (page for page in permutations(range(8), 5) if columns["kind"][page[2]] == 1)
    best = max(
        sum(weight * value[at] for weight, at in zip(rules.weights, page, strict=True))
        for page in pages
        if violations(rules, columns, page) == (0, 0, 0)
    )
    assert not made.relaxed
    assert sum(w * value[at] for w, at in zip(rules.weights, made.order, strict=True)) == pytest.approx(best)
