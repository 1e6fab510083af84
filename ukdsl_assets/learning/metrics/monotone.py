"""What maps of predictions that keep their order make of them: a shift of all logits, a line, any that never falls.

Fits are on bins of the prediction (`auc_bins`), a thousandth wide, so that they cost the same whatever the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.auc_bins import BINS
from ukdsl_assets.learning.metrics.calibration import row_entropy
from ukdsl_assets.learning.metrics.logits import log_odds, logit, sigmoid
from ukdsl_assets.learning.metrics.platt import fit_platt
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.metrics.weighted import shift_to_rate

# Probabilities float64 [any] -> what they become, of the same length.
Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class BinnedRows:
    """Sums of rows in bins of their prediction, float64 [BINS]: of weight, and of it times prediction and reference."""

    weight: NDArray[np.float64]
    predicted: NDArray[np.float64]
    reference: NDArray[np.float64]

    @classmethod
    def of(
        cls, bins: NDArray[np.int32], p: NDArray[np.float32], y: NDArray[np.float64], w: NDArray[np.float64]
    ) -> "BinnedRows":
        """Columns of [rows]; `bins` as of `bins_of(p)`."""
        return cls(*(np.bincount(bins, each, BINS).astype(np.float64) for each in (w, w * p, w * y)))

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean prediction, mean reference and weight of the bins that have weight, lowest first."""
        kept = self.weight > 0
        weight = self.weight[kept]
        return self.predicted[kept] / weight, self.reference[kept] / weight, weight

    @property
    def mean_reference(self) -> float:
        """Weighted mean of the reference; NaN without weight."""
        total = float(self.weight.sum())
        return float(self.reference.sum()) / total if total > 0 else float("nan")


def middles(binned: BinnedRows) -> NDArray[np.float64]:
    """Mean prediction of each bin, float64 [BINS]; 0.5 where a bin has no weight, which no row asks for."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(binned.weight > 0, binned.predicted / binned.weight, 0.5)


def right_level(binned: BinnedRows) -> Map:
    """The shift of all logits after which the mean prediction is the mean reference, which lies in (0, 1)."""
    p, _, w = binned.rows()
    shift = shift_to_rate(p, w, binned.mean_reference)
    return lambda probability: sigmoid(logit(probability) + shift)


def right_line(binned: BinnedRows) -> Map:
    """A Platt layer: level and slope of the logits. One that would turn the order round is the constant instead."""
    p, y, w = binned.rows()
    try:
        slope, intercept = fit_platt(p, y, w)
    except TrainingError:
        # Predictions that do not differ have a level and no slope.
        return right_level(binned)
    if slope <= 0:
        slope, intercept = 0.0, log_odds(binned.mean_reference)
    return lambda probability: sigmoid(slope * logit(probability) + intercept)


def any_monotone(binned: BinnedRows, pseudo_rows: float = 0.0) -> Map:
    """The map that never falls and has the least cross entropy: isotonic regression (Ayer et al., 1955).

    Between bins that were fitted it is interpolated.

    Args:
        pseudo_rows: weight of the mean reference that each level gets beside its own, so that a level of few rows is
            not 0 or 1, which other rows would refute at any price. 0 is the least entropy on the very rows.
    """
    from scipy.optimize import isotonic_regression

    p, y, w = binned.rows()
    fitted = isotonic_regression(y, weights=w)
    if pseudo_rows:
        starts = fitted.blocks[:-1]
        level_weight = np.add.reduceat(w, starts)
        level = np.add.reduceat(w * y, starts) + pseudo_rows * binned.mean_reference
        # Levels of few rows move more than their neighbours, and may pass them.
        again = isotonic_regression(level / (level_weight + pseudo_rows), weights=level_weight + pseudo_rows)
        values = np.repeat(again.x, np.diff(fitted.blocks))
    else:
        values = fitted.x
    return lambda probability: np.interp(probability, p, values)


def binned_entropy(binned: BinnedRows, by: Map) -> float:
    """Summed cross entropy in nats of what a map makes of the bins' predictions, weighted."""
    p, y, w = binned.rows()
    return weighted_sum(w, row_entropy(by(p), y))
