"""What corrects a teacher's level: `correction: exploration`, or `correction: {rate: 0.17, of: random exposure}`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ukdsl_assets.declaration.block import Declared


class KnownRate(Declared):
    """A rate that is known from elsewhere: the mean label of rows that the teacher labels for the student.

    A random bucket, an A/B test or a published total knows it. The teacher's logits are shifted so that its weighted
    mean over a day's rows is the rate: it moves the level, and neither the order nor the spread.
    """

    rate: float = Field(gt=0, lt=1)
    """Mean label, such as clicks per pair shown at random."""
    of: str = Field(min_length=1, max_length=80)
    """Whose rate it is, for people: told wherever it is used."""

    over: Literal["labelled", "unshown"] = "labelled"
    """Rows whose mean prediction it becomes: all that the teacher labels, or those that were not shown.

    What was shown was chosen, so where unshown candidates were drawn at random the rate of random exposure is theirs.
    """

    @property
    def told(self) -> str:
        """0.1773 of random exposure, or 0.1773 (rows not shown) of random exposure.

        Tables name a correction by it, so that no two have the same one: every digit, and `of`, which is free, last.
        """
        return f"{self.rate!r}{' (rows not shown)' if self.over == 'unshown' else ''} of {self.of}"


# Tags are how Pydantic itself calls types, so that of a wrong value only what it was meant for is told.
Correction = Annotated[
    Annotated[Literal["none", "exploration"], Tag("str")] | Annotated[KnownRate, Tag("mapping[rate, of]")],
    Discriminator(lambda value: _meant(value)),
]


def _meant(value: Any) -> str:
    return "mapping[rate, of]" if isinstance(value, dict | KnownRate) else "str"


# Gates between a distilled student and its release, which `accept` may name: those of its teacher first.
ON_EXPLORATION, BETTER_THAN_CONSTANT = "teacher_agrees_on_exploration", "teacher_better_than_constant"
ABOVE_PRODUCTION = "policy_above_production"
GATES_OF_A_RELEASE = (
    ON_EXPLORATION,
    BETTER_THAN_CONSTANT,
    "calibrated_on_consideration",
    "calibrated_on_impression",
    "normalized_entropy_on_impression_kept",
    "normalized_entropy_on_consideration_kept",
    "product_calibrated_on_impressions",
    "product_normalized_entropy_kept",
    "calibrated_on_scored",
    "calibrated_on_own_choice",
    "normalized_entropy_on_scored_kept",
    "calibrated_on_exploration",
    "no_worse_than_champion_on_impression",
    "no_worse_than_champion_on_scored",
    ABOVE_PRODUCTION,
)
