"""Candidates of explored requests, and the choices that a policy's estimate is made of."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.off_policy.estimators import Choices
from ukdsl_assets.off_policy.weights import before, depths, of_cascade, of_page, of_slots

# What a reward may depend on -> which weights: see `weights.py`.
SLOTS, CASCADE, PAGE = "slots", "cascade", "page"


class Explored(NamedTuple):
    """All candidates (N rows) of some requests (R) that a randomised policy showed some of.

    request: int64 [N], ascending, 0 .. R - 1. slot: int64 [N], from 1 on where shown, 0 elsewhere; of logs that know no
    slots any numbers that differ. propensity: float64 [N], probability to be shown, anywhere; NaN where not shown.
    by_slot: whether slots were drawn too, all orders of what is shown being equally likely, and matter.
    """

    request: NDArray[np.int64]
    slot: NDArray[np.int64]
    propensity: NDArray[np.float64]
    by_slot: bool

    @property
    def slots(self) -> NDArray[np.int64]:
        """How many each request showed, int64 [R]."""
        return np.bincount(self.request, self.slot > 0).astype(np.int64)

    @property
    def eligible(self) -> NDArray[np.int64]:
        """How many candidates each request has, int64 [R]."""
        return np.bincount(self.request).astype(np.int64)

    def uniform(self, tolerance: float = 1e-3) -> bool:
        """Whether every propensity is what showing so many of so many at random gives, slots / eligible."""
        shown = self.slot > 0
        expected = (self.slots / np.maximum(self.eligible, 1))[self.request]
        return bool(np.all(np.abs(self.propensity[shown] - expected[shown]) <= tolerance * expected[shown]))


def choices_of(
    explored: Explored,
    reward: NDArray[np.float64],
    placed: NDArray[np.int64],
    model: NDArray[np.float64] | None = None,
) -> dict[str, Choices]:
    """Choices by what a reward may depend on: `SLOTS`, and where all orders were equally likely `CASCADE` and `PAGE`.

    Args:
        reward: float64 [N], of what was shown; not read elsewhere.
        placed: int64 [N], the slot in which the policy would show each candidate, 0 for none; as many as were shown, or
            fewer: then the last slots are empty, and there is no `PAGE`, whose closed form is of whole pages.
        model: float64 [N, slots], the reward that a model expects of each candidate in each slot, or [N, 1] where slots
            do not matter; None for no model: 0 everywhere, so that doubly robust estimates are `ips`.

    Returns:
        Rows in the order of request and slot. In a cascade the model's reward is that of the slot and of all below it,
        as the policy would fill them.
    """
    rows = np.flatnonzero(explored.slot > 0)
    rows = rows[np.lexsort((explored.slot[rows], explored.request[rows]))]
    slots = explored.slots
    # What the policy would show, in the same order.
    chosen = np.flatnonzero(placed > 0)
    chosen = chosen[np.lexsort((placed[chosen], explored.request[chosen]))]
    whole, filled_share = len(chosen) == len(rows), 1.0
    if not whole and explored.by_slot:
        # A slot that the policy leaves empty earns nothing and has no weight: its row says nothing.
        width = int(max(slots.max(initial=0), placed.max(initial=0))) + 1
        kept = np.isin(
            explored.request[rows] * width + explored.slot[rows], explored.request[chosen] * width + placed[chosen]
        )
        rows = rows[kept]
    elif not whole:
        filled_share = len(chosen) / max(len(rows), 1)
    request = explored.request[rows]
    count = slots[request]
    slot = explored.slot[rows] if explored.by_slot else np.ones(len(rows), np.int64)
    said, expected = np.zeros(len(rows)), np.zeros(len(rows))
    if model is not None:
        at, filled = _aligned(request, explored.slot[rows], explored.request[chosen], placed[chosen], explored.by_slot)
        column = np.minimum(slot, model.shape[1]) - 1
        said = model[rows, column]
        expected[filled] = model[chosen[at[filled]], column[filled]]
    chance, propensity = (placed[rows] > 0).astype(np.float64), explored.propensity[rows]
    if explored.by_slot:
        chance, propensity = (placed[rows] == slot).astype(np.float64), propensity / count
    ones = np.ones(len(rows))
    weight = of_slots(chance, propensity)
    by_slot = Choices(request, slot, reward[rows], weight, said, expected, ones, len(slots), filled_share)
    found = {SLOTS: by_slot}
    if not (explored.by_slot and explored.uniform()):
        return found
    # Given the slots above, the next is drawn from what is left.
    conditional = of_slots(chance, 1 / (explored.eligible[request] - slot + 1))
    weight = of_cascade(conditional, request)
    below = _to_come(expected, request, len(slots)) - expected
    found[CASCADE] = by_slot._replace(
        weight=weight, model=said + below, expected=expected + below, before=before(weight, request)
    )
    if not whole:
        return found
    same_page = np.bincount(request, placed[rows] > 0, len(slots)).astype(np.float64)
    same_slot = np.bincount(request, chance, len(slots)).astype(np.float64)
    page = of_page(same_slot, same_page, slots, explored.eligible)
    found[PAGE] = by_slot._replace(weight=page[request])
    return found


def _aligned(
    request: NDArray[np.int64],
    slot: NDArray[np.int64],
    other: NDArray[np.int64],
    placed: NDArray[np.int64],
    by_slot: bool,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each shown row the place of what the policy puts into its slot, and whether it puts anything there.

    Both are in the order of request and slot; without slots the k-th of a request goes with the k-th.
    """
    if not by_slot:
        slot, placed = (depths(of) for of in (request, other))
    width = int(max(slot.max(initial=0), placed.max(initial=0))) + 1
    wanted, there = request * width + slot, other * width + placed
    at = np.minimum(np.searchsorted(there, wanted), max(len(there) - 1, 0))
    return at, there[at] == wanted if len(there) else np.zeros(len(wanted), np.bool_)


def _to_come(values: NDArray[np.float64], request: NDArray[np.int64], requests: int) -> NDArray[np.float64]:
    """The sum of each row and those after it of its request, float64 [rows] of ascending requests."""
    total = np.cumsum(values)
    ends = np.cumsum(np.bincount(request, minlength=requests))[request] - 1
    return total[ends] - total + values
