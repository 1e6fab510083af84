"""Who teaches: `teachers: [{name: ranker, kind: logged, stage: ranking}]`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ukdsl_assets.declaration.architectures import FoundationArchitecture, Leaves, SharedBottomArchitecture
from ukdsl_assets.declaration.block import MOST, Count, Days, Declared, Id, LearningRate, Name, Seed


class _Teacher(Declared):
    """What the code asks of a teacher of any kind. One of the three is true, and each kind says which."""

    logged: ClassVar[bool]
    """Its labels are what a stage of this cascade logged when it served: there is no model here."""
    trained_here: ClassVar[bool]
    """It is a model with checkpoints of its own, which has learnt from this cascade's rows that are not withheld."""
    foreign: ClassVar[bool]
    """It is a model of another cascade, which has seen nothing of this one."""


class LoggedTeacher(_Teacher):
    """The prediction that a stage logged for what it scored: free, and served as logged."""

    logged: ClassVar[Literal[True]] = True
    trained_here: ClassVar[Literal[False]] = False
    foreign: ClassVar[Literal[False]] = False

    name: Name
    """Its name, and that of its folder in the lake."""
    kind: Literal["logged"]
    """A stage's own prediction."""
    stage: Name
    """The stage, which must log a prediction."""


class TrainedTeacher(_Teacher):
    """LightGBM trained on a rolling window of impressions with all features known at its stage.

    It labels every considered row that the stage scored.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[True]] = True
    foreign: ClassVar[Literal[False]] = False

    name: Name
    """Its name, and that of its folder in the lake."""
    kind: Literal["trained"]
    """Boosted trees of this cascade."""
    stage: Name
    """The stage whose features it reads and whose rows it labels."""
    window_days: Days = 7
    """Rolling window of training days, ending with the partition's day."""
    trees: Count = 400
    """Most trees of a task; a tenth of the requests decides where to stop."""
    leaves: Leaves = 15
    """Most leaves of a tree."""
    learning_rate: LearningRate = 0.03
    """Shrinkage of each tree."""
    minimum_leaf_rows: Count = 100
    """Fewest rows of a leaf, and fewest rows that an id must have; rarer ids are one unknown id."""
    folds: int = Field(1, ge=1, le=20)
    """With more than one, requests that it was trained on are labelled by trees that have not seen them.

    As many trees more are trained, each without one fold of the requests. Withheld requests are labelled by those of
    all.
    """
    most_rows: int | None = Field(5_000_000, ge=1000, le=MOST)
    """Most rows to train on, which are in memory together; null for all.

    Where the window has more, whole requests are drawn by a hash of their ids, the same ones whatever the number of
    shards, and the checkpoint and the UI say how many rows they have.
    """
    seed: Seed = 0
    """Draws the rows that decide where to stop, the trees and, of more than `most_rows`, the requests."""


class FoundationTeacher(_Teacher):
    """A network of every task of the cascade on a long rolling window of impressions (paper, section 4.3).

    It reads all features known at its stage and their crosses, and labels every row that the stage scored, the last
    stage's own too. A task that is `given` another is learnt over the whole space, as a product of probabilities
    (Ma et al., ESMM, SIGIR 2018), and labels say its probability given the other. It is trained anew every day.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[True]] = True
    foreign: ClassVar[Literal[False]] = False

    name: Name
    """Its name, and that of its folder in the lake."""
    kind: Literal["foundation"]
    """A network of this cascade."""
    stage: Name
    """The stage whose features it reads and whose rows it labels."""
    architecture: FoundationArchitecture = SharedBottomArchitecture()
    """Its network: a name, or a mapping of `kind` and widths."""
    window_days: Days = 14
    """Rolling window of training days, ending with the partition's day."""
    epochs: Count = 2
    """How often a training reads its window."""
    requests_per_batch: Count = 256
    """Batch size in whole requests."""
    learning_rate: LearningRate = 4e-3
    """Of each training's first step; it falls linearly to 0."""
    minimum_id_rows: Count = 5
    """Rows of the window that an id must have.

    Rarer ones share one row of the embeddings, which so learns what to say of ids that the teacher has never seen.
    """
    seed: Seed = 0
    """Draws first parameters and batches."""


Default = Id | float | str | tuple[float, ...] | None


class CrossDomainTeacher(_Teacher):
    """A model of another cascade that labels what a stage scored here, as it is: it has seen nothing of this cascade.

    A surface with little traffic learns from one with much (zero-shot cross-domain distillation, arXiv 2603.28994).
    In every mapping the name on the left is filled from the one on the right.
    """

    logged: ClassVar[Literal[False]] = False
    trained_here: ClassVar[Literal[False]] = False
    foreign: ClassVar[Literal[True]] = True

    name: Name
    """Its name, and that of its folder in the lake."""
    kind: Literal["cross_domain"]
    """A model of another cascade."""
    stage: Name
    """The stage here whose features it reads and whose rows it labels."""
    cascade: Name
    """The other cascade, which runs first."""
    model: Name
    """The trained teacher or student there that predicts."""
    tasks: dict[Name, Name] = Field(min_length=1)
    """Task here: the task there whose prediction labels it."""
    features: dict[Name, Name] = Field({})
    """Feature there: the feature here that means the same; left out where both have one name."""
    defaults: dict[Name, Default] = Field({})
    """Feature there: its value on every row, for what is absent here; null is the unknown id, or missing where the
    feature there may be missing."""
    recalibration: Literal["none", "labels"] = "none"
    """With labels the model's logits become slope * logit + intercept before they are labels, a line a task.

    It is fitted to this cascade's own impressions that are not withheld (Platt, 1999): the model's order, at this
    surface's level. A task with fewer than 20 positive labels, or whose labels are delayed, stays as it is and says so.
    """
    window_days: Days = 7
    """Rolling window of those impressions, ending with the partition's day."""
    allow_worse_than_constant: bool = False
    """Publish labels even if they explain this cascade's labels worse than a constant."""


Teacher = Annotated[
    LoggedTeacher | TrainedTeacher | FoundationTeacher | CrossDomainTeacher, Field(discriminator="kind")
]
