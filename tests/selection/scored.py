"""Scores of features for tests of the rules."""

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ukdsl_assets.selection.clusters import clusters
from ukdsl_assets.selection.scores import Scores


def scored(
    impression: list[float],
    consideration: list[float],
    cost: list[float] | None = None,
    alike: dict[tuple[int, int], float] | None = None,
    grouped: dict[tuple[int, ...], tuple[float, float]] | None = None,
) -> Scores:
    """Features a, b, c, ... with the given scores.

    alike: likeness of pairs, 0 where left out; grouped: scores of clusters of more than one feature, by their
    positions; the sum of the members' where left out.
    """
    n = len(impression)
    matrix = np.eye(n)
    for (i, j), value in (alike or {}).items():
        matrix[i, j] = matrix[j, i] = value
    numbers = clusters(matrix)
    own = np.array([impression, consideration], dtype=float)
    whole = np.zeros((2, numbers.max(initial=-1) + 1))
    for cluster in range(whole.shape[1]):
        members = tuple(np.flatnonzero(numbers == cluster).tolist())
        whole[:, cluster] = (grouped or {}).get(members, own[:, list(members)].sum(1))
    return Scores(
        names=tuple(chr(ord("a") + at) for at in range(n)),
        impression=own[0],
        consideration=own[1],
        cost=np.ones(n) if cost is None else np.array(cost, dtype=float),
        cluster=numbers,
        cluster_impression=whole[0],
        cluster_consideration=whole[1],
        likeness=matrix,
    )


def permuted(scores: Scores, order: list[int]) -> Scores:
    """The same features declared in another order; clusters are numbered anew, as `clusters` would."""
    at = np.array(order, dtype=int)
    likeness = scores.likeness[np.ix_(at, at)]
    numbers = clusters(likeness)
    old = np.zeros(len(scores.cluster_impression), dtype=int)
    old[numbers] = scores.cluster[at]
    return Scores(
        names=tuple(scores.names[each] for each in order),
        impression=scores.impression[at],
        consideration=scores.consideration[at],
        cost=scores.cost[at],
        cluster=numbers,
        cluster_impression=scores.cluster_impression[old],
        cluster_consideration=scores.cluster_consideration[old],
        likeness=likeness,
    )


@st.composite
def any_scores(draw: Any, most: int = 9) -> Scores:
    """Scores with ties, negative ones and NaN; free features; clusters of any shape."""
    n = draw(st.integers(1, most))
    score = st.sampled_from([float("nan"), -0.5, 0.0, 0.1, 0.25, 0.25, 0.7, 1.3])
    columns = [draw(st.lists(score, min_size=n, max_size=n)) for _ in range(2)]
    cost = draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5]), min_size=n, max_size=n))
    pairs = draw(st.lists(st.sampled_from([0.0, 0.0, 0.3, 0.85, 0.95]), min_size=n * n, max_size=n * n))
    alike = {(i, j): pairs[i * n + j] for i, j in combinations(range(n), 2)}
    grouped = {
        members: (draw(score), draw(score))
        for size in range(2, n + 1)
        for members in combinations(range(n), size)
        if size <= 3
    }
    return scored(columns[0], columns[1], cost, alike, grouped)
