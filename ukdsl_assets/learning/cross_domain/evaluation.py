"""How well a teacher's labels explain this cascade's own: calibration, NE and AUC, with standard errors."""

import math

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.learning.metrics.auc import auc_with_influence
from ukdsl_assets.learning.metrics.bootstrap import draws_of, request_numbers, request_sums, standard_error
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy, row_entropy
from ukdsl_assets.learning.metrics.least_positives import TO_JUDGE_A_FOREIGN_TEACHER
from ukdsl_assets.learning.metrics.sums import replicate_totals

MEANINGS = {
    "task": "the task of this cascade",
    "rows": "withheld impressions with a label that the teacher scored",
    "positives": "positive labels among them",
    "mean_prediction": "mean of the teacher's labels",
    "mean_label": "mean label",
    "calibration": "mean prediction over mean label",
    "calibration_error": "its standard error, by bootstrap over requests",
    "ne": "normalized entropy; below 1 is better than the constant that predicts the mean label",
    "ne_error": "its standard error",
    "auc": "chance that a positive is predicted above a negative",
    "auc_error": "its standard error",
}


def evaluate_teacher(labels: pl.DataFrame, impressions: pl.DataFrame, tasks: list[str], seed: int = 0) -> pl.DataFrame:
    """One row a task with the columns of `MEANINGS`; figures are NaN where undefined, as without rows.

    Args:
        labels: request_id, candidate_id and `<task>_prediction`.
        impressions: request_id, candidate_id and a label column a task; withheld rows of one day.
        seed: of the bootstrap.
    """
    from scipy.special import xlog1py, xlogy

    joined = impressions.join(labels, on=KEYS, how="inner").sort(KEYS)
    table = []
    for task in tasks:
        rows = joined.filter(pl.col(task).is_not_null())
        p, y = (rows[name].to_numpy().astype(np.float64) for name in (label_column(task), task))
        area, influence = auc_with_influence(p, y)
        draws = draws_of(rows, seed)
        sums = request_sums(request_numbers(rows), draws.shape[1], p, y, np.ones_like(y), row_entropy(p, y), influence)
        drawn = replicate_totals(draws, sums).T
        with np.errstate(invalid="ignore", divide="ignore"):
            base = drawn[1] / drawn[2]
            entropy = -drawn[2] * (xlogy(base, base) + xlog1py(1 - base, -base))
            errors = standard_error(np.stack([drawn[0] / drawn[1], drawn[3] / entropy, drawn[4]], axis=1))
        table.append(
            {
                "task": task,
                "rows": len(rows),
                "positives": int(y.sum()),
                "mean_prediction": float(p.mean()) if len(p) else math.nan,
                "mean_label": float(y.mean()) if len(y) else math.nan,
                "calibration": calibration(p, y),
                "calibration_error": float(errors[0]),
                "ne": normalized_entropy(p, y),
                "ne_error": float(errors[1]),
                "auc": area,
                "auc_error": float(errors[2]),
            }
        )
    whole = {"task": pl.String, "rows": pl.Int64, "positives": pl.Int64}
    return pl.DataFrame(table, schema={name: whole.get(name, pl.Float64) for name in MEANINGS})


def constant_rules(tasks: list[str]) -> dict[str, str]:
    """Names of the gates of `judge_against_constant` and what they demand."""
    return {
        f"{task}_better_than_a_constant": demand(
            f"{task}: the teacher explains withheld labels better than their mean does.",
            "see whether `features` and `defaults` map names and values rightly; `recalibration: labels` moves the "
            "level; `allow_worse_than_constant: true` takes it all the same.",
        )
        for task in tasks
    }


def judge_against_constant(cascade: Cascade, evaluation: pl.DataFrame, allowed: bool) -> list[GateResult]:
    """Whether a teacher's NE on withheld impressions is below 1, a gate a task of `evaluate_teacher`'s table.

    It fails where the NE is 1 or more by two standard errors. It blocks unless `allowed`
    (`allow_worse_than_constant`), fewer than 20 positive labels were seen, or labels are delayed.
    """
    results = []
    for row in evaluation.iter_rows(named=True):
        task, ne, error = row["task"], row["ne"], row["ne_error"]
        figures = ("rows", "positives", "calibration", "ne", "ne_error", "auc")
        seen = {name: value for name in figures if not _undefined(value := row[name])}
        gate = f"{task}_better_than_a_constant"
        if _undefined(ne) or _undefined(error):
            counted = f"{row['positives']} positives among {row['rows']} withheld impressions"
            results.append(GateResult.not_judged(gate, counted, seen=seen))
            continue
        enough = row["positives"] >= TO_JUDGE_A_FOREIGN_TEACHER
        reasons = {
            "the declaration allows it (allow_worse_than_constant)": allowed,
            f"fewer than {TO_JUDGE_A_FOREIGN_TEACHER} positive labels cannot block": not enough,
            "labels of this task are delayed and cannot block": cascade.task(task).delayed,
        }
        leave = "".join(f"; {reason}" for reason, holds in reasons.items() if holds)
        results.append(
            GateResult(
                name=gate,
                passed=ne - 2 * error < 1,
                severity="WARN" if leave else "ERROR",
                message=f"NE {ne:.4f} +- {error:.4f}, calibration {row['calibration']:.3f}, AUC {row['auc']:.3f} on "
                f"{row['rows']} withheld impressions with {row['positives']} positive labels; expected an NE below 1 "
                f"at two standard errors{leave}",
                seen=seen,
            )
        )
    return results


def _undefined(value: float) -> bool:
    return not math.isfinite(value)
