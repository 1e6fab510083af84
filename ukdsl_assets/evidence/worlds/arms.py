"""The arms that studies compare: a student's training, changed in what the arm is about, day after day."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt, shift_to_mean
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.students.training import Training

# Production trains its own pre-ranking at this rate, one epoch a day.
PRODUCTION_RATE = 1e-3
IMPRESSION, CONSIDERATION = "impression", "consideration"


@dataclass(frozen=True)
class Recipe:
    """An arm.

    arm: labels alone, or labels and teacher. student, loss: fields of the declaration that differ from the shipped one.
    platt: a Platt layer on the only head, fitted to the teacher's considered rows, stands for the consideration head.
    debias: what is done to the teacher's logits before it teaches: nothing; a shift after which it agrees with the
        labels of the last `debias_days` days' shown rows; or a line (Platt) fitted to those, then shifted to today's.
    teacher_days: daily checkpoints of the teacher whose mean prediction is the label (1: as logged).
    kept_share: of the considered rows, drawn likelier the higher the teacher's prediction, and weighted.
    probe_rate: share of the rejected rows of training requests that the teacher labels too, each of weight 1 / rate.
    """

    name: str
    arm: Arm = "distilled"
    student: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    platt: bool = False
    debias: Literal["none", "shift", "line"] = "none"
    debias_days: int = 1
    teacher_days: int = 1
    kept_share: float = 1.0
    probe_rate: float = 0.0

    def of(self, student: Student) -> Student:
        """The student as this arm declares it: two heads, a loss of labels and teacher alone, and what it adds."""
        loss = student.loss.model_copy(update={"listwise": 0.0, **self.loss})
        heads = {"heads": (IMPRESSION, CONSIDERATION)}
        return student.model_copy(update={**heads, **self.student, "loss": loss})


class Learner:
    """One arm as it is trained day by day, warm-started as the graph does it."""

    def __init__(self, recipe: Recipe, cascade: Cascade, student: Student) -> None:
        self.recipe, self.cascade, self.student = recipe, cascade, recipe.of(student)
        self.fitted: FittedStudent | None = None
        self.line = (1.0, 0.0)
        self.seconds = 0.0
        self._window: deque[pl.DataFrame] = deque(maxlen=self.student.window_days)
        self._shown: deque[pl.DataFrame] = deque(maxlen=recipe.debias_days)

    def train(self, rows: pl.DataFrame) -> None:
        """Learn from a day's rows of `augmented` that are not withheld."""
        started = time.process_time()
        if self.recipe.teacher_days > 1:
            is_considered = pl.col("domain") == CD
            rows = rows.with_columns(
                target=pl.when(is_considered).then("averaged").otherwise("target"), teacher=pl.col("averaged")
            )
        if self.recipe.debias != "none":
            self._shown.append(rows.filter(domain=IMP).select("teacher", "target"))
            rows = debiased(rows, self._shown, self.recipe.debias)
        if self.recipe.kept_share < 1:
            rows = subsampled(rows, self.recipe.kept_share)
        self._window.append(rows)
        trained = pl.concat(list(self._window))
        self.fitted = fit_student(
            Training.of(self.cascade, self.student, self.recipe.arm, trained, previous=self.fitted)
        ).student
        if self.recipe.platt:
            taught = rows.filter(domain=CD)
            own = predict_student(self.fitted, taught)[IMPRESSION]
            self.line = fit_platt(own, taught["target"].to_numpy())
        self.seconds += time.process_time() - started

    def predict(self, rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        """Probabilities of each head, float32 [rows]; the last one serves."""
        assert self.fitted is not None
        heads = predict_student(self.fitted, rows)
        if self.recipe.platt:
            heads[CONSIDERATION] = apply_platt(heads[IMPRESSION], *self.line)
        return heads


def debiased(rows: pl.DataFrame, shown: Sequence[pl.DataFrame], how: Literal["shift", "line"]) -> pl.DataFrame:
    """Rows whose teacher's targets are moved, in the logit, to agree with the labels of shown rows.

    What is shown was chosen by the teacher's own prediction and by what it does not know, so at equal predictions shown
    and unshown rows click alike: a line in the logit, fitted to the shown, holds for all. A shift alone makes up for
    the overstatement of what was chosen, and so takes too much from the rest.

    Args:
        shown: `teacher` and `target` (the label) of the shown rows of the last days, today's last.
    """
    every, today = pl.concat(list(shown)), shown[-1]
    slope, shift = 1.0, 0.0
    if how == "line":
        slope, _ = fit_platt(every["teacher"].to_numpy(), every["target"].to_numpy())
        every = today
    straight = sigmoid(slope * logit(every["teacher"].to_numpy())).astype(np.float32)
    shift = shift_to_mean(straight, every["target"].to_numpy())
    moved = sigmoid(slope * logit(rows["teacher"].to_numpy()) + shift).astype(np.float32)
    is_considered = pl.col("domain") == CD
    return rows.with_columns(target=pl.when(is_considered).then(pl.Series(moved)).otherwise("target"))


def subsampled(rows: pl.DataFrame, share: float, seed: int = 0) -> pl.DataFrame:
    """A share of the considered rows, likelier the higher their target, each weighted by 1 / its chance."""
    considered = (rows["domain"] == CD).to_numpy()
    target = rows["target"].to_numpy().astype(np.float64)
    # Half of the share is spread evenly, so that no weight exceeds 2 / share.
    chance = share * (0.5 + 0.5 * target / target[considered].mean())
    chance = np.where(considered, chance.clip(max=1), 1.0)
    day = int(rows["request_id"][0])
    kept = np.random.default_rng((seed, day)).random(len(rows)) < chance
    weight = (rows["weight"].to_numpy() / chance).astype(np.float32)
    return rows.with_columns(weight=pl.Series(weight)).filter(pl.Series(kept))


def recipes(names: Sequence[str]) -> list[Recipe]:
    """The named arms, in this order; KeyError for an unknown one."""
    return [RECIPES[name] for name in names]


def _one_head(weight: float) -> Recipe:
    return Recipe(f"one head, weight {weight:g}", student={"heads": (IMPRESSION,)}, loss={"consideration": weight})


_CONTROLS = [
    Recipe("baseline", "baseline", student={"learning_rate": PRODUCTION_RATE}),
    # As many steps a row as the distilled arms, and, by training on so many days' labels, as much CPU time.
    Recipe("equal-effort control", "baseline"),
    Recipe("equal-CPU control", "baseline", student={"window_days": 3}),
    Recipe("Platt layer", "baseline", platt=True),
]
_TWO_HEADS = [
    Recipe("two heads"),
    Recipe("two heads, listwise", loss={"listwise": 0.5}),
    Recipe("two heads, listwise 5", loss={"listwise": 5.0}),
]
# Tried on worlds of seed 100 and up.
_TRIED = [
    Recipe("teacher shifted to today's labels", debias="shift"),
    Recipe("teacher shifted to 7 days' labels", debias="shift", debias_days=7),
    Recipe("teacher by a line of 7 days", debias="line", debias_days=7),
    Recipe("teacher by a line of 14 days", debias="line", debias_days=14),
    Recipe("weight 3", loss={"consideration": 3.0}),
    Recipe("weight 30", loss={"consideration": 30.0}),
    Recipe("listwise 2", loss={"listwise": 2.0}),
    Recipe("listwise 5", loss={"listwise": 5.0}),
    Recipe("listwise 20", loss={"listwise": 20.0}),
    Recipe("listwise 5, window of 3 days", loss={"listwise": 5.0}, student={"window_days": 3}),
    Recipe("rate 2e-3", student={"learning_rate": 2e-3}),
    Recipe("rate 8e-3", student={"learning_rate": 8e-3}),
    Recipe("2 epochs", student={"epochs": 2}),
    Recipe("window of 2 days", student={"window_days": 2}),
    Recipe("window of 3 days", student={"window_days": 3}),
    Recipe("batches of 128, rate 6e-3", student={"requests_per_batch": 128, "learning_rate": 6e-3}),
    Recipe("batches of 256, rate 8e-3", student={"requests_per_batch": 256, "learning_rate": 8e-3}),
    Recipe("teacher of 3 checkpoints", teacher_days=3),
    Recipe("half of the considered rows", kept_share=0.5),
    Recipe("label smoothing 0.1", loss={"label_smoothing": 0.1}),
]
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (*_CONTROLS, *(_one_head(w) for w in (0.3, 1.0, 3.0)), *_TWO_HEADS, *_TRIED)
}
