"""Rules keep to the budget, do not depend on the declaration's order, and do what the paper's table says."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.feature_scores import any_scores, permuted, scored
from ukdsl_assets.selection.rules import NATURAL, RULES
from ukdsl_assets.selection.rules.cost_aware import member_values
from ukdsl_assets.selection.rules.knapsack import GAP, knapsack
from ukdsl_assets.selection.rules.scores import Budget, Scores, cost_of, shares

NAN = float("nan")
BUDGETS = st.one_of(
    st.integers(1, 6).map(lambda n: Budget(features=n)),
    st.sampled_from([0.1, 0.3, 1.0, 3.2]).map(lambda c: Budget(cost=c)),
)


@given(scores=any_scores(), budget=BUDGETS, data=st.data())
@settings(max_examples=60)
def test_every_rule_keeps_to_the_budget_repeats_nothing_and_ignores_the_order_of_declaration(
    scores: Scores, budget: Budget, data: st.DataObject
) -> None:
    other = permuted(scores, data.draw(st.permutations(range(len(scores.names)))))
    for name, rule in {**RULES, **{f"natural {name}": rule for name, rule in NATURAL.items()}}.items():
        chosen = rule(scores, budget)
        assert len(set(chosen)) == len(chosen), name
        assert set(chosen) <= set(scores.names), name
        assert name == "natural union" or budget.kept(scores, chosen), name
        assert rule(other, budget) == chosen, name


@given(scores=any_scores(), size=st.integers(1, 12))
@settings(max_examples=60)
def test_a_number_of_features_is_filled_by_every_rule(scores: Scores, size: int) -> None:
    for name, rule in RULES.items():
        assert len(rule(scores, Budget(features=size))) == min(size, len(scores.names)), name


@given(scores=any_scores(), size=st.integers(1, 6))
@settings(max_examples=60)
def test_unions_and_intersections_hold_what_their_names_say(scores: Scores, size: int) -> None:
    budget = Budget(features=size)
    shown, considered = (set(RULES[name](scores, budget)) for name in ("impression", "consideration"))
    assert set(NATURAL["union"](scores, budget)) == shown | considered
    assert set(NATURAL["intersection"](scores, budget)) == shown & considered
    assert set(RULES["union"](scores, budget)) <= shown | considered
    assert set(NATURAL["intersection"](scores, budget)) <= set(RULES["intersection"](scores, budget))


@given(scores=any_scores(), size=st.integers(1, 6))
@settings(max_examples=60)
def test_features_that_were_not_measured_come_last(scores: Scores, size: int) -> None:
    for name in ("impression", "consideration"):
        chosen = RULES[name](scores, Budget(features=size))
        unknown = {n for n, s in zip(scores.names, getattr(scores, name), strict=True) if np.isnan(s)}
        known_left_out = set(scores.names) - unknown - set(chosen)
        assert not (known_left_out and unknown & set(chosen))


def test_each_rule_of_the_paper_on_an_example_by_hand() -> None:
    scores = scored([5, 4, 3, 0, 1], [1, 0, 3, 5, 4])
    expected = {
        "impression": ("a", "b"),
        "consideration": ("d", "e"),
        "average_rank": ("a", "c"),
        "average_importance": ("a", "c"),
        "intersection": ("c", "a"),
        "union": ("a", "d"),
    }
    assert {name: RULES[name](scores, Budget(features=2)) for name in expected} == expected
    assert NATURAL["union"](scores, Budget(features=2)) == ("a", "d", "b", "e")
    assert NATURAL["intersection"](scores, Budget(features=2)) == ()
    assert NATURAL["intersection"](scores, Budget(features=3)) == ("c",)


def test_ties_go_by_name_and_what_was_not_measured_is_last() -> None:
    scores = scored([1, 1, NAN, 1], [0, 0, 9, 0])
    assert RULES["impression"](scores, Budget(features=4)) == ("a", "b", "d", "c")
    assert RULES["average_importance"](scores, Budget(features=4)) == ("a", "b", "d", "c")


def test_copies_count_once() -> None:
    # d and e are copies: each alone seems to matter little, both together matter most.
    scores = scored([3, 2, 1.5, 0.5, 0.4], [3, 2, 1.5, 0.5, 0.4], alike={(3, 4): 0.94}, grouped={(3, 4): (9.0, 9.0)})
    assert RULES["grouped_permutation"](scores, Budget(features=3)) == ("d", "a", "b")
    # The second copy comes after all that says something of its own.
    assert RULES["grouped_permutation"](scores, Budget(features=5)) == ("d", "a", "b", "c", "e")


def test_without_copies_grouped_permutation_adds_shares_of_both_sets() -> None:
    scores = scored([8, 2, -3], [1, 2, 1])
    assert np.allclose(shares(scores.impression), [0.8, 0.2, 0])
    assert RULES["grouped_permutation"](scores, Budget(features=3)) == ("a", "b", "c")
    assert RULES["average_importance"](scores, Budget(features=3)) == ("a", "b", "c")


def test_a_cheap_copy_stands_in_for_a_dear_original() -> None:
    scores = scored([5, 4, 2], [5, 4, 2], cost=[10, 1, 3], alike={(0, 1): 0.95}, grouped={(0, 1): (9.0, 9.0)})
    assert RULES["cost_aware"](scores, Budget(cost=4)) == ("b", "c")
    assert RULES["grouped_permutation"](scores, Budget(cost=10)) == ("a",)
    assert RULES["cost_aware"](scores, Budget(cost=10)) == ("b", "c")
    assert RULES["cost_aware"](scores, Budget(cost=13)) == ("a", "c")


def test_a_cost_is_not_spent_on_what_is_worth_nothing() -> None:
    scores = scored([5, 0, -1], [5, 0, 0])
    assert RULES["cost_aware"](scores, Budget(cost=3)) == ("a",)


def test_rounding_of_a_sum_of_costs_is_no_breach() -> None:
    scores = scored([3, 2, 1], [3, 2, 1], cost=[0.1, 0.1, 0.1])
    for name, rule in RULES.items():
        assert len(rule(scores, Budget(cost=0.3))) == 3, name


@given(scores=any_scores(8), limit=st.sampled_from([0.1, 0.6, 1.5, 4.0]))
@settings(max_examples=60)
def test_the_knapsack_is_the_best_of_all_selections(scores: Scores, limit: float) -> None:
    values, reach = member_values(scores), Budget(cost=limit).reach
    chosen = knapsack(scores.names, scores.cluster, values, scores.cost, reach)
    assert len(set(scores.cluster[chosen])) == len(chosen)
    best = 0.0
    for bits in product((0, 1), repeat=len(values)):
        at = np.flatnonzero(bits)
        if len(set(scores.cluster[at])) == len(at) and scores.cost[at].sum() <= reach:
            best = max(best, float(values[at].sum()))
    assert values[chosen].sum() == pytest.approx(best, abs=1e-9)


def test_a_large_knapsack_is_within_a_hundredth_of_the_bound() -> None:
    rng = np.random.default_rng(0)
    n = 1000
    importance, cost = rng.exponential(1, n), rng.exponential(1, n) + 0.05
    scores = Scores(
        names=tuple(f"f{at:04d}" for at in range(n)),
        impression=importance,
        consideration=importance,
        cost=cost,
        cluster=np.arange(n),
        cluster_impression=importance,
        cluster_consideration=importance,
        likeness=np.eye(n),
    )
    chosen = RULES["cost_aware"](scores, Budget(cost=50.0))
    assert cost_of(scores, chosen) <= 50.0
    # The linear programme without clusters: fill up by value for cost, the last one in part.
    order = np.argsort(-importance / cost)
    spent = np.cumsum(cost[order])
    whole = int(np.searchsorted(spent, 50.0, side="right"))
    rest = (50.0 - (spent[whole - 1] if whole else 0)) / cost[order[whole]]
    bound = importance[order[:whole]].sum() + rest * importance[order[whole]]
    value = sum(importance[scores.names.index(name)] for name in chosen)
    assert value >= (1 - GAP) * bound


@pytest.mark.parametrize("wrong", [{}, {"features": 3, "cost": 1.0}])
def test_a_budget_is_a_number_or_a_cost(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Budget(**wrong)  # type: ignore[arg-type]


def test_wrong_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="costs are negative"):
        scored([1.0], [1.0], cost=[-1.0])
