"""What a selection rule reads: importance on both data sets, costs, and features that say the same."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Three times 0.1 is more than 0.3.
COST_ROUNDING = 1e-9


@dataclass(frozen=True)
class Scores:
    """Importance of candidate features; see `learning.metrics.calibration.normalized_entropy` for NE.

    A score is the NE with the feature permuted less the NE as it is; NaN: not measured, which comes last in every
    ranking and counts as 0 where scores are added. All rules break ties by name, so that the order in which features
    are declared has no say.

    names: of the features, distinct.
    impression, consideration: float64 [features], on shown rows against labels and on considered rows against the
        teacher.
    cost: float64 [features] >= 0.
    cluster: int64 [features], the number in [0, clusters) of the features that are permuted together.
    cluster_impression, cluster_consideration: float64 [clusters], scores of whole clusters.
    likeness: float64 [features, features] in [0, 1] on considered rows, see `clusters.likeness`.
    """

    names: tuple[str, ...]
    impression: NDArray[np.float64]
    consideration: NDArray[np.float64]
    cost: NDArray[np.float64]
    cluster: NDArray[np.int64]
    cluster_impression: NDArray[np.float64]
    cluster_consideration: NDArray[np.float64]
    likeness: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, clusters = len(self.names), len(self.cluster_impression)
        shapes = [each.shape for each in (self.impression, self.consideration, self.cost, self.cluster)]
        if shapes != [(n,)] * 4 or self.likeness.shape != (n, n) or self.cluster_consideration.shape != (clusters,):
            raise ValueError(f"{n} features: expected columns of that length, saw shapes {shapes}")
        if len(set(self.names)) < n:
            raise ValueError(f"names repeat: {sorted(self.names)}; expected distinct ones")
        if not (self.cost >= 0).all():
            raise ValueError(f"costs are negative or NaN: {self.cost.tolist()}; expected at least 0 each")

    def ranking(self, *keys: NDArray[np.float64]) -> NDArray[np.int64]:
        """Positions of the features, best first: by the first key, ties by the next ones, in the end by name.

        Args:
            keys: float [features] each, larger is better; NaN comes last.
        """
        columns = [-np.where(np.isnan(key), -np.inf, key) for key in reversed(keys)]
        return np.lexsort([np.array(self.names, dtype=np.str_), *columns])

    def ranks(self, key: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rank of each feature by one key, 1 for the best; equal scores share the mean of their ranks."""
        from scipy.stats import rankdata

        return rankdata(-np.where(np.isnan(key), -np.inf, key), method="average")


@dataclass(frozen=True)
class Budget:
    """How many features, or how much cost in all, a selection may have.

    Raises:
        ValueError: unless exactly one of the two is given.
    """

    features: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        if (self.features is None) == (self.cost is None):
            raise ValueError(f"features is {self.features} and cost is {self.cost}; expected exactly one of them")

    @property
    def reach(self) -> float:
        """The cost that a selection may have, with room for the rounding of a sum; infinite without `cost`."""
        return float("inf") if self.cost is None else self.cost * (1 + COST_ROUNDING)

    def taken(self, scores: Scores, order: Iterable[int]) -> tuple[str, ...]:
        """Names in the given order as far as the budget reaches; what does not fit any more is passed over."""
        chosen: list[int] = []
        spent = 0.0
        for at in order:
            spent_then = spent + float(scores.cost[at])
            if self.features is not None:
                if len(chosen) < self.features:
                    chosen.append(int(at))
            elif spent_then <= self.reach:
                chosen.append(int(at))
                spent = spent_then
        return tuple(scores.names[at] for at in chosen)

    def kept(self, scores: Scores, names: Sequence[str]) -> bool:
        """Whether a selection keeps to the budget."""
        return len(names) <= self.features if self.features is not None else cost_of(scores, names) <= self.reach


def cost_of(scores: Scores, names: Sequence[str]) -> float:
    """What a selection costs."""
    return float(sum(scores.cost[scores.names.index(name)] for name in names))


def shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores without their negative part, as shares that sum to 1; NaN is 0. All 0 where no score is positive."""
    positive = np.nan_to_num(scores, nan=0.0).clip(0)
    # Exactly rounded, so that features in another order have the same shares, and ties stay ties.
    total = math.fsum(positive)
    return np.asarray(positive / total if total > 0 else positive)
