"""Clusters of alike features, permuted together: what a cluster says counts once."""

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.rules.scores import Budget, Scores, shares


def grouped_permutation(scores: Scores, budget: Budget) -> tuple[str, ...]:
    """The best member of each cluster, best cluster first; then what is left.

    Where one of two copies is permuted the other still tells, so each copy seems to matter little, and where one
    matters both are chosen. A cluster permuted as a whole shows what is lost with it.

    What is left, once each cluster that matters has a member, goes by own value less what the chosen member of its
    cluster tells already; see `further_values`.
    """
    return budget.taken(scores, order(scores))


def order(scores: Scores) -> NDArray[np.int64]:
    """Positions of all features, in which they are chosen."""
    first = representatives(scores)
    value = cluster_values(scores)[scores.cluster]
    leads = np.isin(np.arange(len(value)), first) & (value > 0)
    return scores.ranking(leads.astype(float), np.where(leads, value, further_values(scores)), own_values(scores))


def cluster_values(scores: Scores) -> NDArray[np.float64]:
    """Importance of each cluster, float64 [clusters]: its share of each set's, added."""
    return shares(scores.cluster_impression) + shares(scores.cluster_consideration)


def own_values(scores: Scores) -> NDArray[np.float64]:
    """Importance of each feature alone, float64 [features]: its share of each set's, added."""
    return shares(scores.impression) + shares(scores.consideration)


def representatives(scores: Scores) -> NDArray[np.int64]:
    """Position of each cluster's member with the most importance of its own, int64 [clusters]."""
    best_first = scores.ranking(own_values(scores))
    _, first = np.unique(scores.cluster[best_first], return_index=True)
    return np.asarray(best_first[first])


def further_values(scores: Scores) -> NDArray[np.float64]:
    """Own importance times the share of variance that the cluster's representative does not explain, [features]."""
    likeness = scores.likeness[np.arange(len(scores.names)), representatives(scores)[scores.cluster]]
    return own_values(scores) * (1 - likeness**2)
