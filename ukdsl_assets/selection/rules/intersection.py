"""What both sets rank high (paper, table 2)."""

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.rules.consideration import consideration
from ukdsl_assets.selection.rules.impression import impression
from ukdsl_assets.selection.rules.scores import Budget, Scores


def intersection(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """At equal size: features by the worse of their two ranks, ties by the better, as far as the budget reaches."""
    ranks = _places(scores)
    return budget.taken(scores, scores.ranking(-ranks.max(0), -ranks.min(0)))


def natural_intersection(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """What the budget would buy on each set alone, as far as it is the same: at most as many features."""
    both = set(impression(scores, budget)) & set(consideration(scores, budget))
    everything = Budget(features=len(scores.names))
    return tuple(name for name in intersection(scores, everything) if name in both)


def _places(scores: Scores) -> NDArray[np.float64]:
    """Place of each feature in the ranking of each set, float64 [2, features], 0 for the first."""
    orders = (scores.ranking(scores.impression), scores.ranking(scores.consideration))
    return np.stack([np.argsort(order) for order in orders]).astype(np.float64)
