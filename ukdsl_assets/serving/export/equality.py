"""A file scores as batch scoring does: the same rows both ways, before anybody sees the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.errors import ExportError
from ukdsl_assets.learning.metrics.logits import CLIP
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.export.samples import sample_rows
from ukdsl_assets.serving.onnx_file import OnnxStudent
from ukdsl_assets.serving.scorer import Scorer

SAMPLE_ROWS = 4_096
# Sums of products in another order differ in their last places: a logit, the sum of some hundred products of numbers up
# to 6, by far less than this; a probability by p (1 - p) times as much.
LOGIT_TOLERANCE = 1e-4
# Between neighbours of 1 in 32 bits.
STEP = 2.0**-23


@dataclass(frozen=True)
class Compared:
    """rows that were scored both ways, the largest difference of a probability, and its head."""

    rows: int
    difference: float
    head: str


def allowed_difference(
    probability: NDArray[np.float32], fitted: FittedStudent, of_trained: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """How much a file's probability may differ from batch scoring's, float64 [rows].

    LOGIT_TOLERANCE of p (1 - p), and one STEP.

    Args:
        probability: of batch scoring; of_trained: for head `scored`, of the head that it follows from. Batch scoring
            takes that head's logit from a probability of 32 bits, which near 1 has few places left.
    """
    p = probability.astype(np.float64)
    allowed = LOGIT_TOLERANCE * p * (1 - p) + STEP
    if of_trained is not None and fitted.level is not None:
        q = of_trained.astype(np.float64).clip(CLIP, 1 - CLIP)
        allowed += fitted.level.slope * (LOGIT_TOLERANCE + STEP / (q * (1 - q))) * p * (1 - p)
    return allowed


def compared(file: OnnxStudent, fitted: FittedStudent, rows: int = SAMPLE_ROWS, seed: int = 0) -> Compared:
    """The largest difference between a file and batch scoring on sample rows.

    Raises:
        ExportError: it is more than allowed, or the unknown ids are counted otherwise.
    """
    frame = sample_rows(fitted.encoder, rows, seed)
    scorer = Scorer(fitted)
    prepared = scorer.prepared(frame, "sample rows")
    found = file.score(file.columns_of_arrow(frame.to_arrow()))
    largest, of_head = 0.0, fitted.heads[-1]
    by_head = predictor(fitted)(prepared)
    trained = by_head[fitted.trained_heads[-1]]
    for head in fitted.heads:
        expected = by_head[head]
        allowed = allowed_difference(expected, fitted, trained if head == SCORED_HEAD else None)
        difference = np.abs(found.heads[head].astype(np.float64) - expected)
        # So that NaN is refused too.
        if not (difference <= allowed).all():
            worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference - allowed)))
            raise ExportError(
                f"head {head}: the file gives {found.heads[head][worst]:.9g} where batch scoring gives "
                f"{expected[worst]:.9g}, expected a difference of at most {allowed[worst]:.2g}, in "
                f"{int((~(difference <= allowed)).sum()):,} of {rows:,} sample rows, such as {_shown(frame, worst)}; "
                "nothing was written; score with `ukdsl score`, and report the student's declaration"
            )
        if len(difference) and difference.max() > largest:
            largest, of_head = float(difference.max()), head
    counts = {name: int(unknown) for name, (unknown, _) in scorer.unknown_ids(prepared).items()}
    if wrong := {name: count for name, count in found.unknown_ids.items() if counts[name] != count}:
        expected_counts = {name: counts[name] for name in wrong}
        raise ExportError(
            f"unknown ids: the file counts {wrong}, batch scoring {expected_counts}; nothing was written; report the "
            "student's declaration"
        )
    return Compared(rows, largest, of_head)


def _shown(frame: pl.DataFrame, row: int) -> str:
    return f"{frame.row(row, named=True)!r:.300}"
