"""What may order the modules of an item page, learnt from the logs of a static configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS, label_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import FoundationTeacher
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers import trained as teacher_models
from ukdsl_assets.logs.sources.simulated_item_page import candidate_rows
from ukdsl_assets.simulation.item_page import PageViews, ServedPages

TASKS = ("click", "purchase")
# (keys and features of the modules of page views, those page views, task) -> float [R, 12].
ModuleRanker = Callable[[pl.DataFrame, PageViews, str], np.ndarray]
# A click rate of fewer expected clicks is pulled to the module's own.
PRIOR_CLICKS = 5.0


@dataclass
class StudentRanker:
    """One arm: a student for each task, trained day by day as in the graph."""

    cascade: Cascade
    arm: Arm
    students: Mapping[str, Student]
    fitted: dict[str, FittedStudent] = field(default_factory=dict)

    def train(self, rows: Mapping[str, pl.DataFrame]) -> None:
        """One more day; rows: of `augmented`."""
        for task, student in self.students.items():
            self.fitted[task] = fit_student(
                Training.of(self.cascade, student, self.arm, rows[task], previous=self.fitted.get(task))
            ).student

    def __call__(self, rows: pl.DataFrame, views: PageViews, task: str) -> np.ndarray:
        """The predictions of the head that serves."""
        fitted = self.fitted[task]
        return predict_student(fitted, rows)[fitted.heads[-1]].reshape(views.modules.shape)


@dataclass(frozen=True)
class TeacherRanker:
    """The foundation teacher as a ranker, which it is too large to be."""

    fitted: teacher_models.Fitted

    def __call__(self, rows: pl.DataFrame, views: PageViews, task: str) -> np.ndarray:
        labels = teacher_models.predict(self.fitted, rows, 1)
        return labels[label_column(task)].to_numpy().reshape(views.modules.shape)


def students_of(cascade: Cascade, with_slot: bool) -> dict[str, Student]:
    """The shipped students by task, with or without the slot among their features."""
    names = tuple(feature.name for feature in cascade.features if with_slot or feature.served_as is None)
    return {student.task: student.model_copy(update={"features": names}) for student in cascade.students}


def labelled_modules(served: ServedPages, day: int) -> pl.DataFrame:
    """A day's candidate log with both labels, null where there is none: [R * 12] rows by key."""
    columns = {}
    purchased = np.where(served.clicked, served.purchased, np.nan)
    for task, label in (("click", served.clicked), ("purchase", purchased)):
        of_modules = np.full(served.views.modules.shape, np.nan, np.float32)
        np.put_along_axis(of_modules, served.shown, label.astype(np.float32), axis=1)
        columns[task] = pl.Series(of_modules.ravel()).fill_nan(None)
    midnight = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return candidate_rows(served, day, midnight).with_columns(**columns)


def trained_teacher(cascade: Cascade, impressions: Sequence[pl.DataFrame]) -> TeacherRanker:
    """The foundation teacher, trained on the impressions of all days so far."""
    teacher = cascade.teacher("foundation")
    assert isinstance(teacher, FoundationTeacher)
    return TeacherRanker(
        teacher_models.fit(cascade, teacher, [partial(_itself, rows) for rows in impressions], threads=1)
    )


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def augmented(cascade: Cascade, candidates: pl.DataFrame, teacher: TeacherRanker) -> dict[str, pl.DataFrame]:
    """Rows of `teacher_augmented` by task: labels of what was shown, the teacher's of everything."""
    scored = candidates.with_columns(as_scored(cascade.features))
    labels = teacher_models.predict(teacher.fitted, scored, 1)
    by_task = {}
    for task in TASKS:
        shown = candidates.filter(pl.col(task).is_not_null())
        parts = [
            shown.with_columns(domain=pl.lit(IMP), target=pl.col(task)),
            scored.with_columns(domain=pl.lit(CD), target=labels[label_column(task)]),
        ]
        rows = pl.concat(parts).with_columns(weight=pl.lit(1.0, pl.Float32))
        by_task[task] = rows.sort(*KEYS, "domain")
    return by_task


def click_rates(impressions: pl.DataFrame) -> np.ndarray:
    """Clicks over those expected in the slots where a module was shown, float64 [categories, modules].

    An impression is expected to be clicked as often as its slot is.
    """
    counted = impressions.with_columns(expected=pl.col("click").mean().over("slot"))
    category, module = counted["item_category"].to_numpy(), counted["module"].to_numpy() - 1
    shape = (category.max() + 1, module.max() + 1)
    clicks, expected = (
        np.bincount(category * shape[1] + module, counted[name].to_numpy(), shape[0] * shape[1]).reshape(shape)
        for name in ("click", "expected")
    )
    of_module = clicks.sum(0) / expected.sum(0)
    return np.asarray((clicks + PRIOR_CLICKS * of_module) / (expected + PRIOR_CLICKS))
