"""The table `teacher_audit`: a teacher's predictions on rows shown by exploration against the labels of these rows.

Explored rows are split by a hash of their requests: those that may correct a teacher (periods `day` and `trailing`) are
not withheld, and those that judge it, and its correction (`judged` and `corrected`), are withheld: no model and no
correction has seen them. Beside them stand withheld impressions (`impressions`), where the teacher is held against a
constant.

Weights of 1 / propensity may differ by orders of magnitude, and neither an interval nor the shrinkage by an error sees
that few rows have all of the weight, for then the error is as wrong. So both ask first how many requests, and how many
labels of either kind, the weights leave: `effective_number`, against the floors of `least_positives.py`.
"""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import label_column
from ukdsl_assets.declaration.corrections import KnownRate
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.learning.metrics.interval import interval_of_ratio
from ukdsl_assets.learning.metrics.least_positives import REQUESTS_TO_WEIGH, TO_CORRECT_A_TEACHER
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import (
    calibration_on_log_scale,
    effective_number,
    logit_shift,
    shifted,
    shrunken,
)
from ukdsl_assets.learning.teachers.constant import against_constant

DAY, TRAILING, JUDGED, CORRECTED, IMPRESSIONS = "day", "trailing", "judged", "corrected", "impressions"
BY_EXPLORATION = "exploration"
# Rows that were shown with every feature at its `served_as`, where the frame says so.
AS_SCORED = "as_scored"
NONE_TO_CORRECT = "none is kept from its training, since no student of it declares `correction: exploration`"
MEANINGS = {
    "teacher": "the teacher",
    "task": "what it predicts",
    "period": "which rows: day, explored rows of this day that may correct; trailing, those and the days' before it "
    "that are pooled with it; judged, withheld explored rows of these days, which no training and no correction has "
    "seen; corrected, the same rows after a correction; impressions, withheld rows that were shown, explored or not",
    "corrected_by": "period corrected: what has corrected the predictions; null else",
    "days": "days with rows",
    "requests": "requests that explored",
    "rows": "rows that they showed and that have a label",
    "elsewhere": "further rows of theirs, left out since they were shown with another value of a feature that has "
    "served_as, such as in another slot: the teacher's prediction is not for these",
    "positives": "of the rows with a positive label",
    "effective_requests": "requests of equal weight that would know as much: (sum w)^2 / sum w^2, w = 1 / propensity",
    "effective_positives": "likewise of the rows with a positive label",
    "effective_negatives": "likewise of the others",
    "effective_predicted": "positive labels that the teacher expects, likewise: (sum w p)^2 / sum w^2 p",
    "mean_prediction": "mean of what the teacher says, rows weighted by 1 / propensity",
    "mean_label": "mean label, weighted likewise",
    "calibration": "mean prediction over mean label; null without labels of both kinds",
    "calibration_low": "lower end of its 95% interval, over requests",
    "calibration_high": "upper end",
    "logit_shift": "what added to the teacher's logits makes the means agree",
    "logit_shift_error": "its standard error, over requests",
    "correction": "day and trailing: the shift shrunken by its error, used by students with `correction: exploration`; "
    "0 with too few. corrected: what has been added to the logits",
    "not_corrected": "of what there are too few for a correction; null where there is enough",
    "ne": "period impressions: normalized entropy once logit_shift is added, so that the level is the labels' own; "
    "below 1 knows more than the constant that predicts the mean label",
    "ne_error": "its standard error, over requests",
}
_TEXTS = ("teacher", "task", "period", "corrected_by", "not_corrected")
_COUNTS = ("days", "requests", "rows", "elsewhere", "positives")
SCHEMA = {name: pl.String if name in _TEXTS else pl.Int64 if name in _COUNTS else pl.Float64 for name in MEANINGS}

_Row = dict[str, float | int | str | None]


def audit_on_exploration(
    cascade: Cascade,
    teacher: Teacher,
    explored: pl.DataFrame,
    today: date,
    judged: pl.DataFrame | None = None,
    impressions: pl.DataFrame | None = None,
    rates: Mapping[tuple[str, KnownRate], float] | None = None,
) -> pl.DataFrame:
    """The table `teacher_audit` of a day: rows for each task and period, columns as in `MEANINGS`.

    Without rows the figures are null. The correction is 0 below `REQUESTS_TO_WEIGH` effective requests or
    `TO_CORRECT_A_TEACHER` effective labels of either kind, and for a teacher that keeps no rows from its training.

    Args:
        explored: rows of the day and the days pooled with it that may correct: day, request_id, propensity, a label
            column a task (null: has none), `<task>_prediction` of the teacher, and possibly Boolean `as_scored`.
        today: the day.
        judged: likewise rows that judge; impressions: likewise, of propensity 1. None leaves their periods out.
        rates: (task, known rate) -> the shift of the teacher's logits that makes its mean the rate.
    """
    rows: list[_Row] = []
    keeps = not teacher.trained_here or cascade.corrected_on_exploration(teacher)
    for task in cascade.tasks_taught(teacher):
        of = {"teacher": teacher.name, "task": task}
        correction = 0.0
        for period in (DAY, TRAILING):
            figures = _corrects(explored if period == TRAILING else explored.filter(pl.col("day") == today), task)
            figures |= {} if keeps else {"correction": 0.0, "not_corrected": NONE_TO_CORRECT}
            rows.append({**of, "period": period, **figures})
            correction = float(figures["correction"] or 0)
        if judged is not None:
            rows.append({**of, "period": JUDGED, **_figures(judged, task)})
            corrections = {BY_EXPLORATION: correction} if keeps else {}
            corrections |= {rate.told: shift for (each, rate), shift in (rates or {}).items() if each == task}
            for by, shift in corrections.items():
                figures = _figures(judged, task, shift) | {"correction": shift}
                rows.append({**of, "period": CORRECTED, "corrected_by": by, **figures})
        if impressions is not None:
            rows.append({**of, "period": IMPRESSIONS, **_figures(impressions, task), **_entropy(impressions, task)})
    return pl.DataFrame(rows, schema=SCHEMA)


def _corrects(rows: pl.DataFrame, task: str) -> _Row:
    """The figures of rows that may correct, with the correction that they support."""
    figures = _figures(rows, task)
    labels = {kind: float(figures[f"effective_{kind}s"] or 0) for kind in ("positive", "negative")}
    few = too_few(float(figures["effective_requests"] or 0), labels, TO_CORRECT_A_TEACHER)
    shift, error = figures.get("logit_shift"), figures.get("logit_shift_error")
    known = few is None and shift is not None and error is not None
    return figures | {"correction": shrunken(shift, error) if known else 0.0, "not_corrected": few}  # type: ignore[arg-type]


def _figures(rows: pl.DataFrame, task: str, shift: float = 0.0) -> _Row:
    """How predictions, with `shift` added to their logits, agree with labels."""
    labelled = rows.filter(pl.col(task).is_not_null())
    every = len(labelled)
    rows = labelled.filter(AS_SCORED) if AS_SCORED in labelled.columns else labelled
    prediction, label = (rows[name].to_numpy().astype(np.float64) for name in (label_column(task), task))
    if shift:
        prediction = shifted(prediction, shift).astype(np.float64)
    weight = 1 / rows["propensity"].to_numpy().astype(np.float64)
    request = rows.select(pl.struct("day", "request_id").rank("dense")).to_series().to_numpy().astype(np.int64)
    requests, positives, negatives = (
        effective_number(weight * part, request) for part in (np.ones_like(label), label, 1 - label)
    )
    expected, squares = weighted_sum(weight, prediction), weighted_sum(weight**2, prediction)
    counts: _Row = {
        "days": rows["day"].n_unique(),
        "requests": len(np.unique(request)),
        "rows": len(rows),
        "elsewhere": every - len(rows),
        "positives": int(label.sum()),
        "effective_requests": requests,
        "effective_positives": positives,
        "effective_negatives": negatives,
        "effective_predicted": expected**2 / squares if squares > 0 else 0.0,
    }
    if not len(rows):
        return counts
    counts |= {"mean_prediction": weighted_sum(weight, prediction) / float(weight.sum())}
    counts |= {"mean_label": weighted_sum(weight, label) / float(weight.sum())}
    if not 0 < label.sum() < len(label):
        return counts
    log_calibration, error = calibration_on_log_scale(prediction, label, weight, request)
    moved, moved_error = logit_shift(prediction, label, weight, request)
    low, high = interval_of_ratio(math.exp(log_calibration), error)
    return counts | {
        "calibration": math.exp(log_calibration),
        "calibration_low": low,
        "calibration_high": high,
        "logit_shift": moved,
        "logit_shift_error": moved_error,
    }


def _entropy(rows: pl.DataFrame, task: str) -> _Row:
    rows = rows.filter(pl.col(task).is_not_null())
    request = rows.select(pl.struct("day", "request_id").rank("dense")).to_series().to_numpy().astype(np.int64)
    prediction, label = (rows[name].to_numpy().astype(np.float64) for name in (label_column(task), task))
    ne, error = against_constant(prediction, label, request)
    return {"ne": ne, "ne_error": error}


def too_few(requests: float, labels: Mapping[str, float], least: int) -> str | None:
    """Of what the weights leave too few, for people; None where there is enough of all.

    Args:
        requests: effective ones; labels: kind of labels -> effective number.
    """
    seen = [(requests, REQUESTS_TO_WEIGH, "explored requests")]
    seen += [(number, least, f"{kind} labels in explored rows") for kind, number in labels.items()]
    few = [f"{number:.1f} effective {what} of {needed} needed" for number, needed, what in seen if number < needed]
    return ", ".join(few) or None


def correction_of(audit: pl.DataFrame, task: str, by: KnownRate | None = None) -> float:
    """What is added to the logits of a task by the table `teacher_audit`: by exploration, or by a known rate.

    Raises:
        KeyError: unless the table has one row of it.
    """
    if by is None:
        corrections = audit.filter(task=task, period=TRAILING)["correction"]
        wanted = f"task {task!r} and period {TRAILING!r}"
    else:
        known = audit.filter(task=task, period=CORRECTED)
        corrections = known.filter(corrected_by=by.told)["correction"] if len(known) else known["correction"]
        wanted = f"task {task!r}, corrected by {by.told}"
    if len(corrections) != 1:
        raise KeyError(f"{len(corrections)} rows of teacher_audit are of {wanted}, expected one")
    return float(corrections[0])


def row_that_judges(audit: pl.DataFrame, student: Student) -> Mapping[str, Any] | None:
    """The row of a student's teacher, corrected as the student has it, on rows that judge; None in old tables."""
    if "corrected_by" not in audit.columns:
        return None
    if student.correction == "none":
        rows = audit.filter(task=student.task, period=JUDGED)
    else:
        by = student.correction.told if isinstance(student.correction, KnownRate) else BY_EXPLORATION
        rows = audit.filter(task=student.task, period=CORRECTED, corrected_by=by)
    return rows.row(0, named=True) if len(rows) else None
