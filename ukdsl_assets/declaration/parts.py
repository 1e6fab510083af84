"""The blocks of a declaration that are neither source, teacher nor student."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ukdsl_assets.declaration.block import Declared, Duration, Id, Name, PositiveWeight, Weight
from ukdsl_assets.declaration.value_names import ValueNames, no_value_of

Share = Annotated[float, Field(gt=0, le=1)]
Bounds = Annotated[tuple[float, float], AfterValidator(lambda pair: _ordered(pair))]


class Stage(Declared):
    """One ranking model of the cascade, in the order in which candidates pass them."""

    name: Name
    """Its name in the log: a value of `deepest_stage` and the first word of the columns of its predictions."""
    predicts: tuple[Name, ...] | None = None
    """Tasks whose prediction it logs; all of the cascade's if left out, [] if it logs none."""
    consideration_rate: Share = Field(1.0, ge=1e-6)
    """Share of the unshown candidates that got no deeper than this stage which `considerations` keeps.

    Each kept row carries the weight 1 / rate.
    """


class Task(Declared):
    """An outcome to predict: whether an event follows the request in time."""

    name: Name
    """Its name, and that of the column of its labels."""
    event: Name
    """The `event` of the event log that makes its label positive."""
    attribution_window: Duration
    """How long after its request an event counts, such as PT30M, P1D or P7D; the end counts too."""
    given: Name | None = None
    """Another task that must be positive for this one to have a label (a post-click conversion: given click)."""
    delayed: bool = False
    """Whether labels keep arriving for days, so that a fresh day's are too few; gates on them then only tell."""


class Feature(Declared):
    """A declared input column of the logs."""

    name: Name
    """Its column in the candidate log."""
    kind: Literal["categorical", "multi_valued", "numeric", "vector"]
    """What a value is: an id, a list of ids, a number, or as many numbers as `width`.

    Embeddings of a list are pooled; an id that stands twice counts twice, an empty list is the zero vector.
    """
    side: Literal["request", "candidate"]
    """request if it is the same for all candidates of a request, candidate if it may differ between them."""
    values: Literal["integer", "string"] = "integer"
    """Type of the ids of a categorical or multi-valued feature."""
    hash_buckets: int | None = Field(None, ge=1, le=2**24)
    """Ids share that many embedding rows by their hash, instead of one each.

    Nothing is kept of an id, new ones land in a bucket at once, and two of n ids meet in one with a probability of
    1 / hash_buckets.
    """
    pooling: Literal["mean", "sum"] = "mean"
    """How the embeddings of a multi-valued feature become one."""
    most_values: int = Field(64, ge=1, le=65_536)
    """The longest list of a multi-valued feature that the log may have."""
    width: int | None = Field(None, ge=1, le=65_536)
    """Length of a vector feature, which must have one."""
    known_from: Name | None = None
    """First stage that has the feature, all if left out; it is null on candidates that did not get there."""
    served_as: Id | str | None = None
    """Of a feature that only what was shown has, such as its slot on the page: the value to score candidates with.

    A teacher labels them for it too. In the log it is null exactly on candidates that were not shown.
    """
    missing: Literal["refused", "allowed"] = Field("refused", exclude_if=lambda value: value == "refused")
    """Whether logs may lack its value: null, or NaN for a number or for all places of a vector.

    Where allowed, missing is a value of its own in training, scoring and importance: an id of its own, or the mean of
    the numbers with one more input that says so. To a model that saw none missing, a missing id is an unknown one, and
    a missing number is the mean.
    """
    cost: Weight = 1.0
    """Relative cost of serving it, for cost-aware selection."""
    # Words for people are no part of what a model is made of: they do not reach checkpoints or fingerprints.
    names: ValueNames | None = Field(None, exclude=True)
    """What people call the values of a categorical or multi-valued feature, such as {0: Germany, 1: France}.

    Reports, pictures and tables by segment say these words; values without a name, and all models, keep the value.
    """

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

    @model_validator(mode="after")
    def _null_means_one_thing(self) -> "Feature":
        if self.may_be_missing and self.served_as is not None:
            raise ValueError("`missing` is for features without `served_as`, which are null where nothing was shown")
        return self

    @model_validator(mode="after")
    def _names_of_its_values(self) -> "Feature":
        if self.names is None:
            return self
        if not self.of_ids:
            raise ValueError("`names` is for categorical and multi_valued features; leave it out")
        if (wrong := no_value_of(self.values, self.names)) is not None:
            raise ValueError(f"`names` calls {wrong!r} by a name, which is no value of type {self.values}")
        return self

    @property
    def may_be_missing(self) -> bool:
        """Whether rows may lack its value."""
        return self.missing == "allowed"

    @property
    def number_columns(self) -> int:
        """Columns of numbers that models read of it: none of ids, and one more where it may be missing."""
        return 0 if self.of_ids else (self.width or 1) + self.may_be_missing

    @property
    def of_ids(self) -> bool:
        """Whether its values are ids, each with an embedding, and not numbers."""
        return self.kind in ("categorical", "multi_valued")


class Gates(Declared):
    """Bounds of the quality gates. A pair is [lowest, highest] allowed."""

    volume: Bounds = (0.5, 2.0)
    """A day's rows over the median of the trailing seven days."""
    label_rate: Bounds = (0.5, 2.0)
    """A day's share of positive labels over the median of the trailing seven days."""
    late_stage_present: Share = 0.9
    """Least share of requests with a prediction of the last stage that logs any."""
    teacher_calibration: Bounds = (0.7, 1.4)
    """A teacher's mean label over the mean outcome of withheld impressions.

    Judged at two standard errors; it blocks from 100 positive labels on, below that it only tells.
    """
    teacher_exploration: Bounds = (0.6, 1.6)
    """The same on exploration rows.

    The 95% interval of `teacher_audit` is held against it too: on rows that nothing has seen it refuses a release.
    """
    student_calibration: Bounds = (0.85, 1.15)
    """The distilled student's mean prediction over the mean of its teacher and, on impressions, of labels.

    Both on withheld rows: considered ones against the teacher, and shown ones against labels at two standard errors.
    """
    student_exploration: Bounds = (0.8, 1.25)
    """The distilled student's mean prediction over the mean label of withheld explored rows, by 1 / propensity.

    The 95% interval over `exploration_days` must meet it, from 100 effective requests and 20 effective positives on.
    """
    normalized_entropy: float = 0.02
    """Most that the distilled student's NE may exceed the baseline's, as a fraction, per domain."""
    selection_stability: Share = 0.5
    """Least Jaccard index of a day's selected features with those of the day before; it only tells."""
    implausible_importance: PositiveWeight = 0.5
    """A candidate feature that NE depends on more than this is taken for a leak of the outcome."""


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair
