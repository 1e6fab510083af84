"""Sums over all withheld rows, shard by shard, from which calibration, normalized entropy and AUC follow."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, OWN
from ukdsl_assets.learning.evaluation.comparisons import Comparison, Order
from ukdsl_assets.learning.evaluation.domains import chosen_by_each
from ukdsl_assets.learning.evaluation.explored import explored_sums
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.evaluation.passes import JudgedShard, Summed, one_pass
from ukdsl_assets.learning.evaluation.predictions import PredictedShards
from ukdsl_assets.learning.metrics.auc import request_auc_sums
from ukdsl_assets.learning.metrics.auc_bins import BinnedOutcomes
from ukdsl_assets.learning.metrics.bootstrap import REPLICATES, request_sums
from ukdsl_assets.learning.metrics.calibration import constant_entropy, row_entropy
from ukdsl_assets.learning.metrics.sums import replicate_totals, weighted_sum

# Domains that have figures without rows too.
ALWAYS = (IMP, CD)
# Domain, reference, arm, head.
ComparisonKey = tuple[str, str, str, str]


@dataclass
class Totals:
    """One arm's head in one comparison: how many rows, and weighted sums over them.

    positives: rows whose reference is above 0, as often as it was seen: a corrected label counts once.
    reference, prediction, entropy: of each in turn times the weight; ordered: of `metrics.request_auc_sums`.
    order: of a head's own choice against the truth; explored: `explored.ExploredSums` of explored rows, float64 [9].
    drawn: reference, prediction and entropy of the requests that each replicate draws, float64 [replicates, 3].
    """

    rows: int = 0
    positives: int = 0
    weight: float = 0.0
    reference: float = 0.0
    prediction: float = 0.0
    entropy: float = 0.0
    ordered: tuple[float, float] = (0.0, 0.0)
    outcomes: BinnedOutcomes = field(default_factory=BinnedOutcomes)
    weight_squares: float = 0.0
    order: Order | None = None
    explored: NDArray[np.float64] | None = None
    drawn: NDArray[np.float64] = field(default_factory=lambda: np.zeros((REPLICATES, 3)))

    @classmethod
    def of_reference(cls, compared: Comparison) -> "Totals":
        """What is the same whoever predicts a shard's rows."""
        y, w = compared.y, compared.w
        return cls(
            rows=len(y),
            positives=int((y > 0).sum()),
            weight=float(w.sum()),
            weight_squares=weighted_sum(w, w),
            reference=weighted_sum(w, y),
            order=compared.order,
        )

    def predicted(
        self, compared: Comparison, prediction: NDArray[np.float32], requests: int
    ) -> tuple["Totals", NDArray[np.float64]]:
        """The sums `of_reference` with those of a prediction, and by request its own and its entropy's.

        Args:
            prediction: float32 [chosen rows].
            requests: how many the shard has.

        Returns:
            `drawn` is not set yet: it is the draws of the second, float64 [requests, 2].
        """
        y, w, p = compared.y, compared.w, prediction.astype(np.float64)
        weighted = w * p
        if compared.domain == OWN:
            # Each head chose rows of its own: neither entropy nor order among them is comparable.
            sums = request_sums(compared.request, requests, weighted, np.full_like(p, np.nan))
            return replace(self, prediction=float(weighted.sum()), entropy=math.nan), sums
        entropy = w * row_entropy(p, y)
        outcomes = BinnedOutcomes()
        outcomes.add(prediction, compared.observed, w)
        of_rows = replace(
            self,
            prediction=float(weighted.sum()),
            entropy=float(entropy.sum()),
            ordered=request_auc_sums(p, compared.observed, compared.request, w),
            outcomes=outcomes,
            explored=explored_sums(p, y, w, compared.request) if compared.domain == EXPLORED else None,
        )
        return of_rows, request_sums(compared.request, requests, weighted, entropy)

    def plus(self, other: "Totals") -> "Totals":
        """The sums over the rows of both."""
        summed_up = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name not in ("ordered", "outcomes", "order", "explored")
        }
        order = self.order.plus(other.order) if self.order and other.order else self.order or other.order
        parts = [each for each in (self.explored, other.explored) if each is not None]
        return Totals(
            **summed_up,
            ordered=(self.ordered[0] + other.ordered[0], self.ordered[1] + other.ordered[1]),
            outcomes=self.outcomes.plus(other.outcomes),
            order=order,
            explored=sum(parts[1:], parts[0]) if parts else None,
        )

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
    def effective_rows(self) -> float:
        """Rows of equal weight that would know as much: (sum w)^2 / sum w^2; 0 without rows."""
        return self.weight**2 / self.weight_squares if self.weight_squares > 0 else 0.0

    @property
    def recall(self) -> float | None:
        """Of the ideal choice, the share that was chosen too; None where no choice is judged, or of nothing."""
        return self.order.shared / self.order.ideal if self.order and self.order.ideal else None

    @property
    def value_share(self) -> float | None:
        """Of the ideal choice's sum of bid * truth, the share that was chosen; None as `recall`, or of no value."""
        return self.order.value / self.order.ideal_value if self.order and self.order.ideal_value > 0 else None

    @property
    def request_auc(self) -> float:
        """As `metrics.request_auc`."""
        inside, share = self.ordered
        return inside / share if share != 0 else float("nan")


def totals_of(shards: PredictedShards, seed: int, mapped: Mapped = map) -> dict[ComparisonKey, Totals]:
    """One pass over the shards.

    Domains but IMP and CD that have no rows are left out.

    Args:
        seed: of the bootstrap over requests, the same draws for all arms.
        mapped: what works on groups of shards, for `one_pass`.

    Raises:
        ValueError: an arm or head predicts some shards alone, so that its sums would be of fewer rows.
    """
    (found,) = one_pass(shards, seed, [TOTALS], mapped)
    return totals_from(found)


# The arms and heads that predict, and the sums of each in each comparison.
_OfShards = tuple[set[tuple[str, str]], dict[ComparisonKey, Totals]]


def totals_from(found: Iterable[_OfShards]) -> dict[ComparisonKey, Totals]:
    """`totals_of` from the sums `TOTALS` of a pass."""
    sums = list(found)
    _, totals = reduce(_both, sums) if sums else (None, {})
    return {key: of_rows for key, of_rows in totals.items() if key[0] in ALWAYS or of_rows.rows}


def _totals_of_shard(shard: JudgedShard) -> _OfShards:
    draws, predictions = shard.draws, shard.predictions
    totals: dict[ComparisonKey, Totals] = {}
    by_request: list[NDArray[np.float64]] = []
    alike = [(each, list(predictions)) for each in shard.comparisons]
    for compared, heads in [*alike, *chosen_by_each(shard.rows, predictions)]:
        of_reference = Totals.of_reference(compared)
        reference = request_sums(compared.request, draws.shape[1], compared.w * compared.y)
        for arm, head in heads:
            of_rows, sums = of_reference.predicted(compared, predictions[arm, head][compared.chosen], draws.shape[1])
            totals[compared.domain, compared.reference, arm, head] = of_rows
            by_request += [reference, sums]
    if totals:
        # All columns at once: a product of matrices costs as much for one as for many.
        drawn = replicate_totals(draws, np.concatenate(by_request, axis=1))
        for number, of_rows in enumerate(totals.values()):
            of_rows.drawn = drawn[:, 3 * number : 3 * number + 3]
    return {*predictions}, totals


def _both(one: _OfShards, other: _OfShards) -> _OfShards:
    if one[0] != other[0]:
        only = sorted(one[0] ^ other[0])
        raise ValueError(f"{only} predict some shards alone, expected the same arms and heads of all")
    for key, totals in other[1].items():
        one[1][key] = one[1][key].plus(totals) if key in one[1] else totals
    return one


TOTALS = Summed(_totals_of_shard, _both)
