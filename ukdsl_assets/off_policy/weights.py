"""Importance weights of what was shown: how much likelier a policy is to show it than the one that did.

They differ in what a reward is taken to depend on. Of slates of six modules from twelve, logged in random order, the
probability of one slate is 1 / 665,280: weights of whole slates are of no use, those that assume more are.
"""

import numpy as np
from numpy.typing import NDArray


def of_slots(chance: NDArray[np.float64], propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of a reward that depends on the candidate and its slot: Li et al. (KDD 2018), the item-position model.

    Args:
        chance: of the policy to show this candidate, in this slot where slots matter, float64 [rows] in [0, 1].
        propensity: that of the policy that did, float64 [rows] in (0, 1].

    Returns:
        chance / propensity, float64 [rows]; its mean over the slots of requests is 1.
    """
    return chance / propensity


def of_cascade(weight: NDArray[np.float64], request: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of a reward that depends on the slots above too: McInerney et al. (KDD 2020), eq. 10, RIPS.

    Args:
        weight: float64 [rows], of each choice given those above it; rows of a request together, from the top down.
        request: int64 [rows], ascending.

    Returns:
        Products of the weights from the top slot down to each, float64 [rows].
    """
    depth = depths(request)
    product = weight.astype(np.float64).copy()
    # As many steps as there are slots; each multiplies all requests' weights of one slot at once.
    for level in range(1, int(depth.max(initial=0)) + 1):
        rows = np.flatnonzero(depth == level)
        product[rows] *= product[rows - 1]
    return product


def before(weight: NDArray[np.float64], request: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of the row above in the same request, 1 for the first; arguments as of `of_cascade`."""
    above = np.empty_like(weight)
    above[1:] = weight[:-1]
    above[depths(request) == 0] = 1.0
    return above


def of_page(
    same_slot: NDArray[np.float64],
    same_page: NDArray[np.float64],
    slots: NDArray[np.int64],
    eligible: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Weight of a page's whole reward that adds up over its slots: Swaminathan et al. (NIPS 2017), the pseudo-inverse.

    Of slates in random order without repeats (their section 3, example 3) the pseudo-inverse of the second moments of
    a slate's indicators has a closed form. With l slots, m eligible candidates, M of them shown in the slot where the
    policy would show them and o shown anywhere that it would show somewhere, the weight is
    1 + m (m - 1) / (m - l) (o / l - l / m) + (m - 1) (M - o / l); with l = m the middle term is 0. It may be negative.

    Args:
        same_slot, same_page: M and o of each request, float64 [requests]; of a policy that draws, their expectations.
        slots, eligible: l and m, int64 [requests], 1 <= l <= m.

    Returns:
        float64 [requests], with a mean of 1.
    """
    count, among = slots.astype(np.float64), eligible.astype(np.float64)
    left = np.maximum(among - count, 1.0)
    by_set = np.where(among > count, among * (among - 1) / left * (same_page / count - count / among), 0.0)
    return 1 + by_set + (among - 1) * (same_slot - same_page / count)


def depths(request: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for the first row of each request, 1 for the second and so on; int64 [rows] of ascending requests."""
    first = np.searchsorted(request, request, side="left")
    return np.arange(len(request)) - first
