"""Who teaches: `teachers: [{name: ranker, kind: logged, stage: ranking}]`."""

from typing import Annotated, Literal

from pydantic import Field

from ukdsl_assets.cross_domain import CrossDomainTeacher
from ukdsl_assets.declared import Declared, Name
from ukdsl_assets.foundation import FoundationTeacher


class LoggedTeacher(Declared):
    """The prediction that `stage` logged for what it scored: free, and served as logged."""

    name: Name
    kind: Literal["logged"]
    stage: Name


class TrainedTeacher(Declared):
    """LightGBM trained on a rolling window of impressions with all features known at `stage`.

    It labels every considered row that `stage` scored.

    trees: the most; a tenth of the requests decides where to stop.
    """

    name: Name
    kind: Literal["trained"]
    stage: Name
    window_days: int = Field(7, ge=1)
    trees: int = Field(400, ge=1)
    leaves: int = Field(15, ge=2)
    learning_rate: float = Field(0.03, gt=0)
    minimum_leaf_rows: int = Field(100, ge=1)
    seed: int = 0


Teacher = Annotated[
    LoggedTeacher | TrainedTeacher | FoundationTeacher | CrossDomainTeacher, Field(discriminator="kind")
]
