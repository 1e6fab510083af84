"""Sums over a teacher's labels that its gates are judged by: those of a day's shards add up to those of the day."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import KEYS


@dataclass(frozen=True)
class LabelCounts:
    """Labels as a whole.

    rows: labels; wrong: rows of which one is null, NaN or outside [0, 1]; repeated: rows beyond the first of a key.
    scored: shown rows that the teacher's stage scored; missing: those of them without labels.
    """

    rows: int
    wrong: int
    repeated: int
    scored: int
    missing: int

    @classmethod
    def of(cls, labels: pl.DataFrame, scored: int, missing: int) -> "LabelCounts":
        """Counts of all rows of some requests.

        Args:
            labels: request_id, candidate_id and a Float32 column for each of at least one task; fastest sorted by key.
            scored, missing: shown rows that the teacher's stage scored, and those of them without labels.
        """
        right = pl.all_horizontal(pl.exclude(KEYS).is_between(0, 1).fill_null(False))
        return cls(len(labels), len(labels) - labels.select(right.sum()).item(), _repeated(labels), scored, missing)

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        """Counts of both, which have no request in common."""
        return LabelCounts(
            rows=self.rows + other.rows,
            wrong=self.wrong + other.wrong,
            repeated=self.repeated + other.repeated,
            scored=self.scored + other.scored,
            missing=self.missing + other.missing,
        )


@dataclass(frozen=True)
class Agreement:
    """Predictions against labels: rows, predictions that are not finite, and the sums of labels and of predictions."""

    rows: int
    not_finite: int
    positives: float
    predicted: float

    @classmethod
    def of(cls, prediction: NDArray[np.float32], label: NDArray[np.float32]) -> "Agreement":
        """Sums in float64 of float [rows] each; a prediction that is not finite makes `predicted` so."""
        return cls(
            rows=len(label),
            not_finite=int((~np.isfinite(prediction)).sum()),
            positives=float(np.sum(label, dtype=np.float64)),
            predicted=float(np.sum(prediction, dtype=np.float64)),
        )

    @property
    def calibration(self) -> float:
        """Mean prediction over mean label; NaN where the labels sum to 0, as without rows."""
        return self.predicted / self.positives if self.positives else float("nan")

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            rows=self.rows + other.rows,
            not_finite=self.not_finite + other.not_finite,
            positives=self.positives + other.positives,
            predicted=self.predicted + other.predicted,
        )


def _repeated(labels: pl.DataFrame) -> int:
    """Rows beyond the first of a key; where keys rise from row to row there are none, and none is hashed."""
    request, candidate = map(pl.col, KEYS)
    higher = (request > request.shift(1)) | ((request == request.shift(1)) & (candidate > candidate.shift(1)))
    if labels.select(higher.sum()).item() >= len(labels) - 1:
        return 0
    return len(labels) - labels.select(KEYS).n_unique()
