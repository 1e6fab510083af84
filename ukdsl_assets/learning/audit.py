"""Verdicts on teachers and students, from figures and bounds that the cascade declares."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Bounds, Cascade, Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation import figure
from ukdsl_assets.learning.metrics import calibration

# Below so few positive labels a calibration says little.
POSITIVES_NEEDED = 100


def judge_teacher(
    cascade: Cascade, gate: str, prediction: NDArray[np.float32], label: NDArray[np.float32], bounds: str
) -> GateResult:
    """Calibration of a teacher against labels, float [rows] each, within the cascade's `gates.<bounds>`.

    It fails only outside the bounds by more than two standard errors (of a Poisson count of positive labels), and
    blocks only from 100 positives on: with fewer, chance alone would stop the day.
    """
    lowest, highest = getattr(cascade.gates, bounds)
    positives = float(np.sum(label))
    seen = calibration(prediction, label) if positives else math.nan
    error = seen / math.sqrt(positives) if positives else math.nan
    enough = positives >= POSITIVES_NEEDED
    return GateResult(
        name=gate,
        passed=not (seen + 2 * error < lowest or seen - 2 * error > highest),
        severity="ERROR" if enough else "WARN",
        message=f"calibration {seen:.3f} +- {error:.3f} on {len(label)} rows with {positives:.0f} positive labels; "
        f"expected {lowest} to {highest} (gates.{bounds})"
        + ("" if enough else f"; fewer than {POSITIVES_NEEDED} positives cannot block"),
        seen={"calibration": _finite(seen), "standard_error": _finite(error), "rows": len(label)},
    )


def no_withheld_request(trained_on: pl.Series, withheld: pl.Series) -> GateResult:
    """That none of the distinct requests a trainer consumed is withheld (Boolean, same length)."""
    leaked = trained_on.filter(withheld)
    return GateResult(
        name="no_withheld_request_in_training",
        passed=not len(leaked),
        message=f"{len(leaked)} of {len(trained_on)} requests trained on are withheld"
        + (f", e.g. {leaked.head(3).to_list()}; filter teacher_augmented by `withheld`" if len(leaked) else ""),
        seen={"requests": len(trained_on), "withheld": len(leaked)},
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


def judge_student(cascade: Cascade, student: Student, table: pl.DataFrame) -> list[GateResult]:
    """The gates between a distilled student and its release, from its evaluation table of the day."""
    serving = student.heads[-1]
    gates = cascade.gates
    seen = figure(table, "calibration", arm="distilled", head=serving, domain="CD", reference="teacher")
    results = [_within("calibrated_on_consideration", seen, gates.student_calibration, "gates.student_calibration")]
    for domain, head, reference in (("IMP", "impression", "label"), ("CD", serving, "teacher")):
        change = figure(table, "ne_change", arm="distilled", head=head, domain=domain, reference=reference)
        results.append(
            GateResult(
                name=f"normalized_entropy_on_{'impression' if domain == 'IMP' else 'consideration'}_kept",
                passed=change <= gates.normalized_entropy,
                message=f"NE of head {head} on {domain} against {reference} is {change:+.3%} of the baseline's; "
                f"expected at most {gates.normalized_entropy:+.3%} (gates.normalized_entropy)",
                seen={"ne_change": _finite(change)},
            )
        )
    return results


def refusals(results: Sequence[GateResult]) -> list[str]:
    """Why a release is refused: the messages of the gates that block, with their names; empty for none."""
    return [f"{result.name}: {result.message}" for result in results if result.blocks]


def _within(name: str, seen: float, bounds: Bounds, key: str) -> GateResult:
    return GateResult(
        name=name,
        passed=bounds[0] <= seen <= bounds[1],
        message=f"calibration {seen:.3f}; expected {bounds[0]} to {bounds[1]} ({key})",
        seen={"calibration": _finite(seen)},
    )


def _finite(value: float) -> float | None:
    """JSON and the UI know no NaN."""
    return value if math.isfinite(value) else None
