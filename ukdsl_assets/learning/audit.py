"""Verdicts on teachers and students, from figures and bounds that the cascade declares."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation import figure
from ukdsl_assets.learning.requests_read import RequestsRead
from ukdsl_assets.learning.teacher_sums import Agreement, LabelCounts

# Below so few positive labels a calibration says little.
POSITIVES_NEEDED = 100


def judge_teacher(cascade: Cascade, task: str, gate: str, seen: Agreement, bounds: str) -> GateResult:
    """Calibration of a teacher against labels, within the cascade's `gates.<bounds>`.

    It fails only outside the bounds by more than two standard errors (of a Poisson count of positive labels), and
    blocks only from 100 positives on: with fewer, chance alone would stop the day. It only tells, too, for a task
    that is `delayed`. Predictions that are not all finite fail and block.
    """
    if not seen.rows:
        return GateResult(gate, True, "not judged: the day has no such rows with a label", "WARN", {"rows": 0})
    if seen.not_finite:
        wrong = f"{seen.not_finite} of {seen.rows} predictions are not finite; retrain the teacher"
        return GateResult(gate, False, wrong)
    lowest, highest = getattr(cascade.gates, bounds)
    delayed = cascade.task(task).delayed
    error = math.sqrt(max(seen.positives, 1))
    enough = max(seen.positives, seen.predicted) >= POSITIVES_NEEDED
    return GateResult(
        name=gate,
        passed=lowest * (seen.positives - 2 * error) <= seen.predicted <= highest * (seen.positives + 2 * error),
        severity="ERROR" if enough and not delayed else "WARN",
        message=f"calibration {seen.calibration:.3f} on {seen.rows} rows: {seen.predicted:.1f} positive labels "
        f"predicted, {seen.positives:.0f} +- {error:.1f} seen; expected a calibration of {lowest} to {highest} "
        f"(gates.{bounds}) within two standard errors"
        + ("" if enough else f"; fewer than {POSITIVES_NEEDED} cannot block")
        + ("; labels of this task are delayed and cannot block" if delayed else ""),
        seen={
            "calibration": _finite(seen.calibration),
            "predicted": seen.predicted,
            "positive": seen.positives,
            "rows": seen.rows,
        },
    )


def labels_valid(seen: LabelCounts) -> GateResult:
    """That a teacher's labels are finite, in [0, 1], one a row, and there for every shown row its stage scored."""
    return GateResult(
        name="labels_valid",
        passed=not (seen.wrong or seen.repeated or seen.missing),
        message=f"{seen.rows} rows: {seen.wrong} with a label that is not in [0, 1], {seen.repeated} repeated, "
        f"{seen.missing} of {seen.scored} shown rows without one; expected 0 of each",
        seen={
            "rows": seen.rows,
            "not_in_unit_interval": seen.wrong,
            "repeated": seen.repeated,
            "missing": seen.missing,
        },
    )


def no_withheld_request(seen: Iterable[RequestsRead]) -> GateResult:
    """That none of the requests of the shards that a trainer read is withheld."""
    read = sum(seen, RequestsRead())
    return GateResult(
        name="no_withheld_request_in_training",
        passed=not read.withheld,
        message=f"{read.withheld} of {read.requests} requests trained on are withheld"
        + (f", e.g. {list(read.examples)}; filter teacher_augmented by `withheld`" if read.withheld else ""),
        seen={"requests": read.requests, "withheld": read.withheld},
    )


def parameters_finite(tensors: Mapping[str, NDArray[np.float32]]) -> GateResult:
    """That every parameter is a finite number."""
    wrong = {name: int((~np.isfinite(value)).sum()) for name, value in tensors.items()}
    wrong = {name: count for name, count in wrong.items() if count}
    size = sum(value.size for value in tensors.values())
    return GateResult(
        name="parameters_finite",
        passed=not wrong,
        message=f"{size} parameters, not finite: {wrong or 'none'}" + ("; lower learning_rate" if wrong else ""),
        seen={"parameters": size, "not_finite": sum(wrong.values())},
    )


def serves_the_main_task_alone(
    tensors: Mapping[str, NDArray[np.float32]], baseline: Mapping[str, tuple[int, ...]]
) -> GateResult:
    """That a checkpoint's layers are those of the baseline, by name and shape: no parameter of a teacher's task left.

    Args:
        tensors: of the checkpoint; `embedding.weight`, a row for each id seen in training, has no bound.
        baseline: name -> shape of every layer.
    """
    seen = {name: value.shape for name, value in tensors.items() if name != "embedding.weight"}
    wrong = sorted(name for name in seen.keys() | baseline.keys() if seen.get(name) != baseline.get(name))
    size = sum(math.prod(shape) for shape in seen.values())
    expected = sum(math.prod(shape) for shape in baseline.values())
    return GateResult(
        name="serves_the_main_task_alone",
        passed=not wrong,
        message=f"{size} parameters in {len(seen)} layers; expected the baseline's {expected} in {len(baseline)}; "
        f"different: {', '.join(wrong) or 'none'}",
        seen={"parameters": size, "baseline": expected},
    )


def same_predictions(
    fitted: Mapping[str, NDArray[np.float32]], reloaded: Mapping[str, NDArray[np.float32]]
) -> GateResult:
    """That the checkpoint read back predicts, bit by bit, what the model in memory predicts."""
    same = fitted.keys() == reloaded.keys() and all(np.array_equal(fitted[key], reloaded[key]) for key in fitted)
    worst = max((float(np.abs(fitted[k] - reloaded[k]).max(initial=0)) for k in fitted if k in reloaded), default=0.0)
    return GateResult(
        name="reloads_to_the_same_predictions",
        passed=same,
        message=f"largest difference of a reloaded prediction: {worst:g}; expected 0",
        seen={"largest_difference": worst},
    )


# With fewer positive labels neither a figure nor its standard error means anything.
LEAST_POSITIVES = 10


def judge_student(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates between a distilled student and its release, from its evaluation table of the day.

    Changes of NE and the calibration on labels fail only beyond two standard errors of the table; with fewer than ten
    positive labels among the withheld impressions neither is judged. A student whose served head labels alone train
    need not agree with another cascade's teacher, whose level is its own: that only tells, so that with fewer than ten
    positive labels its gate of NE on impressions fails, as it does for every student without a single one, unless
    labels are delayed. Without any withheld considered row the gates on them fail, whoever teaches: nothing is
    released that nothing was judged by.
    """
    serving = student.served_heads[-1]
    needed = not cascade.task(student.task).delayed
    foreign = cascade.teacher(student.teacher).kind == "cross_domain" and bool(student.teacher_tasks)
    results = [
        _calibrated_on_consideration(cascade, table, serving),
        _too_few_labels("calibrated_on_impression", table) or _calibrated_on_impression(cascade, student, table),
        _too_few_labels("normalized_entropy_on_impression_kept", table, needed, alone=foreign)
        or _entropy_kept(cascade, table, "impression", "IMP", "impression", "label"),
        _entropy_kept(cascade, table, "consideration", "CD", serving, "teacher"),
    ]
    told = ("calibrated_on_consideration", "normalized_entropy_on_consideration_kept")
    if not figure(table, "rows", arm="distilled", head=serving, domain="CD", reference="teacher"):
        nothing = "no withheld considered row to judge by; materialize a day with more requests"
        return [GateResult(each.name, False, nothing) if each.name in told else each for each in results]
    return [replace(each, severity="WARN") if foreign and each.name in told else each for each in results]


def refusals(results: Sequence[GateResult]) -> list[str]:
    """Why a release is refused: the messages of the gates that block, with their names; empty for none."""
    return [f"{result.name}: {result.message}" for result in results if result.blocks]


def _too_few_labels(gate: str, table: pl.DataFrame, needed: bool = False, alone: bool = False) -> GateResult | None:
    """The verdict that there is nothing to judge by; None where there are labels enough.

    Args:
        needed: whether without any positive label nothing tells what the student does to shown rows; with
            `alone`, whether no other gate can refuse it. It then blocks.
    """
    where = {"arm": "distilled", "head": "impression", "domain": "IMP", "reference": "label"}
    rows, mean = (figure(table, column, **where) for column in ("rows", "mean_reference"))
    positives = rows * mean if rows else 0.0
    if positives >= LEAST_POSITIVES:
        return None
    message = (
        f"not judged: {positives:.0f} positive labels among {rows:.0f} withheld impressions, fewer than "
        f"{LEAST_POSITIVES}"
    )
    seen = {"positive": positives, "rows": int(rows)}
    blocks = alone or (needed and positives == 0)
    if alone:
        message += "; agreement with another cascade's teacher only tells, so nothing judges this student"
    if blocks:
        message += (
            "; see whether events arrive and the attribution window is right, or judge by more requests: materialize "
            "more days with a larger evaluation_days, or raise withheld_share"
        )
    return GateResult(gate, not blocks, message, "ERROR" if blocks else "WARN", seen)


def _entropy_kept(
    cascade: Cascade, table: pl.DataFrame, name: str, domain: str, head: str, reference: str
) -> GateResult:
    where = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
    change, error = (figure(table, column, **where) for column in ("ne_change", "ne_change_error"))
    bound = cascade.gates.normalized_entropy
    return GateResult(
        name=f"normalized_entropy_on_{name}_kept",
        passed=change - 2 * error <= bound,
        message=f"NE of head {head} on {domain} against {reference} is {change:+.3%} +- {error:.3%} of the baseline's; "
        f"expected at most {bound:+.3%} (gates.normalized_entropy) at two standard errors",
        seen={"ne_change": _finite(change), "standard_error": _finite(error)},
    )


def _calibrated_on_impression(cascade: Cascade, student: Student, table: pl.DataFrame) -> GateResult:
    """Agreement with a teacher is no evidence of calibration; labels of withheld impressions are."""
    where = {"arm": "distilled", "head": "impression", "domain": "IMP", "reference": "label"}
    seen, error = (figure(table, column, **where) for column in ("calibration", "calibration_error"))
    lowest, highest = cascade.gates.student_calibration
    return GateResult(
        name="calibrated_on_impression",
        passed=seen + 2 * error >= lowest and seen - 2 * error <= highest,
        severity="WARN" if cascade.task(student.task).delayed else "ERROR",
        message=f"calibration {seen:.3f} +- {error:.3f} against labels; expected {lowest} to {highest} "
        "(gates.student_calibration) at two standard errors"
        + ("; labels of this task are delayed and cannot block" if cascade.task(student.task).delayed else ""),
        seen={"calibration": _finite(seen), "standard_error": _finite(error)},
    )


def _calibrated_on_consideration(cascade: Cascade, table: pl.DataFrame, serving: str) -> GateResult:
    """The bounds hold without leave: a teacher's predictions vary little, unlike labels."""
    where = {"arm": "distilled", "head": serving, "domain": "CD", "reference": "teacher"}
    seen, error = (figure(table, column, **where) for column in ("calibration", "calibration_error"))
    lowest, highest = cascade.gates.student_calibration
    return GateResult(
        name="calibrated_on_consideration",
        passed=lowest <= seen <= highest,
        message=f"calibration {seen:.3f} +- {error:.3f} against the teacher; expected {lowest} to {highest} "
        "(gates.student_calibration)",
        seen={"calibration": _finite(seen), "standard_error": _finite(error)},
    )


def _finite(value: float) -> float | None:
    """JSON and the UI know no NaN."""
    return value if math.isfinite(value) else None
