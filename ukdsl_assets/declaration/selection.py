"""What a student's `selection:` may say."""

from typing import Literal

from pydantic import Field, model_validator

from ukdsl_assets.declaration.architectures import Architecture
from ukdsl_assets.declaration.block import Count, Days, Declared, Name, PositiveWeight

# The names of `selection.rules.RULES`, which imports more than a declaration needs.
RuleName = Literal[
    "impression",
    "consideration",
    "average_rank",
    "average_importance",
    "intersection",
    "union",
    "grouped_permutation",
    "cost_aware",
]


class Selection(Declared):
    """How features are chosen for a student, daily, from importance on shown and on considered rows.

    It has one of `budget` and `cost_budget`.
    """

    rule: RuleName = "grouped_permutation"
    """By what features are chosen; `selection.rules` says what each does. Every day compares them all."""
    budget: Count | None = None
    """How many features."""
    cost_budget: PositiveWeight | None = None
    """What the features may cost in all, by the `cost` that each declares."""
    candidates: tuple[Name, ...] | Literal["all"] = "all"
    """Names to choose from, or all that are known at the student's stage."""
    window_days: Days = 1
    """Rolling window of training days of the simplified student, ending with the partition's day."""
    trainings: int = Field(2, ge=1, le=1000)
    """Trainings of the simplified student, with seeds of their own.

    Importance is their mean, since two trainings disagree more than two sets of rows do.
    """
    repeats: int = Field(2, ge=1, le=1000)
    """Permutations of each feature."""
    rows: Count = Field(20_000, ge=100)
    """Most withheld rows of each set; more rows tell more than more repeats."""
    architecture: Architecture | None = None
    """Of the simplified student and of those that the rules are compared by; the student's own if left out."""

    @model_validator(mode="after")
    def _one_budget(self) -> "Selection":
        if (self.budget is None) == (self.cost_budget is None):
            raise ValueError("expected one of `budget` (a number of features) and `cost_budget`")
        if self.rule == "cost_aware" and self.cost_budget is None:
            raise ValueError("rule cost_aware needs `cost_budget`; for a number of features take grouped_permutation")
        return self
