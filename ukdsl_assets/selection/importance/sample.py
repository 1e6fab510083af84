"""The rows that importance is measured on, and how changes of their cross entropy become scores and errors."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.learning.metrics.calibration import constant_entropy
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.selection.importance.permutations import permutations

# Requests are thrown together into this many clusters: their variance is then known to 1 / sqrt(2 * 512), 3%.
CLUSTERS = 512


@dataclass(frozen=True)
class Sample:
    """Withheld rows without their features.

    target: float64 [rows] in [0, 1], labels or soft labels; weight: float64 [rows] >= 0.
    cluster: int32 [rows] in [0, clusters), that of the row's request. donors: int32 [repeats, rows].
    """

    target: NDArray[np.float64]
    weight: NDArray[np.float64]
    cluster: NDArray[np.int32]
    clusters: int
    donors: NDArray[np.int32]

    @property
    def scale(self) -> float:
        """What a weighted sum of cross entropies is divided by to be NE; NaN where NE is undefined."""
        total = float(self.weight.sum())
        mean = weighted_sum(self.weight, self.target) / total if total > 0 else float("nan")
        return total * constant_entropy(mean)


@dataclass
class Changes:
    """What permuting each group does to the weighted cross entropy, summed; parts of a sample can be added.

    of_repeat: float64 [groups, repeats], over rows. of_cluster: float64 [groups, clusters], over repeats and the
    cluster's rows, each counted twice: for the row that took a value and for the row that gave it.
    """

    of_repeat: NDArray[np.float64]
    of_cluster: NDArray[np.float64]

    @classmethod
    def none(cls, groups: int, sample: Sample) -> "Changes":
        return cls(np.zeros((groups, len(sample.donors))), np.zeros((groups, sample.clusters)))

    def add(self, other: "Changes") -> None:
        self.of_repeat += other.of_repeat
        self.of_cluster += other.of_cluster

    def count(self, group: int, repeat: int, sample: Sample, change: NDArray[np.float64]) -> None:
        """Add one group's and repeat's weighted changes, float64 [rows] of the whole sample."""
        self.of_repeat[group, repeat] += change.sum()
        for took in (sample.cluster, sample.cluster[sample.donors[repeat]]):
            self.of_cluster[group] += np.bincount(took, change, sample.clusters)


def sample_of(
    target: ArrayLike, weight: ArrayLike | None, request: ArrayLike | None, repeats: int, seed: int
) -> Sample:
    """A sample with its donors drawn.

    Args:
        target: [rows] in [0, 1]; weight: [rows] >= 0, or None for equal weights.
        request: integers [rows] >= 0, number of each row's request; None where rows are independent of one another.

    Raises:
        ValueError: for columns of different lengths; targets outside [0, 1]; negative weights.
    """
    y = np.asarray(target, np.float64)
    w = np.ones_like(y) if weight is None else np.asarray(weight, np.float64)
    number = np.arange(len(y)) if request is None else np.asarray(request)
    if y.ndim != 1 or not y.shape == w.shape == number.shape:
        raise ValueError(f"expected columns of one length, saw shapes {y.shape}, {w.shape} and {number.shape}")
    if (w < 0).any() or (y < 0).any() or (y > 1).any():
        raise ValueError("expected targets in [0, 1] and weights of at least 0, saw others")
    cluster = (number % CLUSTERS).astype(np.int32)
    return Sample(y, w, cluster, int(cluster.max(initial=0)) + 1, permutations(len(y), repeats, seed))


def standard_errors(sample: Sample, changes: Changes) -> NDArray[np.float64]:
    """Standard error of each group's mean change of NE, float64 [groups]; NaN with fewer than two clusters.

    The score is a mean over pairs of a row that takes and a row that gives, so each row's influence on it is what it
    adds in both roles (Hajek's projection of a two-sample mean); influences are summed over requests, whose rows are
    not independent. The influence of the mean target on NE's denominator is in it. So it covers the choice of rows
    and of donors; where few repeats leave much of the noise to the donors it is too large, by a factor of at most
    the root of 2. It does not cover the training of the model.
    """
    repeats, rows = sample.donors.shape
    scale, total = sample.scale, float(sample.weight.sum())
    if not np.isfinite(scale):
        return np.full(len(changes.of_repeat), np.nan)
    score = changes.of_repeat.mean(1) / scale
    mean = weighted_sum(sample.weight, sample.target) / total
    entropy = scale / total

    def summed(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(sample.cluster, column, sample.clusters).astype(np.float64)

    weight, count = summed(sample.weight), summed(np.ones(rows))
    # The derivative of the entropy of the mean target, times how far the cluster pulls that mean.
    pull = math.log((1 - mean) / mean) / entropy * (summed(sample.weight * sample.target) - mean * weight) / total
    both = changes.of_cluster / repeats / scale - np.outer(score, weight / total + count / rows)
    influence = both - np.outer(score, pull)
    used = count > 0
    clusters = int(used.sum())
    if clusters < 2:
        return np.full(len(score), np.nan)
    deviation = influence[:, used] - influence[:, used].mean(1, keepdims=True)
    return np.asarray(np.sqrt(clusters / (clusters - 1) * (deviation**2).sum(1)))
