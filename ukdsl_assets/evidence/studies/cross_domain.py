"""Zero-shot distillation from a large surface to small ones (arXiv 2603.28994): arms against the target's own baseline.

Two pairs: KuaiRand's tab 1 and its tabs 0, 6, 4 and 2, whose users are resampled (semi-real), and two surfaces of a
simulated world with a hundredth of the traffic. In each, two ranking students with several tasks learn on the small
surface, the baseline with equal effort; the teacher has seen the large surface alone.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS, label_column
from ukdsl_assets.declaration.students import LossWeights, Student
from ukdsl_assets.declaration.teachers import CrossDomainTeacher, TrainedTeacher
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.cross_domain_rows import (
    FIRST_JUDGED,
    Surface,
    kuairand_candidates,
    kuairand_cascade,
    kuairand_surface,
    resampled,
)
from ukdsl_assets.learning.cross_domain import recalibration
from ukdsl_assets.learning.cross_domain.evaluation import evaluate_teacher
from ukdsl_assets.learning.cross_domain.foreign import translated
from ukdsl_assets.learning.cross_domain.recalibration import fit_line
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student, student_hidden_layer
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers.trees import FittedTeacher, fit_teacher, predict_teacher
from ukdsl_assets.settings import Settings

TABS = (0, 6, 4, 2)
# Settings of all students and arms, and what they are.
OF_STUDENTS = {
    "weight": "weight of the teacher's loss in every arm",
    "epochs": "passes over the rows of each training",
    "learning_rate": "of each training's first step; it falls linearly to 0",
    "requests_per_batch": "batch size in requests",
}
NONE, RECALIBRATED = "none (baseline)", "direct, recalibrated"
# What each arm declares; the baseline is the arm of labels alone.
ARMS: dict[str, dict[str, Any]] = {
    "direct": {"heads": ("impression",)},
    RECALIBRATED: {"heads": ("impression",)},
    "auxiliary": {"heads": ("impression", "auxiliary")},
    "auxiliary, all tasks": {"heads": ("impression", "auxiliary"), "auxiliary_tasks": None},
    "representation": {"heads": ("impression", "representation")},
}


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """All arms on all small tabs for one draw of users.

    Raises:
        SourceError: there is no folder of KuaiRand-Pure.
    """
    seed, folder = settings["seed"], Settings().kuairand
    large = kuairand_cascade(1, 1)
    rows = kuairand_candidates(large, folder, scratch).filter("shown", pl.col("day") < FIRST_JUDGED)
    teacher = SourceModels(large, resampled(rows, seed).drop("day"), settings["trees"])
    progress(1, len(TABS) + 1)
    tables = empty()
    for done, tab in enumerate(TABS, start=2):
        surface = kuairand_surface(tab, settings["unshown"], folder, scratch, seed)
        for name, lines in surface_rows(f"tab {tab}", teacher, surface, settings).items():
            tables[name] += lines
        progress(done, len(TABS) + 1)
    return tables


def empty() -> Rows:
    """The tables of one seed, without rows."""
    return {"teachers": [], "impressions": [], "considered": []}


class SourceModels:
    """The large surface's models: boosted trees whose predictions teach, and a network whose hidden layer does."""

    def __init__(self, cascade: Cascade, impressions: pl.DataFrame, trees: int) -> None:
        self.cascade = cascade
        stage = cascade.stages[-1].name
        declared = TrainedTeacher(name="foundation", kind="trained", stage=stage, trees=trees)
        self.trees: FittedTeacher = fit_teacher(cascade, declared, impressions, threads=1)
        task, *others = (declared_task.name for declared_task in cascade.tasks)
        student = Student(
            name="network", stage=stage, task=task, teacher="foundation", heads=("impression",),
            architecture=MlpArchitecture(kind="mlp", hidden=(64, 32)), label_tasks=tuple(others),
            requests_per_batch=256,
        )  # fmt: skip
        rows = impressions.with_columns(domain=pl.lit(IMP), target=pl.col(task), weight=pl.lit(1.0, pl.Float32))
        self.network: FittedStudent = fit_student(Training.of(cascade, student, "baseline", rows)).student

    def label(self, mapping: CrossDomainTeacher, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with `<task>_prediction` of every task and `representation`, zero-shot."""
        source_rows = translated(mapping, self.trees.features, rows)
        labels = predict_teacher(self.trees, source_rows, threads=1).drop(KEYS)
        layer = student_hidden_layer(self.network, source_rows)
        return rows.hstack(labels).with_columns(
            pl.Series("representation", layer, pl.Array(pl.Float32, layer.shape[1]))
        )


def mapping_of(surface: Surface, teacher: SourceModels) -> CrossDomainTeacher:
    """The shipped teacher's mapping, for the trees of all features and for every task."""
    shipped = surface.cascade.teachers[0]
    assert isinstance(shipped, CrossDomainTeacher)
    tasks = {task.name: task.name for task in surface.cascade.tasks}
    missing = {
        feature.name: (0.0,) * (feature.width or 1)
        for feature in teacher.trees.features
        if feature.kind == "vector" and feature.name == "user_profile_detail"
    }
    return shipped.model_copy(update={"tasks": tasks, "defaults": {**shipped.defaults, **missing}})


def surface_rows(name: str, teacher: SourceModels, surface: Surface, settings: Mapping[str, Any]) -> Rows:
    """One small surface: the teacher as it is, and every arm of both students against the baseline."""
    mapping = mapping_of(surface, teacher)
    train, judged = (teacher.label(mapping, rows) for rows in (surface.train, surface.judged))
    tasks = [task.name for task in surface.cascade.tasks]
    shown = judged.filter("shown")
    figures = evaluate_teacher(
        shown.select(*KEYS, *(label_column(task) for task in tasks)), shown.select(*KEYS, *tasks), tasks
    )
    tables: Rows = {
        "teachers": [{"surface": name, **row} for row in figures.to_dicts()],
        "impressions": [],
        "considered": [],
    }
    for student in students(surface.cascade, settings):
        held = rows_of(student, judged)
        predictions: dict[tuple[str, str], NDArray[np.float32]] = {}
        rows, level = rows_of(student, train), rows_of(student, recalibrated_by_labels(student, train))
        for arm in (NONE, *ARMS):
            fitted = trained_arm(surface.cascade, student, arm, level if arm == RECALIBRATED else rows, settings)
            key = "baseline" if arm == NONE else arm
            predictions[key, "impression"] = predict_student(fitted, held)["impression"]
        table = evaluate(held, predictions).to_dicts()
        own = {(row["domain"], row["reference"]): row for row in table if row["arm"] == "baseline"}
        for row in table:
            place = row["domain"], row["reference"]
            arm = NONE if row["arm"] == "baseline" else row["arm"]
            line = {
                "surface": name,
                "student": student.name,
                "arm": arm,
                "NE": row["ne"],
                "calibration": row["calibration"],
                "AUC": row["auc"],
            }
            if arm != NONE:
                line |= {"NE change": row["ne_change"], "AUC change": row["auc"] - own[place]["auc"]}
            if place == (IMP, "label"):
                tables["impressions"].append(line)
            elif place == (CD, "truth"):
                tables["considered"].append(line)
    return tables


def recalibrated_by_labels(student: Student, train: pl.DataFrame) -> pl.DataFrame:
    """Rows whose labels by the teacher are moved along a line in the logit that fits the surface's own labels best."""
    name = label_column(student.task)
    shown = train.filter(pl.col(student.task).is_not_null())
    line = fit_line(shown[name].to_numpy(), shown[student.task].to_numpy())
    return recalibration.recalibrated(train, {student.task: line})


def students(cascade: Cascade, settings: Mapping[str, Any]) -> list[Student]:
    """The two ranking students: a main task each, the labels of the cascade's other task beside it."""
    tasks = [task.name for task in cascade.tasks]
    shared = {
        "stage": cascade.stages[-1].name,
        "teacher": cascade.teachers[0].name,
        **{name: settings[name] for name in ("epochs", "learning_rate", "requests_per_batch")},
    }
    widths = {"hidden": (32, 16)}
    if any(task.given for task in cascade.tasks):
        # One task alone has enough labels: the two students differ in their network.
        two = [(f"{tasks[0]}_{kind}", tasks[0], {"kind": kind, **widths}) for kind in ("mlp", "dcn_v2")]
    else:
        two = [(task, task, {"kind": "mlp", **widths}) for task in tasks]
    return [
        Student.model_validate(
            {
                "name": name,
                "task": task,
                "architecture": network,
                "label_tasks": [t for t in tasks if t != task],
                **shared,
            }
        )
        for name, task, network in two
    ]


def trained_arm(
    cascade: Cascade, student: Student, arm: str, rows: pl.DataFrame, settings: Mapping[str, Any]
) -> FittedStudent:
    """One arm on the surface's training rows, with the baseline's epochs, steps and learning rate."""
    if arm == NONE:
        return fit_student(Training.of(cascade, student, "baseline", rows)).student
    changes = dict(ARMS[arm])
    if "auxiliary_tasks" in changes:
        changes["auxiliary_tasks"] = tuple(task.name for task in cascade.tasks)
    loss = LossWeights(consideration=settings["weight"], representation=settings["weight"])
    return fit_student(
        Training.of(cascade, student.model_copy(update={**changes, "loss": loss}), "distilled", rows)
    ).student


def rows_of(student: Student, labelled: pl.DataFrame) -> pl.DataFrame:
    """Rows as `teacher_augmented` has them for the student: shown ones by their label, all by the teacher's."""
    weight = pl.lit(1.0, pl.Float32).alias("weight")
    impressions = labelled.filter(pl.col(student.task).is_not_null()).with_columns(
        weight, domain=pl.lit(IMP), target=pl.col(student.task)
    )
    taught = labelled.with_columns(weight, domain=pl.lit(CD), target=pl.col(label_column(student.task)))
    return pl.concat([impressions, taught]).sort(*KEYS, "domain")


def aims_of(lines: Iterable[tuple[str, str]]) -> tuple[Aim, ...]:
    """That arms beat the baseline on each (surface, student)."""
    return tuple(
        Aim(
            f"{surface}, {student}: {arm} below the baseline's NE",
            "impressions",
            {"surface": surface, "student": student, "arm": arm},
            "NE change",
            high=0.0,
        )
        for surface, student in lines
        for arm in (RECALIBRATED, "auxiliary, all tasks")
    )


_KEYS = ("surface", "student", "arm")
TEACHERS = TableOf(
    "teachers",
    "The teacher as it is, on impressions of the small surface against labels",
    ("surface", "task"),
    {"calibration": ".2f", "ne": ".3f", "auc": ".3f"},
)
IMPRESSIONS = TableOf(
    "impressions",
    "Students on impressions against labels; changes are against the same seed's baseline, of equal effort",
    _KEYS,
    {"NE": ".4f", "NE change": "+.2%", "AUC": ".4f", "AUC change": "+.4f", "calibration": ".3f"},
)
CONSIDERED = TableOf(
    "considered",
    "Students on all ranked candidates against the true probabilities",
    _KEYS,
    {"NE": ".4f", "NE change": "+.2%", "calibration": ".3f"},
)
STUDY = Study(
    name="cross-domain",
    question="Does a small surface learn from a large one's model, used as it is? (KuaiRand's tabs)",
    data="KuaiRand-Pure (Gao et al., CIKM 2022; CC BY-SA 4.0), semi-real: tab 1 teaches tabs 0, 6, 4 and 2; users "
    "drawn with replacement; trained on 25 April to 4 May 2022, judged on 5 to 8 May; labels: clicks and long views; "
    "head: main",
    version=1,
    measure=measure,
    defaults={
        "trees": 100,
        "unshown": 1,
        "weight": 1.0,
        "epochs": 1,
        "learning_rate": 3e-3,
        "requests_per_batch": 32,
    },
    meanings={
        "trees": "most trees of the teacher",
        "unshown": "candidates drawn beside each shown one",
        **OF_STUDENTS,
    },
    tables=(TEACHERS, IMPRESSIONS),
    aims=aims_of([(f"tab {tab}", task) for tab in TABS for task in ("is_click", "long_view")]),
)
