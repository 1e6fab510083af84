"""When an experiment is looked at: after which of its planned days, told before it begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ukdsl_assets.errors import ExperimentError

LOOKS = 4


@dataclass(frozen=True)
class Plan:
    """The days that an experiment runs, and after which of them it is looked at.

    Attributes:
        days: at least 1. looks: days, rising, the last is `days`.

    Raises:
        ExperimentError: the looks are no such days.
    """

    days: int
    looks: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ExperimentError(f"plan: days: saw {self.days}, expected at least 1")
        rising = all(early < late for early, late in zip((0, *self.looks), self.looks, strict=False))
        if not rising or self.looks[-1:] != (self.days,):
            raise ExperimentError(
                f"plan: looks: saw {', '.join(map(str, self.looks)) or 'none'}; expected days from 1 on, rising, of "
                f"which the last is that of the plan, {self.days}"
            )

    @classmethod
    def evenly(cls, days: int, looks: int = LOOKS) -> "Plan":
        """So many looks, evenly over the days, or one a day where there are fewer days.

        Raises:
            ExperimentError: fewer than one.
        """
        if days < 1 or looks < 1:
            raise ExperimentError(f"plan: saw {days} day(s) and {looks} look(s), expected at least 1 of each")
        number = min(looks, days)
        return cls(days, tuple(math.ceil(days * look / number) for look in range(1, number + 1)))

    @property
    def fractions(self) -> tuple[float, ...]:
        """Of the planned time, by each look."""
        return tuple(look / self.days for look in self.looks)

    def done(self, days: int) -> Sequence[int]:
        """The looks that so many days of logs allow."""
        return [look for look in self.looks if look <= days]

    def next_look(self, days: int) -> int | None:
        """The day after which to look next; None where there is none left."""
        return next((look for look in self.looks if look > days), None)
