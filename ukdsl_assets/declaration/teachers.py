"""Who teaches: `teachers: [{name: ranker, kind: logged, stage: ranking}]`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ukdsl_assets.declaration.architectures import FoundationArchitecture, SharedBottomArchitecture
from ukdsl_assets.declaration.block import Declared, Name


class _Teacher(Declared):
    """What the code asks of a teacher of any kind. One of the three is true, and each kind says which."""

    logged: ClassVar[bool]
    """Its labels are what a stage of this cascade logged when it served: there is no model here."""
    trained_here: ClassVar[bool]
    """It is a model with checkpoints of its own, which has learnt from this cascade's rows that are not withheld."""
    foreign: ClassVar[bool]
    """It is a model of another cascade, which has seen nothing of this one."""


class LoggedTeacher(_Teacher):
    """The prediction that `stage` logged for what it scored: free, and served as logged."""

    logged: ClassVar[Literal[True]] = True
    trained_here: ClassVar[Literal[False]] = False
    foreign: ClassVar[Literal[False]] = False

    name: Name
    kind: Literal["logged"]
    stage: Name


class TrainedTeacher(_Teacher):
    """LightGBM trained on a rolling window of impressions with all features known at `stage`.

    It labels every considered row that `stage` scored.

    trees: the most; a tenth of the requests decides where to stop.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[True]] = True
    foreign: ClassVar[Literal[False]] = False

    name: Name
    kind: Literal["trained"]
    stage: Name
    window_days: int = Field(7, ge=1)
    trees: int = Field(400, ge=1)
    leaves: int = Field(15, ge=2)
    learning_rate: float = Field(0.03, gt=0)
    minimum_leaf_rows: int = Field(100, ge=1)
    seed: int = 0


class FoundationTeacher(_Teacher):
    """A network of every task of the cascade on a long rolling window of impressions (paper, section 4.3).

    It reads all features known at `stage` and their crosses, and labels every row that `stage` scored, the last
    stage's own too. A task that is `given` another is learnt over the whole space, as a product of probabilities
    (Ma et al., ESMM, SIGIR 2018), and labels say its probability given the other. It is trained anew every day.

    minimum_id_rows: rows of the window that an id must have; rarer ones share one row, which so learns what to say of
        ids that the teacher has never seen.
    window_days, epochs, requests_per_batch, learning_rate: as a student's.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[True]] = True
    foreign: ClassVar[Literal[False]] = False

    name: Name
    kind: Literal["foundation"]
    stage: Name
    architecture: FoundationArchitecture = SharedBottomArchitecture()
    window_days: int = Field(14, ge=1)
    epochs: int = Field(2, ge=1)
    requests_per_batch: int = Field(256, ge=1)
    learning_rate: float = Field(4e-3, gt=0)
    minimum_id_rows: int = Field(5, ge=1)
    seed: int = 0


Default = int | float | str | tuple[float, ...] | None


class CrossDomainTeacher(_Teacher):
    """A model of another cascade that labels what `stage` scored here, as it is: it has seen nothing of this cascade.

    A surface with little traffic learns from one with much (zero-shot cross-domain distillation, arXiv 2603.28994).
    In every mapping the name on the left is filled from the one on the right.

    cascade, model: the other cascade, and the trained teacher or student there that predicts.
    tasks: task here -> the task there whose prediction labels it.
    features: feature there -> the feature here that means the same; left out where both have one name.
    defaults: feature there -> its value on every row, for what is absent here; null is the unknown id.
    recalibration: with labels the model's logits become slope * logit + intercept before they are labels, a line a
        task, fitted to this cascade's own impressions that are not withheld (Platt, 1999): its order, at this surface's
        level. A task with fewer than 20 positive labels, or whose labels are delayed, stays as it is and says so.
    window_days: rolling window of those impressions, ending with the partition's day.
    allow_worse_than_constant: labels are published even if they explain this cascade's labels worse than a constant.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[False]] = False
    foreign: ClassVar[Literal[True]] = True

    name: Name
    kind: Literal["cross_domain"]
    stage: Name
    cascade: Name
    model: Name
    tasks: dict[Name, Name] = Field(min_length=1)
    features: dict[Name, Name] = Field({})
    defaults: dict[Name, Default] = Field({})
    recalibration: Literal["none", "labels"] = "none"
    window_days: int = Field(7, ge=1)
    allow_worse_than_constant: bool = False


Teacher = Annotated[
    LoggedTeacher | TrainedTeacher | FoundationTeacher | CrossDomainTeacher, Field(discriminator="kind")
]
