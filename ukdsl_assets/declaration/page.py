"""What a page shows of a request's candidates: `page: {slots: 6, value: {click: 1}, at_most: {module_kind: 2}}`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ukdsl_assets.declaration.block import Declared, Id, Name, PositiveWeight, Weight
from ukdsl_assets.declaration.parts import Share

MOST_SLOTS = 64
Slots = Annotated[int, Field(ge=1, le=MOST_SLOTS)]
Value = Id | str


class Pin(Declared):
    """A candidate that stands in one slot of every page, whatever it is worth."""

    feature: Name
    """A categorical feature of the candidate, such as its id."""
    value: Value
    """The value that the candidate has; of several candidates with it, the one that makes the best page."""
    slot: Slots | Literal["top"] = "top"
    """The slot, from 1; top: the first that no other pin takes."""


class Eligible(Declared):
    """Which values of a feature a candidate may have to be shown at all. A missing value never may."""

    at_least: float | None = None
    """Of a number: the lowest."""
    at_most: float | None = None
    """Of a number: the highest."""
    one_of: Annotated[tuple[Value, ...], Field(min_length=1)] | None = None
    """Of a categorical feature: the values."""

    @model_validator(mode="after")
    def _says_something(self) -> "Eligible":
        if (self.one_of is None) == (self.at_least is None and self.at_most is None):
            raise ValueError("expected one of `one_of` (values) and `at_least` or `at_most` (of a number)")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"`at_least` {self.at_least:g} is above `at_most` {self.at_most:g}")
        return self


class RandomOrderExploration(Declared):
    """A share of pages in random order; only what these show is logged as explored."""

    kind: Literal["random_order"]
    """A share of pages in random order."""
    share: Share
    """Share of the pages, by a hash of the request."""


class EpsilonGreedyExploration(Declared):
    """A share of pages in random order, and all pages logged as explored.

    The propensity is that of the whole policy: epsilon times that of a random page, and 1 - epsilon more for what the
    best page shows.
    """

    kind: Literal["epsilon_greedy"]
    """A share of pages in random order, with the propensities of the whole policy."""
    epsilon: Share
    """Share of the pages in random order."""


class ThompsonExploration(Declared):
    """The best page of values that are drawn anew for each page: each times exp(z), z logistic; all are explored.

    For small probabilities that is a step on the logit. The logistic distribution has heavier tails than the normal, so
    that no candidate's propensity is as good as nothing.
    """

    kind: Literal["thompson"]
    """Values drawn about the predicted ones for each page."""
    scale: Annotated[PositiveWeight, Field(le=10)]
    """Standard deviation of z: how uncertain the logarithm of a value is taken to be."""


Exploration = Annotated[
    RandomOrderExploration | EpsilonGreedyExploration | ThompsonExploration, Field(discriminator="kind")
]


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Page(Declared):
    """Which candidates of a request a page shows, and in which order.

    Of all pages that keep the rules it is the one with the highest sum over slots of slot weight times value. How far a
    rule gives way where no page keeps them all, docs/how-to/pages.md says.
    """

    slots: Slots
    """How many candidates it shows."""
    value: dict[Name, Weight] = Field(min_length=1)
    """What a candidate is worth: student: weight of its prediction by the head that serves.

    A prediction of a task `given` another is multiplied by that of the student here whose task that is, so that a
    purchase counts as P(click) * P(purchase | click); where a click is worth nothing by itself, its weight is 0.
    """
    slot_weights: tuple[PositiveWeight, ...] | None = None
    """What a value counts in each slot, falling or level; 1 / log2(1 + slot) if left out (the discount of DCG)."""
    pinned: tuple[Pin, ...] = ()
    """Candidates that stand in a slot of every page that has them."""
    at_most: dict[Name, Slots] = Field({})
    """Categorical feature: how many candidates with one value of it a page shows at most."""
    not_side_by_side: Annotated[
        tuple[Name, ...], BeforeValidator(_one_or_more, json_schema_input_type=Name | tuple[Name, ...])
    ] = ()
    """Categorical features of which no two neighbouring slots have the same value."""
    at_least_different: dict[Name, Slots] = Field({})
    """Categorical feature: how many different values of it a page shows at least."""
    eligible: dict[Name, Eligible] = Field({})
    """Feature: the values that a candidate must have to be shown."""
    exploration: Exploration | None = None
    """How pages explore; none does if left out."""

    @property
    def pins_by_slot(self) -> tuple[tuple[int, Pin], ...]:
        """Each pin with its slot, from 0, in declared order; of those at the top each takes the first free one."""
        taken = {pin.slot for pin in self.pinned if pin.slot != "top"}
        free = (slot for slot in range(1, self.slots + len(self.pinned) + 1) if slot not in taken)
        return tuple((next(free) - 1 if pin.slot == "top" else pin.slot - 1, pin) for pin in self.pinned)

    @property
    def rule_features(self) -> tuple[str, ...]:
        """The features that rules read, each once, in the order of the rules."""
        pins = (pin.feature for pin in self.pinned)
        read = (*self.eligible, *pins, *self.at_most, *self.not_side_by_side, *self.at_least_different)
        return tuple(dict.fromkeys(read))
