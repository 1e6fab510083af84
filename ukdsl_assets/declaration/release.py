"""When a student is released: `release: {margin: 0.003, decided_by: same_day}`."""

from typing import Annotated, Literal

from pydantic import Field

from ukdsl_assets.declaration.block import Declared

Margin = Annotated[float, Field(gt=0, le=100)]


class Release(Declared):
    """What decides whether a day's student, the challenger, takes the place of what serves, the champion.

    It is Released where the upper end of the 95% interval of its NE change is at most the margin, on impressions and on
    what its stage scored; Refused where that is not so; and Not judged where rows are too few to tell.
    """

    margin: Margin = 0.003
    """Most that its NE may exceed the champion's, as a fraction, per domain."""
    decided_by: Literal["same_day", "next_day"] = "same_day"
    """Which requests decide. Both comparisons are made and shown every day.

    same_day: withheld requests of its own day, at once. next_day: all requests of the next day, which it has not seen;
    a day's run then decides about yesterday's checkpoint, and its own is decided a day later. There are 1 /
    withheld_share times as many of them, and they are what a student meets when it serves.
    """
    off_policy: Literal["told", "above_production"] = Field("told", exclude_if=lambda value: value == "told")
    """What the off-policy estimate of its own task decides; it needs the cascade's `off_policy`.

    told: nothing. above_production: the 95% interval of what its policy earns more than production must lie above 0,
    over `evaluation_days`; explored rows too few to tell leave it not judged.
    """
