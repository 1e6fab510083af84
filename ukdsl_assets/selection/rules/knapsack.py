"""The most value within a cost, at most one item of each group: the multiple-choice knapsack."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Up to so many items the optimum is proven; beyond, the search stops within GAP of the linear programme's bound.
PROVEN_ITEMS = 200
GAP = 0.01


def knapsack(
    names: Sequence[str],
    group: NDArray[np.int64],
    values: NDArray[np.float64],
    costs: NDArray[np.float64],
    limit: float,
) -> NDArray[np.int64]:
    """Positions of the items with the largest sum of values, at most one a group, cost at most `limit`, sorted.

    Solved by branch and bound (HiGHS): the optimum up to `PROVEN_ITEMS` items, else within `GAP` of it.

    Args:
        names: of the items, distinct; which of several optima is found depends on them, not on the items' order.
        group: int64 [items]; values: float64 [items], items of no positive value are left out; costs: float64
            [items] >= 0.

    Raises:
        ValueError: when the solver finds nothing within the limit, which numbers of a usual size do not bring about.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    by_name = np.argsort(np.array(names, dtype=np.str_))
    able = by_name[(values[by_name] > 0) & (costs[by_name] <= limit)]
    if not len(able):
        return able
    # Groups are numbered by their names too: nothing that the solver sees depends on the order of the items.
    _, first, inverse = np.unique(group[able], return_index=True, return_inverse=True)
    groups = np.argsort(np.argsort(first))[inverse]
    once = coo_array((np.ones(len(able)), (groups, np.arange(len(able)))))
    gap = 0.0 if len(able) <= PROVEN_ITEMS else GAP
    scale = limit if limit > 0 else 1.0
    # The solver allows a sum to exceed its bound by a little; where it does, the bound is drawn in.
    for bound in (1.0, 1 - 1e-6, 1 - 1e-4):
        solution = milp(
            -values[able] / values[able].max(),
            integrality=np.ones(len(able)),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(costs[able] / scale, ub=bound), LinearConstraint(once, ub=1)],
            options={"mip_rel_gap": gap},
        )
        chosen = np.sort(able[solution.x > 0.5])
        if costs[chosen].sum() <= limit:
            return chosen
    raise ValueError(f"no items within the cost {limit} found among costs {costs[able].tolist()}")
