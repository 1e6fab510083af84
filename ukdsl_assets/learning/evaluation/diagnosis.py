"""How far logged predictions are from what came of them, and what recalibration could gain: sums over rows alone.

Rows of a request are not independent, so every error is over requests: that of a ratio of sums, by the delta method.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.auc_bins import BINS, bins_of
from ukdsl_assets.learning.metrics.calibration import constant_entropy, row_entropy
from ukdsl_assets.learning.metrics.interval import interval_of_ratio
from ukdsl_assets.learning.metrics.least_positives import (
    REQUESTS_TO_RELEASE,
    REQUESTS_TO_WEIGH,
    TO_AUDIT_ON_EXPLORATION,
    TO_CALIBRATE_A_NETWORK,
)
from ukdsl_assets.learning.metrics.monotone import (
    BinnedRows,
    any_monotone,
    binned_entropy,
    middles,
    right_level,
    right_line,
)
from ukdsl_assets.learning.metrics.sums import weighted_sum

DECILES = 10
# Share of pages without an error on which some interval of the groups misses.
_TOGETHER = 0.05
# Each half of the requests fits maps that the other judges.
_TO_FIT = 2 * TO_CALIBRATE_A_NETWORK


@dataclass(frozen=True)
class Compared:
    """Predictions beside what they are compared with; columns of [rows], a request's rows in any order.

    Attributes:
        prediction: float32 in [0, 1], without NaN.
        reference: float64 in [0, 1]: labels, or the next stage's predictions.
        weight: float64 > 0, such as 1 / propensity.
        request: int64 in [0, requests).
        first_half: Boolean [requests], which of them fit the maps that the others judge, and the other way round.
        soft: whether references are probabilities, which have an entropy of their own, and not outcomes.
    """

    prediction: NDArray[np.float32]
    reference: NDArray[np.float64]
    weight: NDArray[np.float64]
    request: NDArray[np.int64]
    first_half: NDArray[np.bool_]
    soft: bool

    @cached_property
    def bins(self) -> NDArray[np.int32]:
        """Bin of each prediction, int32 [rows]."""
        return bins_of(self.prediction)

    @cached_property
    def weighted(self) -> bool:
        """Whether rows stand for different numbers of rows."""
        return bool(len(self.weight) and np.ptp(self.weight) > 0)


@dataclass(frozen=True)
class Agreement:
    """Of each group of rows, arrays of [groups].

    `requests` and `positives` are effective numbers (Kish, 1965): of requests by their weight, and of positive labels
    by theirs; of equal weights they are counts. NaN where a ratio is undefined.
    """

    rows: NDArray[np.int64]
    requests: NDArray[np.float64]
    positives: NDArray[np.float64]
    mean_prediction: NDArray[np.float64]
    mean_reference: NDArray[np.float64]
    calibration: NDArray[np.float64]
    error_of_log: NDArray[np.float64]

    def too_few(self, group: int, soft: bool, weighted: bool) -> str:
        """Why a group of rows says nothing, in words; empty where it does."""
        needed = REQUESTS_TO_WEIGH if weighted and not soft else REQUESTS_TO_RELEASE
        seen = float(self.requests[group])
        if not seen >= needed:
            kind = "effective requests" if weighted else "requests"
            return f"{seen:,.0f} {kind}, fewer than {needed}"
        positives = float(self.positives[group])
        if not soft and not positives >= TO_AUDIT_ON_EXPLORATION:
            kind = "effective positive labels" if weighted else "positive labels"
            return f"{positives:,.0f} {kind}, fewer than {TO_AUDIT_ON_EXPLORATION}"
        if not (math.isfinite(self.calibration[group]) and math.isfinite(self.error_of_log[group])):
            predicted = float(self.mean_prediction[group])
            return f"{'its predictions sum' if predicted == 0 else 'what it is compared with sums'} to 0"
        return ""

    def interval(self, group: int, of_many: int = 1) -> tuple[float, float]:
        """The 95% interval of a group's calibration; of many groups, one that holds for all of them together."""
        ratio, error = float(self.calibration[group]), float(self.error_of_log[group])
        if of_many == 1:
            return interval_of_ratio(ratio, error)
        width = math.exp(NormalDist().inv_cdf(1 - _TOGETHER / 2 / of_many) * error)
        return ratio / width, ratio * width


@dataclass(frozen=True)
class Gain:
    """NE of predictions as they are, and after recalibration; a change is one of NE, as a share of it.

    `level`, `line` and `monotone` are fitted on half of the requests and judged on the other half, both ways; `bound`
    is the least NE that any map which never falls has on these very rows. `floor` is the NE of the references
    themselves, which have an entropy where they are probabilities; NaN for outcomes, whose floor nobody knows.
    """

    ne: float
    floor: float
    level: float
    line: float
    monotone: float
    bound: float
    level_change_error: float
    line_change_error: float
    monotone_change_error: float

    def change(self, name: str) -> float:
        """NE after recalibration over NE as it is, less 1."""
        return float(getattr(self, name)) / self.ne - 1

    def share(self, name: str) -> float:
        """Of what NE is above the floor, the share that recalibration takes away; NaN without a floor."""
        return (self.ne - float(getattr(self, name))) / (self.ne - self.floor) if self.ne > self.floor else math.nan


def agreement(compared: Compared, position: NDArray[np.int64] | None = None, groups: int = 1) -> Agreement:
    """Mean prediction against mean reference of each group of rows, with errors over requests.

    Args:
        position: group of each row, int64 in [0, groups); None: all rows are one group.
    """
    place = np.zeros(len(compared.request), np.int64) if position is None else position
    requests = len(compared.first_half)
    # One sum a request and group: rows of a request in a group go together. Most cells of many groups have no row.
    cell = compared.request * groups + place
    held = np.flatnonzero(np.bincount(cell, minlength=requests * groups))
    group, w = held % groups, compared.weight
    weight, predicted, reference = (
        np.bincount(cell, each, requests * groups)[held].astype(np.float64)
        for each in (w, w * compared.prediction, w * compared.reference)
    )

    def of_groups(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(group, values, groups).astype(np.float64)

    with np.errstate(invalid="ignore", divide="ignore"):
        total, sum_p, sum_y = of_groups(weight), of_groups(predicted), of_groups(reference)
        ratio = np.where(sum_y > 0, sum_p / sum_y, np.nan)
        residual = predicted - ratio[group] * reference
        return Agreement(
            np.bincount(place, minlength=groups),
            np.where(total > 0, total**2 / of_groups(weight**2), 0.0),
            np.where(sum_y > 0, sum_y**2 / np.bincount(place, w**2 * compared.reference, groups), 0.0),
            sum_p / total,
            sum_y / total,
            ratio,
            np.where(sum_p > 0, np.sqrt(of_groups(residual**2)) / sum_p, np.nan),
        )


def deciles(compared: Compared) -> NDArray[np.int64]:
    """The tenth of the weight, by rising prediction, in which each row lies: int64 [rows], 0 to 9, to a bin's width."""
    weight = np.bincount(compared.bins, compared.weight, BINS)
    middle = (np.cumsum(weight) - weight / 2) / max(weight.sum(), np.finfo(float).tiny)
    return np.clip(middle * DECILES, 0, DECILES - 1).astype(np.int64)[compared.bins]


def gain(compared: Compared) -> Gain | None:
    """What recalibration could gain on the rows; None where half of them are too few to fit it to."""
    y, w, bins = compared.reference, compared.weight, compared.bins
    p = compared.prediction.astype(np.float64)
    if compared.soft:
        enough = agreement(compared).requests[0] >= REQUESTS_TO_WEIGH
    else:
        enough = min(_effective(w, y), _effective(w, 1 - y)) >= _TO_FIT
    first = compared.first_half[compared.request]
    halves = [BinnedRows.of(bins[of], compared.prediction[of], y[of], w[of]) for of in (first, ~first)]
    if not enough or not all(0 < half.mean_reference < 1 for half in halves):
        return None
    every = BinnedRows(*(one + other for one, other in zip(*map(_sums, halves), strict=True)))
    total = float(w.sum())
    constant = total * constant_entropy(every.mean_reference)
    raw = _of_requests(compared, w * row_entropy(p, y))
    pseudo = total / len(w)
    figures, errors = {}, {}
    for name, fit in (
        ("level", right_level),
        ("line", right_line),
        ("monotone", lambda half: any_monotone(half, pseudo)),
    ):
        # What the first half says is judged on the second, and the other way round.
        by_second, by_first = (fit(half)(middles(every)) for half in reversed(halves))
        mapped = np.where(first, by_second[bins], by_first[bins])
        after = _of_requests(compared, w * row_entropy(mapped, y))
        ratio = float(after.sum()) / float(raw.sum())
        residual = after - ratio * raw
        figures[name] = float(after.sum()) / constant
        errors[f"{name}_change_error"] = math.sqrt(weighted_sum(residual, residual)) / float(raw.sum())
    floor = weighted_sum(w, row_entropy(y, y)) / constant if compared.soft else math.nan
    bound = binned_entropy(every, any_monotone(every)) / constant
    return Gain(float(raw.sum()) / constant, floor, bound=bound, **figures, **errors)


def _sums(half: BinnedRows) -> tuple[NDArray[np.float64], ...]:
    return half.weight, half.predicted, half.reference


def _of_requests(compared: Compared, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(compared.request, values, len(compared.first_half)).astype(np.float64)


def _effective(weight: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Rows of equal weight that know the reference's mean as well as its positive ones do; 0 without any."""
    positive = weighted_sum(weight, reference)
    return positive**2 / weighted_sum(weight**2, reference) if positive > 0 else 0.0
