"""What a teacher says on shown rows against what happened there: on withheld impressions and on exploration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_teachers import Teacher
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.audit import judge_teacher, labels_valid
from ukdsl_assets.learning.teacher_sums import KEYS, Agreement, LabelCounts
from ukdsl_assets.references import tasks_taught

# Which rows of a task a gate is about, and the cascade's bounds for them.
BOUNDS = {"withheld_impressions": "teacher_calibration", "exploration": "teacher_exploration"}


@dataclass(frozen=True)
class TeacherSums:
    """What a teacher's gates are judged by: counts of its labels, and (task, which rows) -> their agreement."""

    labels: LabelCounts
    agreement: Mapping[tuple[str, str], Agreement]

    def __add__(self, other: "TeacherSums") -> "TeacherSums":
        """Sums of both parts of a day, which have no request in common."""
        agreement = {key: self.agreement[key] + other.agreement[key] for key in self.agreement}
        return TeacherSums(self.labels + other.labels, agreement)


def teacher_rules(cascade: Cascade, teacher: Teacher) -> dict[str, str]:
    """Names of the gates of `audit_teacher` and what they demand."""
    rules = {"labels_valid": "Labels are in [0, 1], one a row, and none is missing for what its stage scored."}
    for task in tasks_taught(cascade, teacher):
        rules[f"{task}_calibrated_on_withheld_impressions"] = f"{task}: the teacher agrees with withheld labels."
        rules[f"{task}_calibrated_on_exploration"] = f"{task}: it agrees with labels of rows that were shown at random."
    return rules


def teacher_sums(
    cascade: Cascade, teacher: Teacher, impressions: pl.DataFrame, labels: pl.DataFrame, withheld: pl.Series
) -> TeacherSums:
    """The sums of a teacher's labels and the impressions of some of a day's requests, all rows of each.

    A trained teacher has seen the impressions that are not withheld, exploration rows too, so both gates use
    withheld rows; a logged teacher was trained before the day, so exploration rows all count.

    Args:
        impressions: request_id, candidate_id, deepest_stage, explored and a label column a task.
        labels: request_id, candidate_id and `<task>_prediction`.
        withheld: Boolean, a row of `impressions` each.
    """
    reached = [stage.name for stage in cascade.stages][cascade.depth(teacher.stage) :]
    shown = impressions.with_columns(withheld.alias("withheld")).filter(pl.col("deepest_stage").is_in(reached))
    rows = shown.join(labels, on=KEYS, how="inner", maintain_order="left")
    agreement = {}
    for task in tasks_taught(cascade, teacher):
        labelled = rows.filter(pl.col(task).is_not_null())
        explored = labelled.filter(pl.col("explored") & (pl.col("withheld") | (teacher.kind == "logged")))
        for where, chosen in (("withheld_impressions", labelled.filter("withheld")), ("exploration", explored)):
            prediction, label = chosen[f"{task}_prediction"].to_numpy(), chosen[task].to_numpy()
            agreement[task, where] = Agreement.of(prediction, label)
    return TeacherSums(LabelCounts.of(labels, shown.select(KEYS)), agreement)


def audit_teacher(cascade: Cascade, teacher: Teacher, seen: TeacherSums) -> list[GateResult]:
    """Judge a teacher's labels of a day, in the order of `teacher_rules`.

    The calibration of a teacher from another cascade, whose rates are its own, only tells: whether it may teach is for
    `teacher_evaluation.judge_against_constant`.
    """
    results = [labels_valid(seen.labels)]
    for (task, where), agreement in seen.agreement.items():
        found = judge_teacher(cascade, task, f"{task}_calibrated_on_{where}", agreement, BOUNDS[where])
        only_tells = teacher.kind == "cross_domain" and not agreement.not_finite
        results.append(replace(found, severity="WARN") if only_tells else found)
    return results
