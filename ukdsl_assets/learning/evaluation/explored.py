"""Explored rows of one day and of several together, from sums that add up over days."""

import math
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import EXPLORED, EXPLORED_TRAILING
from ukdsl_assets.learning.metrics.interval import interval_of_ratio
from ukdsl_assets.learning.metrics.sums import weighted_sum

# Column of the evaluation table that holds `ExploredSums` of a row of domain EXPLORED.
SUMS = "explored_sums"


class ExploredSums(NamedTuple):
    """Sums over explored rows of weights w = 1 / propensity, predictions p and references y.

    Those in the second line are over requests, of what the rows of one sum to: requests of two days are not one.
    """

    weight: float
    predicted: float
    reference: float
    squared_row_weights: float
    squared_weights_predicted: float

    squared_weight: float
    squared_predicted: float
    squared_reference: float
    predicted_reference: float

    @property
    def calibration(self) -> float:
        """Mean prediction over mean reference; NaN where the latter is 0."""
        return self.predicted / self.reference if self.reference > 0 else math.nan

    @property
    def calibration_error(self) -> float:
        """Its standard error over requests (delta method), as of `weighted.calibration_on_log_scale`; NaN likewise."""
        ratio = self.calibration
        squares = self.squared_predicted - 2 * ratio * self.predicted_reference + ratio**2 * self.squared_reference
        return math.sqrt(max(squares, 0.0)) / self.reference if self.reference > 0 else math.nan

    @property
    def effective_rows(self) -> float:
        """Rows of equal weight that would know as much: (sum w)^2 / sum w^2; 0 without rows."""
        return _effective(self.weight, self.squared_row_weights)

    @property
    def effective_requests(self) -> float:
        """Likewise of requests, as `weighted.effective_number`."""
        return _effective(self.weight, self.squared_weight)

    @property
    def effective_positives(self) -> float:
        """Likewise of requests by the weight of their positive labels."""
        return _effective(self.reference, self.squared_reference)

    @property
    def effective_predicted(self) -> float:
        """Positive labels that the predictions expect: (sum w p)^2 / sum w^2 p."""
        return _effective(self.predicted, self.squared_weights_predicted)


def explored_sums(
    p: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], request: NDArray[np.int64]
) -> NDArray[np.float64]:
    """`ExploredSums` of rows whose requests are whole, float64 [9]; columns float64 [rows], request int64 [rows]."""
    of_rows = [float(w.sum()), weighted_sum(w, p), weighted_sum(w, y), weighted_sum(w, w), weighted_sum(w * w, p)]
    _, number = np.unique(request, return_inverse=True)
    weight, predicted, reference = (np.bincount(number, each).astype(np.float64) for each in (w, w * p, w * y))
    products = ((weight, weight), (predicted, predicted), (reference, reference), (predicted, reference))
    return np.array([*of_rows, *(weighted_sum(one, other) for one, other in products)])


def pooled(rows: pl.DataFrame) -> pl.DataFrame:
    """Domain EXPLORED_TRAILING: each arm, head and reference over the days of the rows of domain EXPLORED.

    Every day counts with the predictions of its own checkpoints.

    Args:
        rows: arm, head, reference, rows, positives and `SUMS` (null in tables of before it was kept: left out).

    Returns:
        Those columns with domain, days, mean_reference, calibration, calibration_error and effective_rows; no rows for
        none. Calibration and its error are NaN without a positive reference.
    """
    kept = rows.filter(pl.col(SUMS).is_not_null(), domain=EXPLORED)
    table = []
    for (arm, head, reference), of in kept.group_by("arm", "head", "reference", maintain_order=True):
        sums = ExploredSums(*np.array(of[SUMS].to_list()).sum(axis=0).tolist())
        counts: dict[str, Any] = {"rows": of["rows"].sum(), "days": int((of["rows"] > 0).sum())}
        counts |= {"positives": of["positives"].sum() if reference == "label" else None}
        figures = {name: getattr(sums, name) for name in ("calibration", "calibration_error", "effective_rows")}
        mean = sums.reference / sums.weight if sums.weight > 0 else math.nan
        names = {"arm": arm, "head": head, "domain": EXPLORED_TRAILING, "reference": reference}
        table.append(names | counts | {"mean_reference": mean, **figures, SUMS: list(sums)})
    texts = dict.fromkeys(("arm", "head", "domain", "reference"), pl.String)
    whole = dict.fromkeys(("rows", "days", "positives"), pl.Int64)
    floats = dict.fromkeys(("mean_reference", "calibration", "calibration_error", "effective_rows"), pl.Float64)
    return pl.DataFrame(table, schema={**texts, **whole, **floats, SUMS: pl.List(pl.Float64)})


def interval(calibration: float, error: float) -> tuple[float, float]:
    """`interval_of_ratio` of a calibration and its standard error."""
    return interval_of_ratio(calibration, error / calibration if calibration > 0 else math.nan)


def _effective(total: float, squares: float) -> float:
    return round(total**2 / squares, 6) if squares > 0 else 0.0
