"""Every rule's choice side by side, and two towers that need both sides."""

import numpy as np
import pytest

from tests.fixtures.feature_scores import scored
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import RuleName, Selection
from ukdsl_assets.errors import SelectionError
from ukdsl_assets.selection.choice import CONTROL, MEANINGS, RULE_SIZES, choice_table, choices, chosen_by, chosen_of
from ukdsl_assets.selection.comparison import marked
from ukdsl_assets.selection.rules import RULES
from ukdsl_assets.selection.rules.scores import Budget

SIDES = ["candidate", "candidate", "candidate", "request", "request"]
SCORES = scored([5, 4, 3, 2, 0.1], [1, 5, 3, 0, 2])
FEATURES = [
    Feature.model_validate({"name": name, "kind": "numeric", "side": side})
    for name, side in zip(SCORES.names, SIDES, strict=True)
]


def test_a_declaration_can_name_every_rule_that_there_is() -> None:
    assert set(RuleName.__args__) == set(RULES)  # type: ignore[attr-defined]


def test_two_towers_get_the_best_feature_of_a_side_that_a_rule_leaves_out_in_the_last_ones_place() -> None:
    rule, budget = RULES["impression"], Budget(features=3)
    assert chosen_by(SCORES, FEATURES, budget, rule, towers=False) == ("a", "b", "c")
    assert chosen_by(SCORES, FEATURES, budget, rule, towers=True) == ("a", "b", "d")
    other = RULES["consideration"]
    assert chosen_by(SCORES, FEATURES, budget, other, towers=True) == ("b", "c", "e")


def test_a_budget_that_buys_no_feature_of_a_side_is_told() -> None:
    dear = scored([5, 4, 3, 2, 1], [5, 4, 3, 2, 1], cost=[1, 1, 1, 9, 9])
    with pytest.raises(SelectionError, match=r"no feature of the request.*raise the budget"):
        chosen_by(dear, FEATURES, Budget(cost=3), RULES["impression"], towers=True)


def test_a_side_gives_way_to_the_other_only_as_far_as_both_fit() -> None:
    # The best of the request alone would take the whole budget.
    costs = scored([5, 4, 0, 3, 2], [5, 4, 0, 3, 2], cost=[5, 5, 5, 10, 1])
    assert chosen_by(costs, FEATURES, Budget(cost=10), RULES["impression"], towers=True) == ("a", "e")
    # The best candidate fits beside no feature of the request, another one does.
    dear = scored([5, 4, 0, 3, 2], [5, 4, 0, 3, 2], cost=[10, 7, 7, 9, 3])
    assert chosen_by(dear, FEATURES, Budget(cost=10), RULES["impression"], towers=True) == ("b", "e")


def test_the_table_has_what_each_rule_would_choose_and_the_place_of_what_the_declared_one_did() -> None:
    selection = Selection(rule="average_importance", budget=2)
    table = choice_table(SCORES, FEATURES, selection, towers=False)
    assert table.columns == list(MEANINGS)
    assert table["feature"].to_list() == list(SCORES.names)
    found = choices(SCORES, FEATURES, Budget(features=2), towers=False)
    assert {key: set(names) for key, names in marked(table).items()} == {
        key: set(names) for key, names in found.items()
    }
    assert chosen_of(table) == found["average_importance", "equal"] == ("b", "a")
    assert table["impression_rank"].to_list() == [1, 2, 3, 4, 5]
    assert table["consideration_rank"].to_list() == [4, 1, 2, 5, 3]


def test_the_control_of_a_natural_union_is_impression_alone_at_its_size() -> None:
    found = choices(SCORES, FEATURES, Budget(features=2), towers=False)
    assert found["union", "natural"] == ("a", "b", "c")
    assert found[CONTROL] == ("a", "b", "c")
    assert list(found) == [key for key in RULE_SIZES if key in found]


def test_a_natural_intersection_of_nothing_is_left_out() -> None:
    scores = scored([2, 1], [1, 2])
    found = choices(scores, FEATURES[:2], Budget(features=1), towers=False)
    assert ("intersection", "natural") not in found
    assert ("intersection", "equal") in found


def test_features_without_a_score_have_the_last_ranks() -> None:
    scores = scored([float("nan"), 1, 2, 0, -1], [0, 0, 0, 0, 0])
    table = choice_table(scores, FEATURES, Selection(budget=2), towers=False)
    assert table["impression_rank"].to_list() == [5, 2, 1, 3, 4]
    assert np.isnan(table["impression_score"][0])
