"""What a teacher says on shown rows against what happened there: on withheld impressions and on exploration."""

from dataclasses import replace

import numpy as np
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_teachers import Teacher
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.audit import judge_teacher, labels_valid
from ukdsl_assets.references import tasks_taught

KEYS = ["request_id", "candidate_id"]


def teacher_rules(cascade: Cascade, teacher: Teacher) -> dict[str, str]:
    """Names of the gates of `audit_teacher` and what they demand."""
    rules = {"labels_valid": "Labels are in [0, 1], one a row, and none is missing for what its stage scored."}
    for task in tasks_taught(cascade, teacher):
        rules[f"{task}_calibrated_on_withheld_impressions"] = f"{task}: the teacher agrees with withheld labels."
        rules[f"{task}_calibrated_on_exploration"] = f"{task}: it agrees with labels of rows that were shown at random."
    return rules


def audit_teacher(
    cascade: Cascade,
    teacher: Teacher,
    impressions: pl.DataFrame,
    labels: pl.DataFrame,
    withheld: pl.Series,
) -> list[GateResult]:
    """Judge a teacher's labels on the day's impressions, in the order of `teacher_rules`.

    A trained teacher has seen the impressions that are not withheld, exploration rows too, so both gates use
    withheld rows; a logged teacher was trained before the day, so exploration rows all count. The calibration of a
    teacher from another cascade, whose rates are its own, only tells: whether it may teach is for
    `teacher_evaluation.judge_against_constant`.

    Args:
        impressions: request_id, candidate_id, deepest_stage, explored and a label column a task.
        labels: request_id, candidate_id and `<task>_prediction`.
        withheld: Boolean, a row of `impressions` each.
    """
    reached = [stage.name for stage in cascade.stages][cascade.depth(teacher.stage) :]
    shown = impressions.with_columns(withheld.alias("withheld")).filter(pl.col("deepest_stage").is_in(reached))
    results = [labels_valid(labels, shown.select(KEYS))]
    rows = shown.join(labels, on=KEYS, how="inner")
    for task in tasks_taught(cascade, teacher):
        labelled = rows.filter(pl.col(task).is_not_null())
        explored = labelled.filter(pl.col("explored") & (pl.col("withheld") | (teacher.kind == "logged")))
        for where, chosen, bounds in (
            ("withheld_impressions", labelled.filter("withheld"), "teacher_calibration"),
            ("exploration", explored, "teacher_exploration"),
        ):
            prediction, label = chosen[f"{task}_prediction"].to_numpy(), chosen[task].to_numpy()
            found = judge_teacher(cascade, task, f"{task}_calibrated_on_{where}", prediction, label, bounds)
            only_tells = teacher.kind == "cross_domain" and np.isfinite(prediction).all()
            results.append(replace(found, severity="WARN") if only_tells else found)
    return results
