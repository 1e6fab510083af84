"""The blocks of a declaration that are neither source, teacher nor student."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ukdsl_assets.declaration.block import Declared, Duration, Name

# What Dagster takes for an owner: a team or an address.
OWNER = r"^(team:[\w-]+|[^@\s]+@[^@\s]+)$"
Share = Annotated[float, Field(gt=0, le=1)]
Bounds = Annotated[tuple[float, float], AfterValidator(lambda pair: _ordered(pair))]


class Stage(Declared):
    """One ranking model of the cascade, in the order in which candidates pass them.

    predicts: tasks whose prediction the stage logs (None: all of the cascade's, []: the stage logs no prediction).
    consideration_rate: share of the unshown candidates that got no deeper than this stage which `considerations`
        keeps; each kept row carries the weight 1 / rate.
    """

    name: Name
    predicts: tuple[Name, ...] | None = None
    consideration_rate: Share = 1.0


class Task(Declared):
    """An outcome to predict: whether `event` follows the request within `attribution_window`.

    given: another task that must be positive for this one to have a label (a post-click conversion: given click).
    delayed: whether labels keep arriving for days, so that a fresh day's are too few; gates on them then only tell.
    """

    name: Name
    event: Name
    attribution_window: Duration = Field(gt=timedelta(0))
    given: Name | None = None
    delayed: bool = False


class Feature(Declared):
    """A declared input column of the logs.

    side: "request" if it is the same for all candidates of a request, "candidate" if it may differ between them.
    kind: "multi_valued" is a list of ids, whose embeddings are pooled; an id that stands twice counts twice, an empty
        list is the zero vector.
    values: type of the ids of a categorical or multi-valued feature.
    hash_buckets: ids share that many embedding rows by their hash, instead of one each: nothing is kept of an id, new
        ones land in a bucket at once, and two of n ids meet in one with a probability of 1 / hash_buckets.
    pooling: of a multi-valued feature; most_values: the longest list, of which the tables and the trainer make room.
    width: length of a vector feature.
    known_from: first stage that has the feature (None: all); it is null on candidates that did not get there.
    served_as: of a feature that only what was shown has, such as its slot on the page: the value with which candidates
        are scored, and for which a teacher labels them. It is null exactly on candidates that were not shown.
    cost: relative cost of serving it, for cost-aware selection.
    """

    name: Name
    kind: Literal["categorical", "multi_valued", "numeric", "vector"]
    side: Literal["request", "candidate"]
    values: Literal["integer", "string"] = "integer"
    hash_buckets: int | None = Field(None, ge=1, le=2**24)
    pooling: Literal["mean", "sum"] = "mean"
    most_values: int = Field(64, ge=1)
    width: int | None = Field(None, ge=1)
    known_from: Name | None = None
    served_as: int | str | None = None
    cost: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _width_is_for_vectors(self) -> "Feature":
        if (self.kind == "vector") != (self.width is not None):
            raise ValueError("`width` is required for a vector feature and not allowed for others")
        if self.hash_buckets is not None and not self.of_ids:
            raise ValueError("`hash_buckets` is for categorical and multi_valued features; leave it out")
        return self

    @model_validator(mode="after")
    def _served_as_one_of_its_ids(self) -> "Feature":
        if self.served_as is not None:
            if self.kind != "categorical" or self.side != "candidate" or self.known_from is not None:
                raise ValueError("`served_as` is for categorical features of the candidate without `known_from`")
            if isinstance(self.served_as, str) != (self.values == "string"):
                raise ValueError(f"`served_as` is {self.served_as!r}; expected a value of type {self.values}")
        return self

    @property
    def of_ids(self) -> bool:
        """Whether its values are ids, each with an embedding, and not numbers."""
        return self.kind in ("categorical", "multi_valued")


class Gates(Declared):
    """Bounds of the quality gates. A pair is (lowest, highest) allowed.

    volume, label_rate: today's rows and label rate over the median of the trailing seven days.
    late_stage_present: least share of requests with a prediction of the last stage that logs any.
    teacher_calibration: on withheld impressions; teacher_exploration: on exploration rows. Both are judged at two
        standard errors and block from 100 positive labels on; below that they only tell. The 95% interval of
        `teacher_audit` is held against teacher_exploration too, and only tells.
    student_calibration: distilled student on withheld considered rows against its teacher, and on withheld
        impressions against labels (there at two standard errors).
    normalized_entropy: most that the distilled student's NE may exceed the baseline's, as a fraction, per domain.
    selection_stability: least Jaccard index of a day's selected features with those of the day before; it only tells.
    implausible_importance: a candidate feature that NE depends on more than this is taken for a leak of the outcome.
    """

    volume: Bounds = (0.5, 2.0)
    label_rate: Bounds = (0.5, 2.0)
    late_stage_present: Share = 0.9
    teacher_calibration: Bounds = (0.7, 1.4)
    teacher_exploration: Bounds = (0.6, 1.6)
    student_calibration: Bounds = (0.85, 1.15)
    normalized_entropy: float = 0.02
    selection_stability: Share = 0.5
    implausible_importance: float = Field(0.5, gt=0)


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair
