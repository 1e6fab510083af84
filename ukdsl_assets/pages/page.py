"""The page of a request: its candidates by slot, whether it explored, with which propensities, and what gave way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.declaration.page import EpsilonGreedyExploration, RandomOrderExploration
from ukdsl_assets.errors import PageError
from ukdsl_assets.pages.chances import SMALLEST, Chances, of_random, of_thompson
from ukdsl_assets.pages.drawn import logistics, uniforms
from ukdsl_assets.pages.ordering import Candidates, Ordered, candidates_of, ordered
from ukdsl_assets.pages.rules import Column, PageRules
from ukdsl_assets.pages.search import MOST_STEPS

# Sums of values of this size, either way, are far from where floats end.
_LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class Page:
    """What a request is shown.

    Attributes:
        order: int64 [slots], places of candidates by slot; shorter where too few are eligible.
        explored: whether a randomised policy made it, so that its rows are logged as explored.
        relaxed: each rule that gave way, where and by how much, in words; empty where all are kept.
    """

    order: NDArray[np.int64]
    explored: bool
    relaxed: tuple[str, ...]
    _count: int = field(repr=False)
    _chances: Callable[[], Chances] | None = field(repr=False)

    @cached_property
    def chances(self) -> Chances | None:
        """Probabilities under the policy that made the page, None where it did not explore.

        Worked out when first asked for, which is no matter of the reply but of its log: see docs/how-to/pages.md for
        what it costs.
        """
        return None if self._chances is None else self._chances()

    @property
    def propensity(self) -> NDArray[np.float64]:
        """float64 [candidates]: the probability that the policy shows it, given the request; NaN if not explored.

        0 for what it can never show; 1 for a candidate that is pinned.
        """
        return np.full(self._count, np.nan) if self.chances is None else self.chances.shown

    @property
    def slot_propensity(self) -> NDArray[np.float64]:
        """float64 [slots]: the probability that the policy shows what it shows there; NaN if not explored."""
        if self.chances is None:
            return np.full(len(self.order), np.nan)
        return self.chances.of_slot[self.order, np.arange(len(self.order))]

    @property
    def propensity_error(self) -> NDArray[np.float64]:
        """float64 [candidates]: standard error of `propensity`, 0 where it is exact; NaN if not explored."""
        return np.full(self._count, np.nan) if self.chances is None else self.chances.error


def build_page(
    rules: PageRules,
    value: ArrayLike,
    features: Mapping[str, Column],
    request_id: int | str,
    seed: int = 0,
    most_steps: int = MOST_STEPS,
) -> Page:
    """The page of a request; the same for the same arguments.

    Of all pages that keep the rules it is the one with the highest sum over slots of slot weight times value; where
    none keeps them, of those that are nearest to it (`ordering.ordered` says how rules give way).

    Args:
        rules: of `page_rules`.
        value: [candidates], within 1e100, as `value_of` gives it; no candidate makes an empty page.
        features: values of the features that rules read, one for each candidate; others are not looked at. None, or
            NaN for a number, is a missing value.
        request_id: exploration is drawn by a hash of it and the seed.
        most_steps: of a search without exploration, for whoever cannot wait; the page says where it stopped.

    Raises:
        PageError: a value is NaN or beyond 1e100 (or below 0, for Thompson sampling), or a feature has no column of as
            many values.
    """
    values = np.asarray(value, np.float64)
    _check(rules, values, features)
    candidates = candidates_of(rules, features, len(values))
    policy = rules.exploration
    if policy is None:
        return _page(ordered(rules, candidates, values, most_steps), len(values), None)
    if isinstance(policy, RandomOrderExploration | EpsilonGreedyExploration):
        share = policy.share if isinstance(policy, RandomOrderExploration) else policy.epsilon
        if uniforms(seed, "explores", request_id, 1)[0] >= share:
            best = ordered(rules, candidates, values)
            of_all = isinstance(policy, EpsilonGreedyExploration)
            chances = (lambda: _mixed(share, rules, candidates, best)) if of_all else None
            return _page(best, len(values), chances)
        drawn = ordered(rules, candidates, uniforms(seed, "random order", request_id, len(values)))
        if isinstance(policy, RandomOrderExploration):
            return _page(drawn, len(values), lambda: of_random(rules, candidates))
        return _page(drawn, len(values), lambda: _mixed(share, rules, candidates, ordered(rules, candidates, values)))
    steps = logistics(seed, "thompson", request_id, len(values), policy.scale)
    drawn = ordered(rules, candidates, np.maximum(values, SMALLEST) * np.exp(steps))
    return _page(
        drawn,
        len(values),
        lambda: of_thompson(rules, candidates, values, policy.scale, drawn.order, seed, request_id),
    )


def _page(made: Ordered, count: int, chances: Callable[[], Chances] | None) -> Page:
    return Page(np.array(made.order, np.int64), chances is not None, made.relaxed, count, chances)


def _mixed(epsilon: float, rules: PageRules, candidates: Candidates, best: Ordered) -> Chances:
    """Of the whole policy: a random page with epsilon, else the best one."""
    random = of_random(rules, candidates)
    of_slot = epsilon * random.of_slot
    of_slot[best.order, np.arange(len(best.order))] += 1 - epsilon
    return Chances(of_slot, epsilon * random.error)


def _check(rules: PageRules, values: NDArray[np.float64], features: Mapping[str, Column]) -> None:
    if values.ndim != 1:
        raise PageError(f"value: an array of {values.ndim} dimensions; expected one value for each candidate")
    lowest = 0.0 if rules.exploration is not None and rules.exploration.kind == "thompson" else -inf
    if len(values) and not (values.min() >= max(lowest, -_LARGEST) and values.max() <= _LARGEST):
        wrong = ~((values >= max(lowest, -_LARGEST)) & (values <= _LARGEST))
        at = int(wrong.argmax())
        raise PageError(
            f"value: {values[at]} of candidate {at} (from 0); expected a number within 1e100"
            f"{' of 0 or more for Thompson sampling' if lowest == 0 else ''}; leave the candidate out"
        )
    for feature in rules.features:
        if feature not in features:
            raise PageError(f"features: `{feature}`, which a rule of the page reads, is missing; add its values")
        if len(features[feature]) != len(values):
            raise PageError(
                f"features: `{feature}` has {len(features[feature])} values for {len(values)} candidates; give one each"
            )
