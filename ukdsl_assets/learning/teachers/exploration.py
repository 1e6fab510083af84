"""The table `teacher_audit`: a teacher's predictions on rows shown by exploration against the labels of these rows.

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
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.metrics.least_positives import (
    REQUESTS_TO_WEIGH,
    TO_AUDIT_ON_EXPLORATION,
    TO_CORRECT_A_TEACHER,
)
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import calibration_on_log_scale, effective_number, logit_shift, shrunken

# Half the width of a 95% interval, in standard errors.
INTERVAL_ERRORS = 1.96
PERIODS = ("day", "trailing")
MEANINGS = {
    "teacher": "the teacher",
    "task": "what it predicts",
    "period": "day: this day; trailing: this day and those before it that are pooled with it",
    "days": "days with rows",
    "requests": "requests that explored",
    "rows": "rows that they showed and that have a label",
    "positives": "of them with a positive label",
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
    "correction": "the shift shrunken by its error, used by students with `correction: exploration`; 0 with too few",
    "not_corrected": "of what there are too few for a correction; null where there is enough",
}
_FLOATS = tuple(MEANINGS)[7:-1]
SCHEMA = {
    **dict.fromkeys(("teacher", "task", "period"), pl.String),
    **dict.fromkeys(("days", "requests", "rows", "positives"), pl.Int64),
    **dict.fromkeys(_FLOATS, pl.Float64),
    "not_corrected": pl.String,
}


def audit_on_exploration(cascade: Cascade, teacher: Teacher, explored: pl.DataFrame, today: date) -> pl.DataFrame:
    """The table `teacher_audit` of a day: a row for each task and period, columns as in `MEANINGS`.

    Without rows the figures are null. The correction is 0 below `REQUESTS_TO_WEIGH` effective requests or
    `TO_CORRECT_A_TEACHER` effective labels of either kind.

    Args:
        explored: rows of the day and the days pooled with it: day, request_id, propensity, a label column a task
            (null: has none), and `<task>_prediction` of the teacher.
        today: the day.
    """
    rows = []
    for task in cascade.tasks_taught(teacher):
        labelled = explored.filter(pl.col(task).is_not_null())
        for period in PERIODS:
            chosen = labelled if period == "trailing" else labelled.filter(pl.col("day") == today)
            rows.append({"teacher": teacher.name, "task": task, "period": period, **_figures(chosen, task)})
    return pl.DataFrame(rows, schema=SCHEMA)


def _figures(rows: pl.DataFrame, task: str) -> dict[str, float | int | str | None]:
    prediction, label = (rows[name].to_numpy().astype(np.float64) for name in (label_column(task), task))
    weight = 1 / rows["propensity"].to_numpy().astype(np.float64)
    request = rows.select(pl.struct("day", "request_id").rank("dense")).to_series().to_numpy().astype(np.int64)
    requests, positives, negatives = (
        effective_number(weight * part, request) for part in (np.ones_like(label), label, 1 - label)
    )
    expected, squares = weighted_sum(weight, prediction), weighted_sum(weight**2, prediction)
    too_few = _too_few(requests, {"positive": positives, "negative": negatives}, TO_CORRECT_A_TEACHER)
    counts: dict[str, float | int | str | None] = {
        "days": rows["day"].n_unique(),
        "requests": len(np.unique(request)),
        "rows": len(rows),
        "positives": int(label.sum()),
        "effective_requests": requests,
        "effective_positives": positives,
        "effective_negatives": negatives,
        "effective_predicted": expected**2 / squares if squares > 0 else 0.0,
        "correction": 0.0,
        "not_corrected": too_few,
    }
    if not len(rows):
        return counts
    counts |= {"mean_prediction": weighted_sum(weight, prediction) / float(weight.sum())}
    counts |= {"mean_label": weighted_sum(weight, label) / float(weight.sum())}
    if not 0 < label.sum() < len(label):
        return counts
    log_calibration, error = calibration_on_log_scale(prediction, label, weight, request)
    shift, shift_error = logit_shift(prediction, label, weight, request)
    return counts | {
        "calibration": math.exp(log_calibration),
        "calibration_low": math.exp(log_calibration - INTERVAL_ERRORS * error),
        "calibration_high": math.exp(log_calibration + INTERVAL_ERRORS * error),
        "logit_shift": shift,
        "logit_shift_error": shift_error,
        "correction": 0.0 if too_few else shrunken(shift, shift_error),
    }


def _too_few(requests: float, labels: Mapping[str, float], least: int) -> str | None:
    """Of what the weights leave too few, for people; None where there is enough of all.

    Args:
        requests: effective ones; labels: kind of labels -> effective number.
    """
    seen = [(requests, REQUESTS_TO_WEIGH, "explored requests")]
    seen += [(number, least, f"{kind} labels in explored rows") for kind, number in labels.items()]
    few = [f"{number:.1f} effective {what} of {needed} needed" for number, needed, what in seen if number < needed]
    return ", ".join(few) or None


def correction_of(audit: pl.DataFrame, task: str) -> float:
    """The correction of a task's logits from the table `teacher_audit`; KeyError unless it has one row of it."""
    corrections = audit.filter(task=task, period="trailing")["correction"]
    if len(corrections) != 1:
        rows = f"{len(corrections)} rows of teacher_audit"
        raise KeyError(f"{rows} are of task {task!r} and period 'trailing', expected one")
    return float(corrections[0])


def audit_rules(cascade: Cascade, teacher: Teacher) -> dict[str, str]:
    """Names of the verdicts of `judge_exploration` and what they demand."""
    return {
        f"{task}_agrees_on_exploration": f"{task}: the interval of the pooled days meets gates.teacher_exploration."
        for task in cascade.tasks_taught(teacher)
    }


def judge_exploration(cascade: Cascade, audit: pl.DataFrame) -> list[GateResult]:
    """Whether each task's 95% interval over the pooled days meets the bounds; labels that are delayed only tell.

    It is judged from `REQUESTS_TO_WEIGH` effective requests on, and `TO_AUDIT_ON_EXPLORATION` effective positive
    labels, seen or predicted: few where many were said are evidence too.
    """
    lowest, highest = cascade.gates.teacher_exploration
    results = []
    for row in audit.filter(period="trailing").iter_rows(named=True):
        name, figures = f"{row['task']}_agrees_on_exploration", {key: row[key] for key in tuple(MEANINGS)[3:]}
        labels = max(row["effective_positives"], row["effective_predicted"])
        few = _too_few(row["effective_requests"], {"positive": labels}, TO_AUDIT_ON_EXPLORATION)
        if few or row["calibration"] is None:
            counted = f"{row['positives']} positive labels in {row['rows']} explored rows"
            message = f"not judged: {counted}" + (f"; {few}" if few else "") + f"; {_correction_told(row)}"
            results.append(GateResult(name, True, message, "WARN", figures))
            continue
        low, high, delayed = row["calibration_low"], row["calibration_high"], cascade.task(row["task"]).delayed
        message = (
            f"calibration {row['calibration']:.3f} ({low:.3f} to {high:.3f}) on {row['rows']} explored rows of "
            f"{row['days']} day(s), {row['positives']} positive; expected {lowest} to {highest} "
            "(gates.teacher_exploration)"
            + ("; labels of this task are delayed" if delayed else "")
            + f"; {_correction_told(row)}"
        )
        passed = low <= highest and high >= lowest
        results.append(GateResult(name, passed, message, "WARN" if delayed else "ERROR", figures))
    return results


def corrections_told(audit: pl.DataFrame) -> dict[str, str]:
    """Task -> what `correction: exploration` adds to its logits by the table, or why nothing, for people."""
    return {row["task"]: _correction_told(row) for row in audit.filter(period="trailing").iter_rows(named=True)}


def _correction_told(row: Mapping[str, Any]) -> str:
    # Tables that were published before the column existed do not have it.
    if why := row.get("not_corrected"):
        return f"not corrected, because of {why}"
    if row["correction"] == 0:
        shift, error = row["logit_shift"], row["logit_shift_error"]
        return f"not corrected, because the shift of {shift:+.3f} is within its error of {error:.3f}"
    return f"a correction adds {row['correction']:+.3f} to its logits"
