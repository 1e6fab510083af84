"""The best page that keeps the rules, exactly: depth first by value, cut where nothing better can follow.

The first page that is reached takes, slot by slot, the best candidate that fits. It is the best page where one feature
is capped and nothing else said (a partition matroid, on which greedy is optimal: Edmonds, 1971). Else the search goes
on: branch and bound (Land and Doig, 1960), by the best values that are left. Candidates that no rule tells apart are
tried in the order of their values alone.

Candidates go by their rank, the best first, and sets of them are whole numbers with a bit for each, since a page has
microseconds. `of` is a list that holds, for each candidate, the set of those with its own value of a feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

# Steps of some 15 us after which a search gives up and the best page so far is taken; common rules take some ten.
MOST_STEPS = 20_000
# Sums that differ by less of the highest value are taken for equal.
_EQUAL = 1e-12


class Slack(NamedTuple):
    """How far rules may give way, that which gives way last first.

    Candidates beyond `at_most`, values short of `at_least_different`, neighbours of one value.
    """

    excess: int = 0
    shortfall: int = 0
    pairs: int = 0


STRICT = Slack()


@dataclass
class Steps:
    """What searches may still take together, and whether one of them stopped for want of it."""

    left: int = MOST_STEPS
    ran_out: bool = False


class Ranked(NamedTuple):
    """A request's candidates by rank, and the rules for them.

    Attributes:
        slots: how many are shown, at most as many as there are candidates.
        weights: of the slots, falling or level.
        value: what the candidates are worth, falling.
        pins: slot -> set of the candidates that may stand there, not empty.
        caps: (`of`, most of one value).
        sides: `of`, of features that two neighbours must not share.
        different: (`of`, fewest different values).
    """

    slots: int
    weights: Sequence[float]
    value: Sequence[float]
    pins: dict[int, int]
    caps: Sequence[tuple[list[int], int]]
    sides: Sequence[list[int]]
    different: Sequence[tuple[list[int], int]]


class Found(NamedTuple):
    """Ranks by slot; proven: whether no page that keeps the rules is better, or the search gave up."""

    order: list[int]
    proven: bool


def sets_by_value(values: Sequence[Any]) -> list[int]:
    """Of each candidate the set of those with its own value, itself among them; None is a value too."""
    sets: dict[Any, int] = {}
    bit = 1
    for value in values:
        sets[value] = sets.get(value, 0) | bit
        bit <<= 1
    return [sets[value] for value in values]


def best_page(ranked: Ranked, slack: Slack = STRICT, first: bool = False, steps: Steps | None = None) -> Found | None:
    """The page of the highest sum of slot weight times value, to 1e-12 of the highest value.

    Args:
        slack: how far rules may give way.
        first: whether any page will do.
        steps: that it may take, and are taken off; None for `MOST_STEPS`.

    Returns:
        None where no page keeps the rules so far, or none was found before `steps` ran out.
    """
    steps = Steps() if steps is None else steps
    if not any(slack) and _keeps(ranked):
        return Found(list(range(ranked.slots)), True)
    search = _Search(ranked, slack, first, steps.left)
    proven = True
    if search.excess >= 0 and search.disjoint:
        try:
            search.visit(0, search.free, search.used, 0, slack.pairs, search.excess, 0.0)
        except _StoppedError:
            proven = search.steps <= steps.left
        steps.left, steps.ran_out = max(steps.left - search.steps, 0), steps.ran_out or not proven
    return Found(search.best, proven) if search.best else None


def _keeps(ranked: Ranked) -> bool:
    """Whether candidates by value alone are a page that keeps the rules."""
    slots = ranked.slots
    top = (1 << slots) - 1
    for slot, pinned in ranked.pins.items():
        if not pinned >> slot & 1:
            return False
    for of in ranked.sides:
        for slot in range(slots - 1):
            if of[slot] >> (slot + 1) & 1:
                return False
    for of, most in ranked.caps:
        for same in of[:slots]:
            if (same & top).bit_count() > most:
                return False
    return all(len(set(of[:slots])) >= least for of, least in ranked.different)


@lru_cache(maxsize=1024)
def _open_weights(weights: tuple[float, ...], held: tuple[bool, ...]) -> list[tuple[float, ...]]:
    """From each slot on, and after the last: the weights of those that are not held."""
    pairs = [*zip(weights, held, strict=True)]
    return [tuple(weight for weight, taken in pairs[slot:] if not taken) for slot in range(len(weights) + 1)]


class _StoppedError(Exception):
    """The search has seen enough."""


class _Search:
    def __init__(self, ranked: Ranked, slack: Slack, first: bool, most_steps: int = MOST_STEPS) -> None:
        self.most_steps = most_steps
        self.slots, self.weights, self.value = ranked.slots, ranked.weights, ranked.value
        self.slack = slack
        self.order = [-1] * self.slots
        self.best: list[int] = []
        self.best_value, self.steps = float("-inf"), 0
        everyone = (1 << len(self.value)) - 1
        self.equal = _EQUAL * max(abs(self.value[0]), abs(self.value[-1]))
        features = [*(of for of, _ in ranked.caps), *ranked.sides, *(of for of, _ in ranked.different)]
        # By candidate: those that no rule tells from it, and those that it must not stand beside.
        self.same = features[0] if features else [everyone] * len(self.value)
        for of in features[1:]:
            if of is not features[0]:
                self.same = [a & b for a, b in zip(self.same, of, strict=True)]
        self.near = ranked.sides[0] if ranked.sides else [0] * len(self.value)
        for of in ranked.sides[1:]:
            self.near = [a | b for a, b in zip(self.near, of, strict=True)]
        # Sets of which a page may hold no more than so many; by cap the number of each candidate's set, -1 for none.
        self.groups: list[int] = []
        self.left: list[int] = []
        self.group_of: list[list[int]] = []
        binding = []
        for of, most in ranked.caps:
            numbers = {}
            for group in set(of):
                if group.bit_count() > most:
                    numbers[group] = len(self.groups)
                    self.groups.append(group)
                    self.left.append(most)
            if numbers:
                self.group_of.append([numbers.get(group, -1) for group in of])
                binding.append(of)
        self.kinds = [([*set(of)], least) for of, least in ranked.different]
        self.domain = [everyone] * self.slots
        self.used, self.excess, self.disjoint = 0, slack.excess, True
        # Slots whose pin one candidate alone can fill: it is taken from the start.
        self.held = [False] * self.slots
        for slot, pinned in ranked.pins.items():
            self.domain[slot] = pinned
            if pinned.bit_count() == 1:
                self.disjoint &= not self.used & pinned
                self.held[slot] = True
                self.used |= pinned
                for group_of in self.group_of:
                    group = group_of[pinned.bit_length() - 1]
                    if group >= 0:
                        self.left[group] -= 1
                        self.excess -= self.left[group] < 0
            else:
                self.same = [s & pinned if pinned >> at & 1 else s & ~pinned for at, s in enumerate(self.same)]
        self.free = everyone & ~self.used
        self.full = not slack.excess
        if self.full:
            for group, left in zip(self.groups, self.left, strict=True):
                self.free &= ~group if left <= 0 else everyone
        # Slots after which a bound does not ask who may stand beside whom: it would be too low where a cap binds, but
        # where neighbours and cap are of one feature.
        of_one = len(ranked.sides) == 1 and bool(binding) and binding[0] is ranked.sides[0]
        self.alone_after = [held or bool(self.group_of and not of_one) for held in (*self.held[1:], True)]
        # Whether a better candidate that does not fit a slot may fit a later one, beside a worse candidate of another
        # group but not beside one of its own.
        self.by_slot = self.full and bool(self.group_of) and (bool(ranked.sides) or sum(self.held) < len(ranked.pins))
        # From each slot on: what held ones are worth, and the weights of the others.
        self.open = _open_weights(tuple(self.weights[: self.slots]), tuple(self.held))
        self.fixed = [0.0] * (self.slots + 1)
        if self.used:
            for slot in range(self.slots - 1, -1, -1):
                held = self.weights[slot] * self.value[self.domain[slot].bit_length() - 1] if self.held[slot] else 0.0
                self.fixed[slot] = self.fixed[slot + 1] + held
        greedy = self.full and not ranked.sides and not ranked.different and len(ranked.caps) <= 1
        self.first = first or (greedy and sum(self.held) == len(ranked.pins))
        self.root = float("inf") if self.first else self.at_most(0, self.free, 0)
        # Where it has been -> the highest value that came there.
        self.came: dict[tuple[int, int, int, int], float] = {}

    def at_most(self, slot: int, free: int, near: int) -> float:
        """No page can be worth more from this slot on: the best that are left, within the first cap.

        near: who must not stand in the first of these slots.
        """
        total, value, weights = self.fixed[slot], self.value, self.open[slot]
        if self.full and self.group_of:
            left, group_of, groups = self.left.copy(), self.group_of[0], self.groups
            for weight in weights:
                fitting = free & ~near
                lowest = fitting & -fitting
                if not lowest:
                    return float("-inf")
                near = 0
                free ^= lowest
                at = lowest.bit_length() - 1
                total += weight * value[at]
                group = group_of[at]
                if group >= 0:
                    left[group] -= 1
                    if not left[group]:
                        free &= ~groups[group]
            return total
        for weight in weights:
            fitting = free & ~near
            lowest = fitting & -fitting
            if not lowest:
                return float("-inf")
            near = 0
            free ^= lowest
            total += weight * value[lowest.bit_length() - 1]
        return total

    def visit(self, slot: int, free: int, used: int, near: int, pairs: int, excess: int, gained: float) -> None:
        """Every way to fill the slots from this one on that may be better than the best page so far.

        Args:
            free: who may still be taken; near: who must not stand in this slot; pairs, excess: slack that is left.
        """
        self.steps += 1
        if self.steps > self.most_steps:
            raise _StoppedError
        if self.kinds:
            left_open = len(self.open[slot])
            seen = [least - sum([1 for kind in kinds if kind & used]) - left_open for kinds, least in self.kinds]
            if sum([short for short in seen if short > 0]) > self.slack.shortfall:
                return
        if slot == self.slots:
            self._reached(gained)
            return
        came = (slot, used, near, pairs)
        before = self.came.get(came)
        if before is not None and before >= gained:
            return
        self.came[came] = gained
        held = self.held[slot]
        available = self.domain[slot] if held else self.domain[slot] & free
        if not pairs:
            available &= ~near
        weight, left = self.weights[slot], self.left
        while available:
            lowest = available & -available
            at = lowest.bit_length() - 1
            worth, rest = gained + weight * self.value[at], free & ~lowest
            available &= ~(self.same[at] | lowest)
            self.order[slot] = at
            following = pairs - (near >> at & 1)
            if held:
                self.visit(slot + 1, rest, used, self.near[at], following, excess, worth)
                return
            over, within_first = 0, rest
            for number, group_of in enumerate(self.group_of):
                group = group_of[at]
                if group >= 0:
                    left[group] -= 1
                    if left[group] < 0:
                        over += 1
                    elif self.full and not left[group]:
                        rest &= ~self.groups[group]
                        within_first = within_first if number else rest
            better = True
            if self.best:
                reach = self.best_value + self.equal - worth
                beside = 0 if following or self.alone_after[slot] else self.near[at]
                better = self.at_most(slot + 1, rest, beside) > reach
                looser = beside or within_first != rest
                best_is_first = not (self.by_slot and free & (lowest - 1))
                if not better and best_is_first and (not looser or self.at_most(slot + 1, within_first, 0) <= reach):
                    # By the first cap alone, those after it are worth no more.
                    available = 0
            if better and over <= excess:
                self.visit(slot + 1, rest, used | lowest, self.near[at], following, excess - over, worth)
            for group_of in self.group_of:
                if group_of[at] >= 0:
                    left[group_of[at]] += 1
            if not better and available and self.by_slot and self.at_most(slot + 1, free, 0) <= reach:
                available = 0

    def _reached(self, gained: float) -> None:
        if not self.best or gained > self.best_value + self.equal:
            was_first = not self.best
            self.best, self.best_value = self.order.copy(), gained
            if self.first or (was_first and self.root <= gained + self.equal):
                raise _StoppedError
