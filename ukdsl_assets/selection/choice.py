"""What every rule would choose, and the choice of the declared one."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.errors import SelectionError
from ukdsl_assets.selection.rules import NATURAL, RULES, SelectionRule
from ukdsl_assets.selection.rules.scores import Budget, Scores

# (rule, size) -> rule, in the order of the tables. At natural size a union has more features than the budget.
ALL: Mapping[tuple[str, str], SelectionRule] = {
    (name, size): rule
    for name, equal in RULES.items()
    for size, rule in (("natural", NATURAL.get(name)), ("equal", equal))
    if rule is not None
}
# The control of a natural union: what impression alone would choose at its size.
CONTROL = ("impression", "union")
RULE_SIZES = (
    *list(ALL)[: list(ALL).index(("union", "equal"))],
    CONTROL,
    *list(ALL)[list(ALL).index(("union", "equal")) :],
)
SIZES = {
    "equal": "as many features as the budget allows",
    "natural": "as many as the rule finds",
    "union": "as many as the natural union has",
}


def budget_of(selection: Selection) -> Budget:
    return Budget(features=selection.budget, cost=selection.cost_budget)


def chosen_by(
    scores: Scores, features: Sequence[Feature], budget: Budget, rule: SelectionRule, towers: bool
) -> tuple[str, ...]:
    """Names of the features that a rule chooses, first choice first.

    Args:
        features: those of the scores, in their order.
        towers: whether the student needs features of both sides. If the rule leaves a side out, its best feature of
            that side takes the place of the last choices.

    Raises:
        SelectionError: when no selection within the budget has a feature of each side.
    """
    chosen = list(rule(scores, budget))
    side = {feature.name: feature.side for feature in features}
    for wanted in ("request", "candidate") if towers else ():
        if any(side[name] == wanted for name in chosen):
            continue
        ranked = rule(scores, Budget(features=len(side)))
        others = [name for name in ranked if side[name] != wanted]
        # It must leave room for some feature of the other side, and takes the place of the last choices of that.
        added = next(
            (
                name
                for name in ranked
                if side[name] == wanted and any(budget.kept(scores, [each, name]) for each in others)
            ),
            None,
        )
        if added is None:
            continue
        while len(chosen) > 1 and not budget.kept(scores, [*chosen, added]):
            chosen.pop()
        if not budget.kept(scores, [*chosen, added]):
            chosen = [next(each for each in others if budget.kept(scores, [each, added]))]
        chosen.append(added)
    missing = {"request", "candidate"} - {side[name] for name in chosen}
    if towers and missing:
        raise SelectionError(
            f"selection: {chosen} within {budget} has no feature of the {' and '.join(sorted(missing))}, which "
            "two_tower needs; expected one of each side; raise the budget"
        )
    return tuple(chosen)


def choices(
    scores: Scores, features: Sequence[Feature], budget: Budget, towers: bool
) -> dict[tuple[str, str], tuple[str, ...]]:
    """What each rule chooses at each of its sizes: (rule, size) of `RULE_SIZES` -> names; errors as in `chosen_by`.

    At natural size and as control the rules are as they are; one that leaves a side of two towers out is left out.
    """
    by_rule = {}
    for (name, size), rule in ALL.items():
        equal = size == "equal"
        by_rule[name, size] = chosen_by(scores, features, budget, rule, towers) if equal else rule(scores, budget)
    by_rule[CONTROL] = RULES["impression"](scores, Budget(features=len(by_rule["union", "natural"])))
    side = {feature.name: feature.side for feature in features}

    def usable(names: tuple[str, ...]) -> bool:
        return len({side[name] for name in names}) == 2 if towers else bool(names)

    return {key: by_rule[key] for key in RULE_SIZES if usable(by_rule[key])}


def choice_table(scores: Scores, features: Sequence[Feature], selection: Selection, towers: bool) -> pl.DataFrame:
    """The table feature_union: one row a candidate, in declared order; see `MEANINGS`."""
    by_rule = choices(scores, features, budget_of(selection), towers)
    chosen = by_rule[selection.rule, "equal"]
    places = {name: place for place, name in enumerate(chosen, start=1)}
    ranks = {
        f"{name}_rank": np.argsort(scores.ranking(column)) + 1
        for name, column in (("impression", scores.impression), ("consideration", scores.consideration))
    }
    marks = {
        f"{rule}_{size}": [name in by_rule.get((rule, size), ()) for name in scores.names] for rule, size in RULE_SIZES
    }
    return pl.DataFrame(
        {
            "feature": list(scores.names),
            "side": [feature.side for feature in features],
            "cost": scores.cost,
            "cluster": scores.cluster.astype(np.int32),
            "impression_score": scores.impression,
            "consideration_score": scores.consideration,
            **{name: column.astype(np.int32) for name, column in ranks.items()},
            "rule": [selection.rule] * len(features),
            "place": pl.Series([places.get(name) for name in scores.names], dtype=pl.Int32),
            **marks,
        }
    )


def chosen_of(table: pl.DataFrame) -> tuple[str, ...]:
    """The chosen features of feature_union, first choice first."""
    return tuple(table.filter(pl.col("place").is_not_null()).sort("place")["feature"])


MEANINGS = {
    "feature": "the candidate",
    "side": "whether it is of the request or of the candidate",
    "cost": "declared cost",
    "cluster": "number of the cluster of alike features; one that is like no other has its own",
    "impression_score": "rise of NE on shown rows when it is permuted",
    "consideration_score": "the same on considered rows",
    "impression_rank": "rank on shown rows, 1 is the most important",
    "consideration_rank": "rank on considered rows",
    "rule": "the declared rule",
    "place": "place among the chosen, null if it is not chosen",
    **{f"{rule}_{size}": f"whether rule {rule} would choose it, with {SIZES[size]}" for rule, size in RULE_SIZES},
}
