"""The best of each set (paper, table 2, its best method)."""

from itertools import chain

from ukdsl_assets.selection.rules.consideration import consideration
from ukdsl_assets.selection.rules.impression import impression
from ukdsl_assets.selection.rules.scores import Budget, Scores


def union(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """At equal size: by turns the best of each set that is not chosen yet, as far as the budget reaches."""
    by_turns = chain.from_iterable(
        zip(scores.ranking(scores.impression), scores.ranking(scores.consideration), strict=True)
    )
    return budget.taken(scores, dict.fromkeys(int(at) for at in by_turns))


def natural_union(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """What the budget buys on each set alone, together: up to twice the budget, as in the paper."""
    both = {*impression(scores, budget), *consideration(scores, budget)}
    everything = Budget(features=len(scores.names))
    return tuple(name for name in union(scores, everything) if name in both)
