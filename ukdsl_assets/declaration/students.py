"""Who is taught: `students: [{name: click, stage: pre_ranking, task: click, teacher: ranker}]`."""

from typing import Literal

from pydantic import Field, model_validator

from ukdsl_assets.declaration.architectures import Architecture, TwoTowerArchitecture
from ukdsl_assets.declaration.block import (
    Count,
    Days,
    Declared,
    LearningRate,
    Name,
    PositiveWeight,
    Seed,
    Weight,
)
from ukdsl_assets.declaration.corrections import Correction
from ukdsl_assets.declaration.release import Release
from ukdsl_assets.declaration.selection import Selection

# Heads that the teacher trains and nobody serves.
TEACHER_TASKS = ("dependent", "auxiliary", "representation")
# Head that follows from the one before it by a line, fitted to all rows that the teacher labels.
SCORED_HEAD = "scored"


class LossWeights(Declared):
    """The loss of a student: impression * mean label loss + consideration * mean teacher loss + listwise * mean over
    requests of the cross entropy between the teacher's and the student's shares in a request's considered candidates.
    """

    impression: PositiveWeight = 1.0
    """Weight of the mean loss against labels of shown rows."""
    consideration: Weight = 10.0
    """Weight of the mean loss against the teacher on considered rows; 0 trains by labels alone."""
    considered_rows: Literal["given", "alike"] = Field("given", exclude_if=lambda value: value == "given")
    """What considered rows weigh, beside their sampling, where the task is `given` another; no matter for other tasks.

    given: the probability of what it is given, by the teacher or else the student's stage, so that an error counts as
    often as there is a click. alike: all the same; most are then rows that hardly anybody clicks.
    """
    representation: PositiveWeight = 1.0
    """Weight of head representation: of the mean squared difference to the teacher's hidden layer.

    The mean is over considered rows and places; the layer is scaled to a mean square of 1.
    """
    listwise: Weight = 0.0
    """Weight of the term that learns the order in which a stage keeps candidates.

    A candidate's share is its bid * p over the request's sum of it (of p alone where the log has no bid); see
    `losses.listwise_cross_entropy`.
    """
    rejected: Weight = 1.0
    """The most that a rejected row, a probe, weighs in the loss of head consideration where head `scored` serves; 0
    keeps probes out of it.

    Heavier ones cost order; their full weights set the level of head `scored`. What a teacher of the student's own
    stage says of rejected rows is learnt with its own weight.
    """
    temperature: float = Field(1.0, ge=0.01, le=100)
    """T > 1 softens the teacher: sigmoid(its logit / T) against the student's logit / T, times T^2.

    The student is then not fitted to agree with its teacher's level, so watch its calibration.
    """
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share s of a label that the mean label b takes: (1 - s) * label + s * b; the mean stays."""


class Student(Declared):
    """A model of an early stage, trained daily as `baseline` (labels only) and `distilled` (labels and teacher)."""

    name: Name
    """Its name, and that of its folder in the lake."""
    stage: Name
    """The stage that it serves: it is trained on what that scored, with features known there."""
    task: Name
    """What it predicts."""
    teacher: Name
    """Who labels considered rows for it, at its stage or a later one."""
    architecture: Architecture = TwoTowerArchitecture()
    """Its model: a name, or a mapping of `kind` and widths."""
    features: tuple[Name, ...] | Literal["all", "selected"] = "all"
    """Names, all that are known at `stage`, or selected: what the newest selection before the day chose.

    Before there is one, all candidates of the selection. What two_tower and mlp know of features that stay is kept;
    other architectures start anew on a day whose features differ.
    """
    selection: Selection | None = None
    """How features are chosen. Without `features: selected` it only tells."""
    delayed_feedback: Literal["correct", "wait"] | None = None
    """For a task that is `delayed`: what becomes of a fresh day's labels, of which many are yet to come.

    correct: a positive label counts as many as it stands for, by the delays of days whose windows have closed; wait:
    labels are those of the newest day whose windows have closed, the teacher's are still the day's.
    """
    heads: tuple[Literal["impression", "consideration", "scored", "dependent", "auxiliary", "representation"], ...] = (
        "impression",
        "consideration",
    )
    """Outputs of its training, and who trains which.

    With [impression, consideration] labels train the first head, the teacher the second, which serves; with
    [impression] one head learns from both. With [impression, consideration, scored] the third serves: the second on
    the level of all that the stage scored, by a line through its logits that is fitted after the training to all rows
    that the teacher labels, rejected ones (probes) among them; the order stays. With [impression, dependent,
    auxiliary], or one of the two, labels alone train the main head, which serves, and the teacher trains the tasks on
    rows without a label: dependent reads the main head's logit, auxiliary the shared representation (paper, section
    4.3). Tasks are of training alone: the checkpoint's parameters are the baseline's. representation is such a task
    too: a learned projection of the shared representation matches the hidden layer of a cross-domain teacher. What
    another cascade's teacher says of labelled rows is new here, so it trains tasks on these as well.
    """
    auxiliary_tasks: tuple[Name, ...] = ()
    """Tasks of the teacher that head auxiliary learns, an output each; its own if left out."""
    label_tasks: tuple[Name, ...] = ()
    """Further tasks of the cascade whose labels train outputs of the shared layers, in both arms.

    Like the teacher's tasks they are not served. Labels of a delayed task are taken as seen.
    """
    loss: LossWeights = LossWeights()
    """Weights of the parts of its loss."""
    labels: Literal["logged", "on_the_fly"] = "logged"
    """Where the teacher's labels come from: its table, or on_the_fly its checkpoint while rows are read for training.

    On the fly the day's checkpoint of a trained or foundation teacher labels considered rows of all days of the window
    (paper, 4.1.2); the table's labels are for evaluation alone.
    """
    correction: Correction = "none"
    """With exploration the teacher's logits are shifted by what `teacher_audit` found on explored rows.

    They are those of the trailing days; what the teacher labels beyond the reach of exploration is shifted alike. One
    that is trained here leaves the explored rows of half of the requests out of its training for it. With `rate` and
    `of` logits are shifted so that the mean of all that the teacher labels is a rate that is known from elsewhere.
    """
    accept: tuple[str, ...] = ()
    """Gates of its release that refuse nothing although they fail, by name; each decision says which it accepted."""
    window_days: Days = 1
    """Rolling window of training days, ending with the partition's day."""
    epochs: Count = 1
    """How often a day's training reads its window."""
    requests_per_batch: Count = 64
    """Batch size in whole requests, so that both arms take the same number of steps."""
    learning_rate: LearningRate = 4e-3
    """Of each training's first step; it falls linearly to 0."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products of training. bfloat16 is taken where the processor is 1.2 times as fast with it; others
    may be slower, so that training stays at float32 there. The checkpoint says which it was."""
    seed: Seed = 0
    """Draws first parameters and batches."""
    release: Release = Release()
    """When it takes the place of what serves."""

    @property
    def served_heads(self) -> tuple[str, ...]:
        """Heads of the distilled checkpoint; the last one serves."""
        return tuple(head for head in self.heads if head not in TEACHER_TASKS)

    @property
    def trained_heads(self) -> tuple[str, ...]:
        """Served heads with parameters of their own; the last one learns from the teacher on considered rows."""
        return tuple(head for head in self.served_heads if head != SCORED_HEAD)

    @property
    def teacher_tasks(self) -> tuple[str, ...]:
        """Tasks that the teacher trains beside the main head and that are not served; empty where it trains a head."""
        return tuple(head for head in self.heads if head in TEACHER_TASKS)

    @property
    def taught_tasks(self) -> tuple[str, ...]:
        """Tasks whose teacher's labels head auxiliary learns."""
        return self.auxiliary_tasks or (self.task,)

    @model_validator(mode="after")
    def _heads_are_known(self) -> "Student":
        distinct = len(set(self.heads)) == len(self.heads)
        both = ("impression", "consideration")
        allowed = (("impression",),) if self.teacher_tasks else (("impression",), both, (*both, SCORED_HEAD))
        if self.served_heads not in allowed or self.heads[0] != "impression" or not distinct:
            raise ValueError(
                "`heads` is [impression], [impression, consideration], [impression, consideration, scored], or "
                "impression followed by some of "
                f"{', '.join(TEACHER_TASKS)}; saw [{', '.join(self.heads)}]"
            )
        if self.auxiliary_tasks and "auxiliary" not in self.heads:
            raise ValueError("`auxiliary_tasks` is for head auxiliary; add it to `heads`")
        return self

    @model_validator(mode="after")
    def _tasks_have_layers_to_share(self) -> "Student":
        if self.task in self.label_tasks:
            raise ValueError(f"`label_tasks`: `{self.task}` is the student's own task")
        if self.label_tasks and not self.architecture.is_network:
            raise ValueError(
                "`label_tasks` share a network's layers, and lightgbm has none; choose another architecture"
            )
        if self.teacher_tasks and not self.architecture.is_network:
            raise ValueError(
                f"`heads`: {' and '.join(self.teacher_tasks)} share a network's layers, and lightgbm has none; choose "
                "another architecture or heads"
            )
        return self

    @model_validator(mode="after")
    def _loss_and_labels_fit_the_rest(self) -> "Student":
        if self.teacher_tasks and self.loss.listwise:
            raise ValueError("`loss.listwise` orders what serves, and these heads' teacher trains tasks that do not")
        if self.loss.temperature != 1 and not self.architecture.is_network:
            raise ValueError("`loss.temperature` is for networks; leave it out or choose another architecture")
        if self.delayed_feedback == "correct" and not self.architecture.is_network:
            raise ValueError(
                "`delayed_feedback: correct` makes labels above 1, which lightgbm does not take; write wait"
            )
        if self.delayed_feedback == "correct" and self.selection is not None:
            raise ValueError("`selection` judges features by labels as seen; write `delayed_feedback: wait`")
        if self.loss.listwise and not self.architecture.is_network:
            raise ValueError("`loss.listwise` is for networks; leave it out or choose another architecture")
        return self
