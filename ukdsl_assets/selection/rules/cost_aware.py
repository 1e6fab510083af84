"""The most importance that a cost can buy: a knapsack on grouped importance."""

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.rules.grouped_permutation import cluster_values, further_values, own_values, representatives
from ukdsl_assets.selection.rules.knapsack import knapsack
from ukdsl_assets.selection.rules.scores import Budget, Scores


def cost_aware(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """Members of clusters, at most one of each, with the most value within the budget; then what is left of it.

    A member is worth its cluster's importance times the square of its likeness to the best member: a cheap copy may
    stand in for a dear original. What is left goes to further features by value for cost, as in
    `grouped_permutation`; a cost is not spent on what is worth nothing. Best value first.
    """
    values = member_values(scores)
    by_number = budget.features is not None
    costs = np.ones(len(values)) if by_number else scores.cost
    limit = float(budget.features) if budget.features is not None else budget.reach
    chosen = knapsack(scores.names, scores.cluster, values, costs, limit)
    leads = np.isin(np.arange(len(values)), chosen)
    with np.errstate(divide="ignore", invalid="ignore"):
        further = further_values(scores)
        per_cost = np.where(further > 0, further / costs, 0.0)
    order = scores.ranking(leads.astype(float), np.where(leads, values, per_cost), own_values(scores))
    return budget.taken(scores, order if by_number else order[(leads | (further > 0))[order]])


def member_values(scores: Scores) -> NDArray[np.float64]:
    """What each feature is worth as the only one of its cluster, float64 [features]."""
    best = representatives(scores)[scores.cluster]
    stands_for = scores.likeness[np.arange(len(scores.names)), best] ** 2
    return np.asarray(cluster_values(scores)[scores.cluster] * stands_for)
