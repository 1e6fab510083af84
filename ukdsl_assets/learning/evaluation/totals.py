"""Sums over all withheld rows, shard by shard, from which calibration, normalized entropy and AUC follow."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.evaluation.comparisons import Comparison, comparisons
from ukdsl_assets.learning.evaluation.predictions import PredictedShards
from ukdsl_assets.learning.metrics.auc import request_auc_sums
from ukdsl_assets.learning.metrics.auc_bins import BinnedOutcomes
from ukdsl_assets.learning.metrics.calibration import constant_entropy, row_entropy
from ukdsl_assets.learning.metrics.sums import weighted_sum

# Domain, reference, arm, head.
ComparisonKey = tuple[str, str, str, str]


@dataclass
class Totals:
    """One arm's head in one comparison: how many rows, and weighted sums over them.

    positives: rows whose reference is above 0, as often as it was seen: a corrected label counts once.
    reference, prediction, entropy: of each in turn times the weight; ordered: of `metrics.request_auc_sums`.
    """

    rows: int = 0
    positives: int = 0
    weight: float = 0.0
    reference: float = 0.0
    prediction: float = 0.0
    entropy: float = 0.0
    ordered: tuple[float, float] = (0.0, 0.0)
    outcomes: BinnedOutcomes = field(default_factory=BinnedOutcomes)

    def add(self, compared: Comparison, prediction: NDArray[np.float32]) -> None:
        """Count a shard's rows; prediction: float32 [chosen rows]."""
        y, w, p = compared.y, compared.w, prediction.astype(np.float64)
        self.rows += len(y)
        self.positives += int((y > 0).sum())
        self.weight += float(w.sum())
        self.reference += weighted_sum(w, y)
        self.prediction += weighted_sum(w, p)
        self.entropy += weighted_sum(w, row_entropy(p, y))
        inside, share = request_auc_sums(p, compared.observed, compared.request, w)
        self.ordered = (self.ordered[0] + inside, self.ordered[1] + share)
        self.outcomes.add(prediction, compared.observed, w)

    @property
    def mean_reference(self) -> float:
        """Weighted; NaN without rows."""
        return self.reference / self.weight if self.weight > 0 else float("nan")

    @property
    def calibration(self) -> float:
        """As `metrics.calibration`."""
        return self.prediction / self.reference if self.reference != 0 else float("nan")

    @property
    def normalized_entropy(self) -> float:
        """As `metrics.normalized_entropy`."""
        base = constant_entropy(self.mean_reference)
        return self.entropy / self.weight / base if base > 0 else float("nan")

    @property
    def request_auc(self) -> float:
        """As `metrics.request_auc`."""
        inside, share = self.ordered
        return inside / share if share != 0 else float("nan")


def totals_of(shards: PredictedShards) -> dict[ComparisonKey, Totals]:
    """One pass over the shards, in their order."""
    totals: dict[ComparisonKey, Totals] = {}
    for read in shards:
        rows, predictions = read()
        for compared in comparisons(rows):
            for (arm, head), every in predictions.items():
                of_rows = totals.setdefault((compared.domain, compared.reference, arm, head), Totals())
                of_rows.add(compared, every[compared.chosen])
    return totals
