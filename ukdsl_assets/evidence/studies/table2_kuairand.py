"""Table 2 of the paper on KuaiRand-Pure: real impressions, drawn unshown candidates, a trained teacher."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.evidence.study import Rows, Study, StudyProgress
from ukdsl_assets.evidence.worlds.selection_rules import Parts, compared_rules, measured_scores, tables_of_rules
from ukdsl_assets.frames.splits import halves, withheld
from ukdsl_assets.learning.teachers.trees import fit_teacher, predict_teacher
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.sources.kuairand import KuaiRandReader
from ukdsl_assets.selection.choice import budget_of
from ukdsl_assets.selection.simplified import selection_of
from ukdsl_assets.settings import Settings

STUDENT = "click"


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """The seed draws the unshown candidates, starts the trainings and halves the withheld requests."""
    import torch

    torch.set_num_threads(1)
    cascade, student = declared(settings)
    teacher = cascade.teacher(student.teacher)
    assert isinstance(teacher, TrainedTeacher)
    source = KuaiRandReader(cascade, Settings().kuairand)
    days = [cascade.first_day + timedelta(days=at) for at in range(settings["days"])]
    read = []
    for done, day in enumerate(days, start=1):
        read.append(source.read(day))
        progress(done, len(days) + 2)
    labelled = pl.concat([impressions(cascade, logs) for logs in read])
    kept = ~withheld(labelled["request_id"], cascade.withheld_share)
    fitted = fit_teacher(cascade, teacher, labelled.filter(kept), threads=1)
    judged = pl.concat([logs.candidate_log for logs in read[-settings["student_days"] :]])
    predictions = predict_teacher(fitted, judged, threads=1)
    column = next(name for name in predictions.columns if name.startswith(student.task))
    rows = augmented(student, labelled, judged, predictions.rename({column: "target"}))
    rows = rows.with_columns(withheld=withheld(rows["request_id"], cascade.withheld_share))
    parts = Parts(rows.filter(~pl.col("withheld")), *halves(rows.filter("withheld"), settings["seed"]))
    scores = measured_scores(cascade, student, parts)
    progress(len(days) + 1, len(days) + 2)
    compared, _ = compared_rules("KuaiRand", cascade, student, scores, budget_of(selection_of(student)), parts)
    return compared


def declared(settings: Mapping[str, Any]) -> tuple[Cascade, Student]:
    """The shipped cascade with the seed's draw, and its click student as a network that selects its features."""
    cascade = read_cascade(SHIPPED / "kuairand.yaml")
    selecting = cascade.student(STUDENT).model_copy(
        update={
            "features": "selected",
            "architecture": MlpArchitecture(kind="mlp", hidden=(64, 32)),
            "epochs": settings["epochs"],
            "seed": settings["seed"],
            "selection": Selection(budget=settings["budget"], repeats=1, rows=settings["importance_rows"]),
        }
    )
    drawn = cascade.source.model_copy(update={"seed": settings["seed"]})
    return cascade.model_copy(update={"source": drawn, "students": (selecting,)}), selecting


def impressions(cascade: Cascade, logs: DayOfLogs) -> pl.DataFrame:
    """Shown rows with a label a task, as the SQL model `impressions` has them where every window is a day."""
    rows = logs.candidate_log.filter("shown")
    for task in cascade.tasks:
        happened = logs.event_log.filter(event=task.event).select(KEYS).unique()
        rows = rows.join(happened.with_columns(pl.lit(1.0, pl.Float32).alias(task.name)), on=KEYS, how="left")
        rows = rows.with_columns(pl.col(task.name).fill_null(0.0))
    return rows.sort(KEYS)


def augmented(
    student: Student, labelled: pl.DataFrame, judged: pl.DataFrame, predictions: pl.DataFrame
) -> pl.DataFrame:
    """Rows of teacher_augmented of the judged days, sorted by request, candidate and domain."""
    shown = labelled.join(judged.select(KEYS), on=KEYS, how="semi").with_columns(
        domain=pl.lit(IMP), target=pl.col(student.task)
    )
    considered = judged.join(predictions.select(*KEYS, "target"), on=KEYS).with_columns(domain=pl.lit(CD))
    columns = [name for name in considered.columns if name in shown.columns]
    rows = pl.concat([part.select(columns) for part in (shown, considered)])
    return rows.with_columns(weight=pl.lit(1.0, pl.Float32)).sort(*KEYS, "domain")


STUDY = Study(
    name="table2-kuairand",
    question="Which rule selects features best on KuaiRand-Pure? (Table 2)",
    data="KuaiRand-Pure (semi-real: unshown candidates are drawn), its first {days} days for the teacher, the last "
    "{student_days} of them for the click student as a network; {budget} of the 34 features that pre-ranking knows are "
    "chosen; half of the withheld requests for importance, half to judge; label: clicks, teacher: boosted trees; IMP "
    "by head impression, CD by head consideration; a seed draws candidates and starts trainings, the impressions are "
    "the same",
    version=1,
    measure=measure,
    defaults={"days": 6, "student_days": 3, "epochs": 2, "budget": 12, "importance_rows": 20_000},
    meanings={
        "days": "days, from the first on, that the teacher is trained on",
        "student_days": "last of them, whose rows train the student, measure importance and judge",
        "epochs": "passes over the rows of each training",
        "budget": "features to choose",
        "importance_rows": "most rows of each set that importance is measured on",
    },
    tables=tables_of_rules(),
)
