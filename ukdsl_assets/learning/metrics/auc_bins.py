"""AUC of any number of rows in the memory of a fixed number of bins of the prediction.

A bin is a thousandth wide relative to the smaller of p and 1 - p; predictions that share one count as ties. That can
move the AUC by at most half the share of pairs (a positive and a negative) that share a bin.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.sums import weighted_sum

_MANTISSA_BITS = 10
_SHIFT = 23 - _MANTISSA_BITS
_LOWEST = 2.0**-24
_FIRST = (127 - 24) << _MANTISSA_BITS
_MIDDLE = (126 << _MANTISSA_BITS) - _FIRST
BINS = 2 * _MIDDLE + 1


def bins_of(prediction: NDArray[np.float32]) -> NDArray[np.int32]:
    """The bin of each prediction, int32 [rows] in [0, BINS), which rises with the prediction.

    Args:
        prediction: float32 [rows] in [0, 1]; what is outside shares the outermost bins, NaN the lowest.
    """
    # A positive float orders as its bits do, and 1 - p is exact from 1/2 on.
    smaller = np.minimum(prediction, np.float32(1) - prediction)
    kept = np.clip(np.nan_to_num(smaller, nan=0.0), _LOWEST, 0.5).astype(np.float32)
    place = (kept.view(np.int32) >> _SHIFT) - np.int32(_FIRST)
    bins: NDArray[np.int32] = np.where(prediction > 0.5, np.int32(BINS - 1) - place, place)
    return bins


@dataclass(frozen=True)
class Curve:
    """The AUC of all rows, `area`, with bins as ties; NaN where it is undefined.

    positives, negatives: their weight. won: of each bin the share of negatives below it that exceeds the area; lost:
    likewise the share of positives above it; float64 [BINS], or [0] where the area is NaN.
    """

    area: float
    positives: float
    negatives: float
    won: NDArray[np.float64]
    lost: NDArray[np.float64]

    def influence(
        self, prediction: NDArray[np.float32], label: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What each row adds to the AUC at first order, float64 [rows], as in `metrics.auc_with_influence`.

        Args:
            prediction, label, weight: of some of the rows that were added.
        """
        if np.isnan(self.area):
            return np.full(len(prediction), np.nan)
        place = bins_of(prediction)
        positive = weight * label / self.positives * self.won[place]
        return np.asarray(positive + weight * (1 - label) / self.negatives * self.lost[place])


@dataclass
class BinnedOutcomes:
    """Weight of positives and of negatives in each bin, float64 [BINS]; a NaN prediction makes every figure NaN."""

    positive: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    negative: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    defined: bool = True

    def add(self, prediction: NDArray[np.float32], label: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
        """Count rows: each is a positive of weight w * y and a negative of weight w * (1 - y), as in `metrics.auc`."""
        place = bins_of(prediction)
        self.positive += np.bincount(place, weight * label, BINS)
        self.negative += np.bincount(place, weight * (1 - label), BINS)
        self.defined = self.defined and not np.isnan(prediction).any()

    def plus(self, other: "BinnedOutcomes") -> "BinnedOutcomes":
        """The outcomes of both."""
        return BinnedOutcomes(
            self.positive + other.positive, self.negative + other.negative, self.defined and other.defined
        )

    def auc(self) -> float:
        """The AUC with bins as ties; NaN without positives or without negatives."""
        return self.curve().area

    def curve(self) -> "Curve":
        """The AUC, and what it takes to tell each row's influence on it."""
        positives, negatives = float(self.positive.sum()), float(self.negative.sum())
        if not (positives > 0 and negatives > 0 and self.defined):
            return Curve(float("nan"), positives, negatives, np.empty(0), np.empty(0))
        below = _below(self.negative)
        area = weighted_sum(self.positive, below) / positives / negatives
        return Curve(area, positives, negatives, below / negatives - area, 1 - _below(self.positive) / positives - area)

    def parts(self, count: int) -> NDArray[np.int64]:
        """The part, 0 to count - 1, of the whole weight in which the middle of each bin's weight lies, int64 [BINS]."""
        weight = self.positive + self.negative
        middle = _below(weight) / max(weight.sum(), np.finfo(float).tiny)
        part: NDArray[np.int64] = np.clip(middle * count, 0, count - 1).astype(np.int64)
        return part


def _below(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight below each bin, and half of its own."""
    return np.asarray(np.cumsum(weight) - weight / 2)
