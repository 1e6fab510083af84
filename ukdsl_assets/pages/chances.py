"""With which probability a policy that explores shows each candidate, and in which slot.

Closed forms where no rule can decide, or an integral; else pages are drawn and counted. Of a random page the counts of
candidates that no rule tells apart are shared, and kept: they follow from the rules and how many there are of each.
"""

from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.pages.drawn import LOGISTIC_DEVIATION, logistics, uniforms
from ukdsl_assets.pages.ordering import Candidates, may_bind, ordered
from ukdsl_assets.pages.rules import PageRules

# Pages that are drawn to count: of the random policy, kept; and of Thompson sampling, for one page.
RANDOM_DRAWS, THOMPSON_DRAWS = 2_000, 1_000
# Pages of candidates that differ for the rules whose counts are kept.
_MOST_KEPT = 512
# What a value of 0 counts as where it is multiplied, so that candidates without any worth are drawn too.
SMALLEST = 1e-300


class Chances(NamedTuple):
    """Probabilities under a policy.

    Attributes:
        of_slot: float64 [candidates, slots], that it shows the candidate in the slot.
        error: float64 [candidates], standard error of the sum over slots; 0 where it is exact.
    """

    of_slot: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def shown(self) -> NDArray[np.float64]:
        """float64 [candidates]: that the page shows the candidate."""
        return np.minimum(self.of_slot.sum(axis=1), 1.0)


def of_random(rules: PageRules, candidates: Candidates) -> Chances:
    """Of a page that is best for values which are U(0, 1), drawn anew for every page.

    Every eligible candidate has the same where no rule can decide: slots over their number.
    """
    slots, eligible = min(rules.slots, len(candidates.eligible)), candidates.eligible
    of_slot, error = np.zeros((candidates.candidates, slots)), np.zeros(candidates.candidates)
    if not eligible:
        return Chances(of_slot, error)
    if not may_bind(rules, candidates):
        of_slot[eligible] = 1 / len(eligible)
        return Chances(of_slot, error)
    kinds = _kinds(rules, candidates)
    names = sorted(set(kinds), key=repr)
    counts = Counter(kinds)
    of_kind, error_of_kind = _random(rules, tuple((name, counts[name]) for name in names))
    number = [names.index(kind) for kind in kinds]
    of_slot[eligible], error[eligible] = of_kind[number], error_of_kind[number]
    return Chances(of_slot, error)


def _features(rules: PageRules) -> tuple[str, ...]:
    """The features that tell eligible candidates apart, each once."""
    return tuple(dict.fromkeys((*(feature for _, feature, _ in rules.pins), *rules.compared)))


def _kinds(rules: PageRules, candidates: Candidates) -> list[tuple[Any, ...]]:
    """What rules know of each eligible candidate: of `_features`, what is pinned as it is, and whether others differ.

    Where one feature is compared, its values only matter by who has them, so they are numbered in an order of that: the
    chances of pages with 3, 2 and 1 of a value are the same, whichever values those are.
    """
    pinned = {(feature, value) for _, feature, value in rules.pins}
    columns = {}
    for feature in _features(rules):
        values = [candidates.columns[feature][at] for at in candidates.eligible]
        compared = feature in rules.compared
        columns[feature] = [value if compared or (feature, value) in pinned else None for value in values]
    if len(rules.compared) == 1:
        feature = rules.compared[0]
        holders: dict[Any, list[Any]] = {}
        others = [column for name, column in columns.items() if name != feature]
        for place, value in enumerate(columns[feature]):
            holders.setdefault(value, []).append(repr([column[place] for column in others]))
        in_order = sorted(holders, key=lambda value: (len(holders[value]), sorted(holders[value])))
        numbers = {value: number for number, value in enumerate(in_order)}
        columns[feature] = [
            value if (feature, value) in pinned else ("other", numbers[value]) for value in columns[feature]
        ]
    return [*zip(*columns.values(), strict=True)]


@lru_cache(maxsize=_MOST_KEPT)
def _random(
    rules: PageRules, counts: tuple[tuple[tuple[Any, ...], int], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[kinds, slots] and [kinds]: chances of one candidate of each kind, and their errors."""
    kinds = [kind for kind, count in counts for _ in range(count)]
    columns = {feature: [kind[place] for kind in kinds] for place, feature in enumerate(_features(rules))}
    number = np.repeat(np.arange(len(counts)), [count for _, count in counts])
    candidates = Candidates(len(kinds), list(range(len(kinds))), columns)
    value = uniforms(0, "random page", counts, RANDOM_DRAWS * len(kinds)).reshape(RANDOM_DRAWS, -1)
    shown = np.array([number[ordered(rules, candidates, each).order] for each in value])
    of_kind = np.array([count for _, count in counts])[:, None]
    drawn = np.stack([np.bincount(of_slot, minlength=len(counts)) for of_slot in shown.T], axis=1)
    of_page = np.stack([(shown == kind).sum(axis=1) for kind in range(len(counts))])
    error = of_page.std(axis=1) / np.sqrt(RANDOM_DRAWS) / of_kind[:, 0]
    return drawn / of_kind / RANDOM_DRAWS, error


def of_thompson(
    rules: PageRules,
    candidates: Candidates,
    value: NDArray[np.float64],
    deviation: float,
    shown: list[int],
    seed: int,
    request_id: object,
) -> Chances:
    """Of a page that is best for values times exp(z), z logistic of a standard deviation, drawn anew for every page.

    Where rules can decide, `THOMPSON_DRAWS` further pages n are drawn, and the page that was shown counts as one more:
    the mean of 1 / ((1 + hits) / (n + 1)) over pages that show a candidate is (1 - (1 - p)^(n + 1)) / p, so that
    weights by it are right but for candidates that hardly any page shows.

    Args:
        value: float64 [candidates], 0 or more; shown: by slot, the page that was shown.
    """
    slots = len(shown)
    of_slot, error = np.zeros((candidates.candidates, slots)), np.zeros(candidates.candidates)
    if not may_bind(rules, candidates):
        eligible = candidates.eligible
        of_slot[eligible] = _ranks(np.log(np.maximum(value[eligible], SMALLEST)), deviation, slots)
        return Chances(of_slot, error)
    count = candidates.candidates
    steps = logistics(seed, "thompson again", request_id, THOMPSON_DRAWS * count, deviation).reshape(-1, count)
    pages = np.array(
        [shown, *(ordered(rules, candidates, drawn).order for drawn in np.maximum(value, SMALLEST) * np.exp(steps))]
    )
    for slot in range(slots):
        of_slot[:, slot] = np.bincount(pages[:, slot], minlength=count) / len(pages)
    p = of_slot.sum(axis=1)
    return Chances(of_slot, np.sqrt(p * (1 - p) / len(pages)))


def _ranks(location: NDArray[np.float64], deviation: float, slots: int) -> NDArray[np.float64]:
    """P(a candidate is the 1st, 2nd, ... highest of location + z), z independent and logistic: [candidates, slots].

    An integral over its own z of the distribution of how many others are higher, a sum of independent yes or no; by
    the trapezoidal rule, whose error falls exponentially for such functions (Trefethen and Weideman, 2014).
    """
    scale = deviation / LOGISTIC_DEVIATION
    apart = (location[None, :] - location[:, None]) / scale
    step = 0.25
    # Beyond these nothing is left; candidates further below are shown too rarely for any float to matter.
    ends = 40.0, 40.0 + min(float(apart.max(initial=0.0)), 200.0)
    z = np.arange(-ends[0], ends[1] + step, step)
    density = step * np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2
    result = np.empty((len(location), slots))
    for candidate, others in enumerate(apart):
        higher = np.zeros((slots, len(z)))
        higher[0] = 1.0
        for other, distance in enumerate(others):
            if other != candidate:
                p = 1 / (1 + np.exp(np.clip(z - distance, -700, 700)))
                higher[1:] = higher[1:] * (1 - p) + higher[:-1] * p
                higher[0] *= 1 - p
        result[candidate] = higher @ density
    return result
