"""Table 3 of the paper over many simulated worlds: a foundation teacher's tasks beside the last stage's main task."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import FoundationTeacher
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.ranked_days import augmented, ranked_days
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers.foundation import FittedFoundation, fit_foundation, predict_foundation

BASELINE, BOTH = "baseline (equal-effort control)", "dependent + auxiliary"
# Arm -> the heads of the student's declaration, and what else of it differs from the shipped one.
ARMS: dict[str, tuple[Arm, tuple[str, ...], dict[str, Any]]] = {
    BASELINE: ("baseline", ("impression",), {}),
    "baseline, 4 epochs (as many rows)": ("baseline", ("impression",), {"epochs": 4}),
    "dependent task only": ("distilled", ("impression", "dependent"), {}),
    "auxiliary task only": ("distilled", ("impression", "auxiliary"), {}),
    BOTH: ("distilled", ("impression", "dependent", "auxiliary"), {}),
    "dependent only, twice the weight": ("distilled", ("impression", "dependent"), {"weight": 2}),
    "auxiliary only, twice the weight": ("distilled", ("impression", "auxiliary"), {"weight": 2}),
}
PLACES = ((IMP, "label"), (IMP, "truth"), (CD, "teacher"), (CD, "truth"))


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """One world: the last stage is trained on labels until, a few days before the end, the teacher's tasks come in.

    Every arm starts from that model and goes on daily; all are judged on the withheld requests of the last days.
    """
    import torch

    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_last_stage.yaml")
    student, teacher = cascade.student("ranking_click"), _foundation(cascade)
    arms = {name: _declared(student, *ARMS[name][1:]) for name in settings["arms"]}
    days, taught = settings["days"], settings["days"] - settings["taught"]
    window: deque[pl.DataFrame] = deque(maxlen=teacher.window_days)
    before: FittedStudent | None = None
    fitted: dict[str, FittedStudent | None] = {}
    held: list[pl.DataFrame] = []
    predictions: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    seconds = dict.fromkeys([*arms, TEACHER], 0.0)
    for day, rows in enumerate(ranked_days(settings, scratch, cascade)):
        window.append(rows.filter(pl.col("shown") & ~pl.col("withheld")))
        if day < taught:
            before = fit_student(
                Training.of(cascade, student, "baseline", _labelled(window[-1], student), previous=before)
            ).student
            progress(day + 1, days)
            continue
        started = time.process_time()
        labels = predict_foundation(_taught(cascade, teacher, window), rows, threads=1)
        seconds[TEACHER] += time.process_time() - started
        with_teacher = augmented(rows, labels, student)
        trained = with_teacher.filter(~pl.col("withheld"))
        for name, declared in arms.items():
            started = time.process_time()
            fit = fit_student(Training.of(cascade, declared, ARMS[name][0], trained, previous=fitted.get(name, before)))
            fitted[name] = fit.student
            seconds[name] += time.process_time() - started
        if day >= days - settings["judged"]:
            held.append(with_teacher.filter("withheld"))
            for name, model in fitted.items():
                assert model is not None
                prediction = predict_student(model, held[-1])["impression"]
                predictions.setdefault((name, "impression"), []).append(prediction)
            own = held[-1]["click_prediction"].to_numpy()
            predictions.setdefault((TEACHER, "impression"), []).append(own)
        progress(day + 1, days)
    joined = {key: np.concatenate(parts) for key, parts in predictions.items()}
    # `evaluate` compares with the arm named baseline.
    judged = evaluate(pl.concat(held), {("baseline", "impression"): joined[BASELINE, "impression"], **joined})
    per_day = {name: spent / settings["taught"] for name, spent in seconds.items()}
    return tables_of(judged.filter(pl.col("arm") != "baseline"), per_day)


TEACHER = "foundation teacher (not served)"


def tables_of(judged: pl.DataFrame, seconds: Mapping[str, float]) -> Rows:
    """The evaluation of one world as rows of the study's tables."""
    change, calibration, auc = [], [], []
    for arm in judged["arm"].unique(maintain_order=True):
        mine = {f"{row['domain']}, {row['reference']}": row for row in judged.filter(arm=arm).to_dicts()}
        change.append({"arm": arm, **{place: row["ne_change"] for place, row in mine.items()}})
        calibration.append({"arm": arm, **{place: row["calibration"] for place, row in mine.items()}})
        calibration[-1]["CPU seconds a day"] = seconds[arm]
        auc.append({"arm": arm, "IMP, label": mine["IMP, label"]["auc"], "CD, truth": mine["CD, truth"]["auc"]})
    by_arm = {row["arm"]: row for row in change}
    places = [f"{domain}, {reference}" for domain, reference in PLACES]
    pairs = [(BOTH, other) for other in ARMS if other in by_arm and other not in (BASELINE, BOTH)]
    against = [
        {"arms": f"{one} against {other}"}
        | {place: (1 + by_arm[one][place]) / (1 + by_arm[other][place]) - 1 for place in places}
        for one, other in pairs
        if one in by_arm
    ]
    return {"ne": change, "calibration": calibration, "auc": auc, "both": against}


def _foundation(cascade: Cascade) -> FoundationTeacher:
    teacher = cascade.teacher("foundation")
    assert teacher.kind == "foundation"
    return teacher


def _declared(student: Student, heads: tuple[str, ...], changes: Mapping[str, Any]) -> Student:
    """The student with an arm's heads and `changes`, in which weight is a factor of the teacher's."""
    others = {name: value for name, value in changes.items() if name != "weight"}
    weight = student.loss.consideration * changes.get("weight", 1)
    loss = student.loss.model_copy(update={"consideration": weight})
    return student.model_copy(update={"heads": heads, "loss": loss, **others})


def _labelled(rows: pl.DataFrame, student: Student) -> pl.DataFrame:
    one = pl.lit(1.0, pl.Float32)
    return rows.with_columns(domain=pl.lit(IMP), target=pl.col(student.task), weight=one)


def _taught(cascade: Cascade, teacher: FoundationTeacher, window: deque[pl.DataFrame]) -> FittedFoundation:
    rows = pl.concat(list(window))
    return fit_foundation(cascade, teacher, [lambda: rows])


_PAPER = "paper, production: "
_COLUMNS = [f"{domain}, {reference}" for domain, reference in PLACES]
_AIMS = tuple(
    Aim(f"{arm}: IMP NE below the equal-effort control's", "ne", {"arm": arm}, "IMP, label", high=0.0)
    for arm in ("dependent task only", "auxiliary task only", BOTH)
) + tuple(
    Aim(f"{BOTH} better than the {other}", "both", {"arms": f"{BOTH} against {other}"}, "IMP, label", high=0.0)
    for other in ("dependent task only", "auxiliary task only")
)
STUDY = Study(
    name="table3",
    question="What do a foundation teacher's dependent and auxiliary tasks do to the last stage? (Table 3)",
    data="Simulated cascade, {requests:,} requests a day; the last stage's mlp is trained on labels daily from a "
    "random start, and for the last {taught} of {days} days in every arm, from the same model, with the same steps, "
    "rate and epochs; judged on the withheld fifth of the requests of the last {judged} days; label: clicks, teacher: "
    "a foundation network trained anew daily on all days so far, truth: the simulated probabilities; IMP: shown rows, "
    "CD: ranked and not shown; head: the main task, which alone is served",
    version=1,
    measure=measure,
    defaults={"requests": 5_000, "days": 12, "taught": 4, "judged": 3, "arms": list(ARMS)},
    meanings={
        "requests": "requests a day",
        "days": "days in all; before the teacher teaches, labels alone train",
        "taught": "last days on which the teacher teaches",
        "judged": "last days whose withheld requests count",
        "arms": "ways to train the last stage",
    },
    tables=(
        TableOf(
            "ne",
            "NE relative to the baseline of equal effort",
            keys=("arm",),
            figures=dict.fromkeys(_COLUMNS, "+.2%"),
            beside=(
                {"arm": _PAPER + "dependent task only", "IMP, label": "-0.151%"},
                {"arm": _PAPER + "auxiliary task only", "IMP, label": "-0.159%"},
                {"arm": _PAPER + "dependent + auxiliary", "IMP, label": "-0.163%"},
            ),
        ),
        TableOf("both", "NE of both tasks relative to other arms", ("arms",), dict.fromkeys(_COLUMNS, "+.3%")),
        TableOf(
            "calibration",
            "Calibration: mean prediction over mean reference, by data and reference",
            keys=("arm",),
            figures={**dict.fromkeys(_COLUMNS, ".3f"), "CPU seconds a day": ".2f"},
        ),
        TableOf("auc", "AUC", ("arm",), {"IMP, label": ".4f", "CD, truth": ".4f"}),
    ),
    aims=_AIMS,
)
