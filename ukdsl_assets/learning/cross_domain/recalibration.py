"""A teacher of another surface put on this one's level: a line through its logits, fitted to this surface's own labels.

Two numbers (Platt, 1999) take the harm of a foreign level away and leave the order, unless the slope is below 0: then
the teacher orders this surface's labels the wrong way round, or did so by chance in few of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import label_column
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.least_positives import TO_JUDGE_A_FOREIGN_TEACHER
from ukdsl_assets.learning.metrics.platt import apply_platt, fit_platt


@dataclass(frozen=True)
class Line:
    """sigmoid(slope * logit + intercept), and the labels that it was fitted to.

    Attributes:
        rows: labelled impressions; positives: positive labels among them.
        slope, intercept: 1 and 0 where nothing was fitted.
        why_not: why predictions stay as they are, for people; empty for a fitted line.
    """

    rows: int
    positives: int
    slope: float = 1.0
    intercept: float = 0.0
    why_not: str = ""

    @property
    def fitted(self) -> bool:
        """Whether it moves anything."""
        return not self.why_not

    @property
    def message(self) -> str:
        """What became of the predictions, for people."""
        fitted_rows = f"{self.rows} impressions that are not withheld, with {self.positives} positive labels"
        if not self.fitted:
            return f"as it is, since {self.why_not} ({fitted_rows})"
        reversed_order = "; below 0, so the teacher's order is reversed" if self.slope < 0 else ""
        return f"slope {self.slope:.6g}{reversed_order}, intercept {self.intercept:.6g}, fitted to {fitted_rows}"

    def moved(self, prediction: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predictions on the line, float32 [rows]; the same array where nothing was fitted."""
        return apply_platt(prediction, self.slope, self.intercept) if self.fitted else prediction


def fit_line(prediction: NDArray[np.float32], label: NDArray[np.float32]) -> Line:
    """The line of least cross entropy, or one that moves nothing where there are too few labels to fit two numbers to.

    Args:
        prediction: float [rows], a teacher's; label: 0 or 1, float [rows], without NaN.
    """
    rows, positives = len(label), int(label.sum())
    fewer = min(positives, rows - positives)
    if fewer < TO_JUDGE_A_FOREIGN_TEACHER:
        kind = "positive" if positives == fewer else "negative"
        return Line(
            rows, positives, why_not=f"{fewer} {kind} labels are fewer than the {TO_JUDGE_A_FOREIGN_TEACHER} it takes"
        )
    try:
        slope, intercept = fit_platt(prediction, label)
    except TrainingError:
        return Line(rows, positives, why_not="its predictions do not differ or are not numbers")
    return Line(rows, positives, slope, intercept)


def recalibrated(labels: pl.DataFrame, lines: Mapping[str, Line]) -> pl.DataFrame:
    """The frame with `<task>_prediction` (Float32) of each of the tasks moved along its line; all else as it was."""
    return labels.with_columns(
        pl.Series(name, line.moved(labels[name].to_numpy()), pl.Float32)
        for name, line in ((label_column(task), line) for task, line in lines.items())
    )
