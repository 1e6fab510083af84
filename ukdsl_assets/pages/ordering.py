"""Candidates in the best order that keeps the rules; where no page keeps them, the nearest one that can be made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.pages.rules import Column, PageRules
from ukdsl_assets.pages.search import MOST_STEPS, Found, Ranked, Slack, Steps, best_page, sets_by_value

# The nearest page is searched for by several searches, which share so many times the steps of one.
_NEAREST = 5
# Each of them may try a few pages all the same: so many steps a slot.
_FEW = 8


class Candidates(NamedTuple):
    """A request's candidates as the rules see them, whatever they are worth.

    Attributes:
        candidates: how many there are.
        eligible: their places, ascending.
        columns: feature of a rule -> its values, a list by candidate.
    """

    candidates: int
    eligible: list[int]
    columns: dict[str, list[Any]]


class Ordered(NamedTuple):
    """Candidates by slot, and what gave way for it, in words."""

    order: list[int]
    relaxed: tuple[str, ...]


def candidates_of(rules: PageRules, features: Mapping[str, Column], count: int) -> Candidates:
    """The eligible candidates, and the values that rules compare.

    Args:
        features: values of the rules' features, one for each of `count` candidates.
    """
    columns: dict[str, list[Any]] = {}
    for feature in rules.features:
        column = features[feature]
        columns[feature] = column.tolist() if isinstance(column, np.ndarray) else list(column)
    eligible = list(range(count))
    for feature, low, high in rules.ranges:
        values = columns[feature]
        eligible = [at for at in eligible if values[at] is not None and low <= values[at] <= high]
    for feature, allowed in rules.one_of:
        values = columns[feature]
        eligible = [at for at in eligible if values[at] in allowed]
    return Candidates(count, eligible, columns)


def may_bind(rules: PageRules, candidates: Candidates) -> bool:
    """Whether a rule, and not values alone, can decide what a page of these candidates shows."""
    if rules.pins or rules.different:
        return True
    for feature, most in (*rules.caps, *((feature, 1) for feature in rules.sides)):
        values = candidates.columns[feature]
        if max(Counter([values[at] for at in candidates.eligible]).values(), default=0) > most < rules.slots:
            return True
    return False


def ordered(
    rules: PageRules, candidates: Candidates, value: NDArray[np.float64], most_steps: int = MOST_STEPS
) -> Ordered:
    """The page of the highest sum of slot weight times value, of those that keep the rules or are nearest to it.

    Eligibility never gives way. With fewer eligible candidates than slots the page is shorter. Else a page is full, and
    rules give way in this order, each only as far as it must, the first to go the first named: neighbours of one value,
    fewer different values, more of one value; pins last, from the last declared on.

    Args:
        value: float64 [candidates], finite.
        most_steps: after which a search takes what it has found; the page then says so.
    """
    worth: list[float] = value.tolist()
    # Of few, quicker than an array; of equal ones the earlier stays first.
    by_value = sorted(candidates.eligible, key=worth.__getitem__, reverse=True)
    slots = min(rules.slots, len(by_value))
    relaxed: list[str] = []
    if slots < rules.slots:
        relaxed.append(f"slots: {slots} of {rules.slots}, since no more candidates are eligible")
        if not slots:
            return Ordered([], tuple(relaxed))
    columns = candidates.columns
    pins: dict[int, int] = {}
    for slot, feature, wanted in rules.pins:
        values = columns[feature]
        matching = sum(1 << rank for rank, at in enumerate(by_value) if values[at] == wanted)
        if slot < slots and matching:
            pins[slot] = matching
        else:
            why = f"the page has {slots} slots" if matching else "no eligible candidate has it"
            relaxed.append(_without_pin(slot, feature, wanted, why))
    compared = {f: sets_by_value([columns[f][at] for at in by_value]) for f in rules.compared}
    ranked = Ranked(
        slots,
        rules.weights,
        [worth[at] for at in by_value],
        pins,
        [(compared[feature], most) for feature, most in rules.caps],
        [compared[feature] for feature in rules.sides],
        [(compared[feature], least) for feature, least in rules.different],
    )
    steps = Steps(most_steps)
    found = best_page(ranked, steps=steps)
    if found is None:
        sure = not steps.ran_out
        steps = Steps(_NEAREST * most_steps)
        found, dropped = _nearest(ranked, steps, most_steps)
        why = "no page has it beside the pins declared before it"
        relaxed += [_without_pin(*pin, why) for pin in rules.pins if pin[0] in dropped]
        relaxed += told(rules, columns, [by_value[rank] for rank in found.order])
        if steps.ran_out or not sure:
            relaxed.append("rules: the search for the nearest page stopped early; fewer might have given way")
    elif not found.proven:
        relaxed.append(f"value: the search for the best page stopped after {most_steps:,} steps")
    return Ordered([by_value[rank] for rank in found.order], tuple(relaxed))


def _without_pin(slot: int, feature: str, wanted: object, why: str) -> str:
    return f"pinned: {feature} {wanted!r} not in slot {slot + 1}: {why}"


def _nearest(ranked: Ranked, steps: Steps, most_steps: int) -> tuple[Found, set[int]]:
    """The best page with as little slack as there must be, and the slots whose pins were dropped.

    Where the steps run out, slack is the least of which a few tries find a page.

    Args:
        steps: of all searches together; most_steps: of each.
    """
    slots, pins = ranked.slots, dict(ranked.pins)
    everything = Slack(slots * len(ranked.caps), sum(least for _, least in ranked.different), slots)
    dropped: set[int] = set()
    while (page := best_page(ranked._replace(pins=pins), everything, first=True)) is None:
        slot = list(pins)[-1]
        dropped.add(slot)
        del pins[slot]
    ranked, slack = ranked._replace(pins=pins), everything

    def search(slack: Slack, first: bool) -> Found | None:
        own = Steps(max(min(steps.left, most_steps), _FEW * slots))
        before = own.left
        found = best_page(ranked, slack, first, own)
        steps.left -= min(before - own.left, steps.left)
        steps.ran_out |= own.ran_out
        return found

    for part in Slack._fields:
        # What is enough with some slack is with more: small amounts first, then by halves.
        too_little, enough, failed = -1, getattr(everything, part), 0
        while enough - too_little > 1:
            amount = min(too_little + (1 << max(failed - 1, 0)), (too_little + enough) // 2)
            tighter = slack._replace(**{part: amount})
            if (found := search(tighter, first=True)) is None:
                too_little, failed = amount, failed + 1
            else:
                page, slack, enough = found, tighter, amount
    return search(slack, first=False) or page, dropped


def told(rules: PageRules, columns: Mapping[str, Sequence[Any]], order: Sequence[int]) -> list[str]:
    """Where a page does not keep the rules that compare candidates, in words: rule, feature, seen and asked."""
    lines = []
    for feature in rules.sides:
        values = [columns[feature][at] for at in order]
        pairs = [slot for slot in range(1, len(values)) if values[slot] == values[slot - 1]]
        lines += [f"not_side_by_side: {feature} {values[slot]!r} in slots {slot} and {slot + 1}" for slot in pairs]
    for feature, least in rules.different:
        seen = len({columns[feature][at] for at in order})
        lines += [f"at_least_different: {seen} of {least} values of {feature}"] if seen < least else []
    for feature, most in rules.caps:
        counts = Counter([columns[feature][at] for at in order])
        lines += [f"at_most: {n} with {feature} {v!r}, of {most}" for v, n in counts.items() if n > most]
    return lines
