"""Rows of teacher_augmented of the synthetic world: labels of the shown, a teacher's predictions of the considered."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.selection_world import SelectionWorld
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training

# Considered rows of each request that are kept, of 60.
KEPT = 15
# Parts of the world's requests: for the teacher, for training, for importance, for the comparison of rules.
TEACHER, TRAIN, IMPORTANCE, HELD = range(4)


def declared(world: SelectionWorld, selection: Mapping[str, Any]) -> tuple[Cascade, Student]:
    """The world's cascade and its selecting student, as a YAML file would declare them."""
    features = [
        {"name": name, "kind": "numeric", "side": "candidate", "cost": float(cost)}
        for name, cost in zip(world.names, world.costs, strict=True)
    ]
    cascade = Cascade.model_validate(
        {
            "name": "synthetic",
            "description": "The synthetic world of feature selection.",
            "first_day": date(2026, 1, 1),
            "has_truth": True,
            "stages": [{"name": "pre_ranking"}, {"name": "ranking"}],
            "tasks": [{"name": "click", "event": "click", "attribution_window": "P1D"}],
            "features": features,
            "source": {"kind": "parquet", "path": "nowhere"},
            "teachers": [{"name": "ranker", "kind": "trained", "stage": "ranking"}],
            "students": [
                {
                    "name": "click",
                    "stage": "pre_ranking",
                    "task": "click",
                    "teacher": "ranker",
                    "features": "selected",
                    "architecture": {"kind": "mlp", "hidden": [64, 32]},
                    "epochs": 3,
                    "selection": dict(selection),
                    "seed": world.seed,
                }
            ],
        }
    )
    return cascade, cascade.students[0]


def trained_teacher(
    cascade: Cascade, student: Student, world: SelectionWorld, requests: int, explored: float
) -> FittedStudent:
    """The teacher: a larger network on the labels of shown rows and of some that a randomised policy showed.

    Args:
        explored: share of the requests that showed random candidates; without any it could know nothing below the top.
    """
    rows = world.day(TEACHER, requests, considered=0, explored=explored)
    teacher = student.model_copy(
        update={
            "architecture": MlpArchitecture(kind="mlp", hidden=(128, 64)),
            "features": "all",
        }
    )
    return fit_student(Training.of(cascade, teacher, "baseline", _labelled(rows))).student


def augmented(teacher: FittedStudent, world: SelectionWorld, part: int, requests: int) -> pl.DataFrame:
    """Rows of one part of the world's requests as in teacher_augmented, with their truth."""
    rows = world.day(part, requests, KEPT)
    shown = _labelled(rows.filter("shown"))
    considered = rows.filter("considered")
    target = predict_student(teacher, considered)["impression"]
    considered = considered.with_columns(domain=pl.lit(CD), target=pl.Series(np.asarray(target, np.float32)))
    columns = [*shown.columns]
    weighted = considered.with_columns(weight=pl.lit(1.0, pl.Float32)).select(columns)
    return pl.concat([shown, weighted]).sort(*KEYS, "domain")


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    named = rows.with_columns(domain=pl.lit(IMP), target=pl.col("label"), weight=pl.lit(1.0, pl.Float32))
    return named.drop("label", "shown", "considered")
