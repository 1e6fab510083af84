"""What the rows that a randomised policy showed are used for beside audits: `off_policy: {slot: slot}`."""

from typing import Annotated, Literal

from pydantic import Field

from ukdsl_assets.declaration.block import Declared, Name

# Of weights and estimates: see `off_policy/table.py`, which has them all.
EstimatorName = Literal["ips", "snips", "dr", "sndr", "switch_dr", "pi", "rips", "cascade_dr"]
MostWeight = Annotated[float, Field(ge=1, le=1e9)]


class OffPolicy(Declared):
    """Has policies estimated from explored rows and their propensities: that of each student of the last stage, and
    the declared page of such students.

    A propensity is taken for the probability with which the candidate was shown at all; of what an explored request
    shows every candidate that reached the last stage must have had its chance.
    """

    slot: Name | None = None
    """The feature that says in which slot a candidate was shown, where slots matter; one with `served_as`.

    Its values count the slots from `served_as` on, and explored requests show what they show in random order. Left out,
    a reward is taken to depend on the candidate alone.
    """
    estimator: EstimatorName = "sndr"
    """Which estimate is told first and decides; all are in the table."""
    clip: MostWeight | None = None
    """Largest importance weight; larger ones count as this one, which makes estimates too low. No bound if left out."""
    switch: MostWeight = 100.0
    """Weight above which `switch_dr` believes the model alone."""
