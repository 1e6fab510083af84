"""The table `teacher_audit`: a teacher's predictions on rows shown by exploration against the labels of these rows."""

import math
from datetime import date

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import label_column
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import calibration_on_log_scale, logit_shift, shrunken

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
    "mean_prediction": "mean of what the teacher says, rows weighted by 1 / propensity",
    "mean_label": "mean label, weighted likewise",
    "calibration": "mean prediction over mean label; null without labels of both kinds",
    "calibration_low": "lower end of its 95% interval, over requests",
    "calibration_high": "upper end",
    "logit_shift": "what added to the teacher's logits makes the means agree",
    "logit_shift_error": "its standard error, over requests",
    "correction": "the shift shrunken by its error, used by students with `correction: exploration`",
}
_FLOATS = tuple(MEANINGS)[7:]
SCHEMA = {
    **dict.fromkeys(("teacher", "task", "period"), pl.String),
    **dict.fromkeys(("days", "requests", "rows", "positives"), pl.Int64),
    **dict.fromkeys(_FLOATS, pl.Float64),
}


def audit_on_exploration(cascade: Cascade, teacher: Teacher, explored: pl.DataFrame, today: date) -> pl.DataFrame:
    """The table `teacher_audit` of a day: a row for each task and period, columns as in `MEANINGS`.

    Without rows the figures are null and the correction is 0.

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


def _figures(rows: pl.DataFrame, task: str) -> dict[str, float | int | None]:
    prediction, label = (rows[name].to_numpy().astype(np.float64) for name in (label_column(task), task))
    weight = 1 / rows["propensity"].to_numpy().astype(np.float64)
    request = rows.select(pl.struct("day", "request_id").rank("dense")).to_series().to_numpy().astype(np.int64)
    counts: dict[str, float | int | None] = {
        "days": rows["day"].n_unique(),
        "requests": len(np.unique(request)),
        "rows": len(rows),
        "positives": int(label.sum()),
        "correction": 0.0,
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
        "correction": shrunken(shift, shift_error),
    }


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
    """Whether each task's 95% interval over the pooled days meets the bounds; labels that are delayed only tell."""
    lowest, highest = cascade.gates.teacher_exploration
    results = []
    for row in audit.filter(period="trailing").iter_rows(named=True):
        name, figures = f"{row['task']}_agrees_on_exploration", {key: row[key] for key in tuple(MEANINGS)[3:]}
        if row["calibration"] is None:
            message = f"not judged: {row['positives']} positive labels in {row['rows']} explored rows"
            results.append(GateResult(name, True, message, "WARN", figures))
            continue
        low, high, delayed = row["calibration_low"], row["calibration_high"], cascade.task(row["task"]).delayed
        message = (
            f"calibration {row['calibration']:.3f} ({low:.3f} to {high:.3f}) on {row['rows']} explored rows of "
            f"{row['days']} day(s), {row['positives']} positive; expected {lowest} to {highest} "
            "(gates.teacher_exploration)" + ("; labels of this task are delayed" if delayed else "")
        )
        passed = low <= highest and high >= lowest
        results.append(GateResult(name, passed, message, "WARN" if delayed else "ERROR", figures))
    return results
