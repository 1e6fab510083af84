"""Two students on the same rows: by how much the challenger's NE differs from the champion's, and how surely.

Both are compared with the same references, so that the entropy of the constant cancels: the change is the sum of the
challenger's row entropies over the sum of the champion's, minus 1. What is kept are sums over requests, which add over
shards and days.
"""

import math
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.bootstrap import request_sums
from ukdsl_assets.learning.metrics.calibration import row_entropy
from ukdsl_assets.learning.metrics.sums import weighted_sum


@dataclass(frozen=True)
class Paired:
    """Sums over requests, b being a request's weighted entropy under the champion, d what the challenger's has more.

    requests, rows, positives: counts; a positive is a row whose reference is above 0, as often as it was seen.
    champion, difference: sums of b and d; champion_squared, difference_squared, product: of b^2, d^2 and b d. The
    variance of a small change would be lost in the difference of large squares, hence d.
    """

    requests: int = 0
    rows: int = 0
    positives: int = 0
    champion: float = 0.0
    difference: float = 0.0
    champion_squared: float = 0.0
    difference_squared: float = 0.0
    product: float = 0.0

    def __add__(self, other: "Paired") -> "Paired":
        """Both together; no request may be in both."""
        return Paired(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def change(self) -> float:
        """The challenger's NE over the champion's, minus 1; NaN where the champion's entropy is 0."""
        return self.difference / self.champion if self.champion > 0 else float("nan")

    @property
    def error(self) -> float:
        """Standard error of the change over requests, by the delta method; NaN for fewer than two requests.

        Of a ratio of sums it is sqrt(n / (n - 1) * sum (d - change * b)^2) / sum b (Cochran, Sampling Techniques, 6.4).
        """
        if self.requests < 2 or not math.isfinite(self.change):
            return float("nan")
        residual = self.difference_squared - 2 * self.change * self.product + self.change**2 * self.champion_squared
        return math.sqrt(max(residual, 0) * self.requests / (self.requests - 1)) / self.champion


def paired(
    request: NDArray[np.int64],
    reference: NDArray[np.float64],
    weight: NDArray[np.float64],
    champion: NDArray[np.float32],
    challenger: NDArray[np.float32],
) -> Paired:
    """The sums of some rows.

    Args:
        request: number of each row's request, int64 [rows] >= 0; numbers that no row has are no requests.
        reference: float64 [rows] >= 0, labels (above 1 where corrected for delay) or a teacher's predictions.
        weight: float64 [rows] >= 0.
        champion, challenger: predictions, float32 [rows].

    Returns:
        All 0 without rows; sums are NaN with a NaN in the input.
    """
    return paired_entropies(request, reference, *weighted_entropies(reference, weight, champion, challenger))


def weighted_entropies(
    reference: NDArray[np.float64],
    weight: NDArray[np.float64],
    champion: NDArray[np.float32],
    challenger: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's weighted entropy under the champion, and what the challenger's has more; arguments as of `paired`."""
    before, after = (row_entropy(p.astype(np.float64), reference) for p in (champion, challenger))
    return weight * before, weight * (after - before)


def paired_entropies(
    request: NDArray[np.int64],
    reference: NDArray[np.float64],
    champion: NDArray[np.float64],
    difference: NDArray[np.float64],
) -> Paired:
    """`paired` of rows whose `weighted_entropies` are known."""
    if not len(request):
        return Paired()
    there = np.bincount(request) > 0
    requests = int(there.sum())
    # Numbered anew without those that no row has.
    b, d = request_sums((np.cumsum(there) - 1)[request], requests, champion, difference).T.copy()
    squares = (weighted_sum(b, b), weighted_sum(d, d), weighted_sum(b, d))
    return Paired(requests, len(request), int((reference > 0).sum()), float(b.sum()), float(d.sum()), *squares)
