"""A teacher's predictions on shown rows against their labels: on withheld impressions and on exploration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.gates import GateResult, demand, finite
from ukdsl_assets.learning.metrics.least_positives import TO_BLOCK_A_TEACHER
from ukdsl_assets.learning.teachers.sums import Agreement, LabelCounts

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
    """Names of the gates of `judge_teacher_labels` and what they demand."""
    rules = {
        "labels_valid": demand(
            "Labels are in [0, 1], one a row, and none is missing for what its stage scored.",
            "see whether the stage's predictions are logged for all that it scored, or train the teacher anew.",
        )
    }
    for task in cascade.tasks_taught(teacher):
        rules[f"{task}_calibrated_on_withheld_impressions"] = demand(
            f"{task}: the teacher agrees with withheld labels.",
            "see whether events are complete; train the teacher on a longer window, or widen "
            "gates.teacher_calibration.",
        )
        rules[f"{task}_calibrated_on_exploration"] = demand(
            f"{task}: it agrees with labels of rows that were shown at random.",
            "see whether `explored` marks only what chance showed; declare `correction: exploration`, or widen "
            "gates.teacher_exploration.",
        )
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
    rows = shown.join(labels.with_columns(_labelled=True), on=KEYS, how="left", maintain_order="left")
    missing = rows["_labelled"].null_count()
    agreement = {}
    for task in cascade.tasks_taught(teacher):
        labelled = rows.filter(pl.col(task).is_not_null() & pl.col("_labelled"))
        explored = labelled.filter(pl.col("explored") & (pl.col("withheld") | teacher.logged))
        for where, chosen in (("withheld_impressions", labelled.filter("withheld")), ("exploration", explored)):
            prediction, label = chosen[label_column(task)].to_numpy(), chosen[task].to_numpy()
            agreement[task, where] = Agreement.of(prediction, label)
    return TeacherSums(LabelCounts.of(labels, len(shown), missing), agreement)


def judge_teacher_labels(cascade: Cascade, teacher: Teacher, sums: TeacherSums) -> list[GateResult]:
    """Judge a teacher's labels of a day, in the order of `teacher_rules`.

    The calibration of a teacher from another cascade, whose rates are its own, only tells: whether it may teach is for
    `teacher_evaluation.judge_against_constant`.
    """
    results = [labels_valid(sums.labels)]
    for (task, where), agreement in sums.agreement.items():
        result = judge_teacher(cascade, task, f"{task}_calibrated_on_{where}", agreement, BOUNDS[where])
        only_warns = teacher.foreign and not agreement.not_finite
        results.append(replace(result, severity="WARN") if only_warns else result)
    return results


def judge_teacher(cascade: Cascade, task: str, gate: str, agreement: Agreement, bounds: str) -> GateResult:
    """Calibration of a teacher against labels, within the cascade's `gates.<bounds>`.

    It fails only outside the bounds by more than two standard errors (of a Poisson count of positive labels), and
    blocks only from 100 positives on: with fewer, chance alone would stop the day. It only tells, too, for a task
    that is `delayed`. Predictions that are not all finite fail and block.
    """
    if not agreement.rows:
        return GateResult.not_judged(gate, "the day has no such rows with a label", seen={"rows": 0})
    if agreement.not_finite:
        wrong = f"{agreement.not_finite} of {agreement.rows} predictions are not finite; retrain the teacher"
        return GateResult(gate, False, wrong)
    lowest, highest = getattr(cascade.gates, bounds)
    delayed = cascade.task(task).delayed
    positives, predicted = agreement.positives, agreement.predicted
    error = math.sqrt(max(positives, 1))
    enough = max(positives, predicted) >= TO_BLOCK_A_TEACHER
    return GateResult(
        name=gate,
        passed=lowest * (positives - 2 * error) <= predicted <= highest * (positives + 2 * error),
        severity="ERROR" if enough and not delayed else "WARN",
        message=f"calibration {agreement.calibration:.3f} on {agreement.rows} rows: {predicted:.1f} positive labels "
        f"predicted, {positives:.0f} +- {error:.1f} seen; expected a calibration of {lowest} to {highest} "
        f"(gates.{bounds}) within two standard errors"
        + ("" if enough else f"; fewer than {TO_BLOCK_A_TEACHER} cannot block")
        + ("; labels of this task are delayed and cannot block" if delayed else ""),
        seen={
            "calibration": finite(agreement.calibration),
            "predicted": predicted,
            "positive": positives,
            "rows": agreement.rows,
        },
    )


def labels_valid(counts: LabelCounts) -> GateResult:
    """That a teacher's labels are finite, in [0, 1], one a row, and there for every shown row its stage scored."""
    return GateResult(
        name="labels_valid",
        passed=not (counts.wrong or counts.repeated or counts.missing),
        message=f"{counts.rows} rows: {counts.wrong} with a label that is not in [0, 1], {counts.repeated} repeated, "
        f"{counts.missing} of {counts.scored} shown rows without one; expected 0 of each",
        seen={
            "rows": counts.rows,
            "not_in_unit_interval": counts.wrong,
            "repeated": counts.repeated,
            "missing": counts.missing,
        },
    )
