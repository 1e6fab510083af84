"""What a declaration's `page:` says, made ready for a request: rules as plain tuples, and a candidate's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.page import EpsilonGreedyExploration, RandomOrderExploration, ThompsonExploration
from ukdsl_assets.declaration.unchecked import UncheckedCascade
from ukdsl_assets.errors import PageError

# The values of a feature, one a candidate; integers, texts, numbers, or None where it is missing.
Column = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class PageRules:
    """The rules of a page. Slots count from 0 here.

    Attributes:
        slots: how many candidates a page shows.
        weights: what a value counts in each slot, falling or level.
        terms: (weight, students whose predictions are multiplied), which add up to a value.
        pins: (slot, feature, value), in declared order.
        caps: (feature, most candidates with one value of it).
        sides: features of which no two neighbours have the same value.
        different: (feature, fewest different values of it).
        ranges: (feature, lowest, highest) that a candidate must be inside of.
        one_of: (feature, the values that a candidate may have).
        exploration: as declared, None for none.
    """

    slots: int
    weights: tuple[float, ...]
    terms: tuple[tuple[float, tuple[str, ...]], ...] = ()
    pins: tuple[tuple[int, str, Any], ...] = ()
    caps: tuple[tuple[str, int], ...] = ()
    sides: tuple[str, ...] = ()
    different: tuple[tuple[str, int], ...] = ()
    ranges: tuple[tuple[str, float, float], ...] = ()
    one_of: tuple[tuple[str, frozenset[Any]], ...] = ()
    exploration: RandomOrderExploration | EpsilonGreedyExploration | ThompsonExploration | None = None

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The features whose values rules compare between candidates, each once."""
        return tuple(dict.fromkeys((*(f for f, _ in self.caps), *self.sides, *(f for f, _ in self.different))))

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The features that the rules read, each once."""
        of_pins = (feature for _, feature, _ in self.pins)
        eligible = (*(each[0] for each in self.ranges), *(each[0] for each in self.one_of))
        return tuple(dict.fromkeys((*of_pins, *self.compared, *eligible)))

    @cached_property
    def students(self) -> tuple[str, ...]:
        """The students whose predictions make a value, each once."""
        return tuple(dict.fromkeys(name for _, names in self.terms for name in names))


def page_rules(cascade: UncheckedCascade) -> PageRules:
    """The rules of a cascade's `page:`.

    Raises:
        PageError: the cascade declares no page.
    """
    page = cascade.page
    if page is None:
        raise PageError(f"{cascade.name}: no page is declared; add `page:` with `slots` and `value`")
    by_task = {cascade.student(name).task: name for name in page.value}
    terms = tuple(
        (weight, (name, *(by_task[given] for given in cascade.conditions_of(cascade.student(name).task))))
        for name, weight in page.value.items()
        if weight > 0
    )
    ranges = ((n, e.at_least, e.at_most) for n, e in page.eligible.items() if e.one_of is None)
    return PageRules(
        slots=page.slots,
        weights=page.slot_weights or discounts(page.slots),
        terms=terms,
        pins=tuple((slot, pin.feature, pin.value) for slot, pin in page.pins_by_slot),
        caps=tuple(page.at_most.items()),
        sides=tuple(dict.fromkeys(page.not_side_by_side)),
        different=tuple(page.at_least_different.items()),
        ranges=tuple((n, -np.inf if low is None else low, np.inf if high is None else high) for n, low, high in ranges),
        one_of=tuple((n, frozenset(e.one_of)) for n, e in page.eligible.items() if e.one_of is not None),
        exploration=page.exploration,
    )


def discounts(slots: int) -> tuple[float, ...]:
    """1 / log2(1 + slot) for slots 1, 2, ...: the discount of DCG (Järvelin and Kekäläinen, 2002, as used since)."""
    return tuple(1 / log2(2 + slot) for slot in range(slots))


def value_of(rules: PageRules, predictions: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """What each candidate is worth: the weighted sum of the students' predictions.

    That of a task `given` another is multiplied by that of the student of this other task, and so on.

    Args:
        predictions: student -> probabilities by the head that serves, of any shape that all share, such as [C] of a
            request or [R, C] of many.

    Returns:
        float64 of that shape; NaN where a prediction is.

    Raises:
        PageError: a student's predictions are missing, or of another shape.
    """
    missing = [name for name in rules.students if name not in predictions]
    if missing:
        raise PageError(f"page.value: no predictions of {', '.join(missing)}; saw {', '.join(predictions) or 'none'}")
    shapes = {np.shape(predictions[name]) for name in rules.students}
    if len(shapes) > 1:
        raise PageError(f"page.value: predictions of shapes {sorted(shapes)}; expected one for every candidate")
    total: Any = 0.0
    for weight, names in rules.terms:
        term = weight * np.asarray(predictions[names[0]], np.float64)
        for name in names[1:]:
            term = term * predictions[name]
        total = total + term
    return np.asarray(total, np.float64)
