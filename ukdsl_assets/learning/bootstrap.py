"""Standard errors by the bootstrap over requests, whose rows are not independent of one another."""

import numpy as np
from numpy.typing import NDArray

REPLICATES = 200


def replicate_weights(requests: int, seed: int, replicates: int = REPLICATES) -> NDArray[np.float64]:
    """How often each replicate draws each request: Poisson(1) counts, float64 [replicates, requests].

    The Poisson bootstrap (Chamandy et al., Estimating Uncertainty for Massive Data Streams, 2012) draws requests
    independently, which for ratios of sums is as good as drawing a fixed number of them.
    """
    return np.random.default_rng(seed).poisson(1.0, (replicates, requests)).astype(np.float64)


def request_sums(request: NDArray[np.int64], requests: int, *columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of columns [rows] over each request, float64 [requests, columns].

    A replicate's totals are `replicate_weights(...) @ request_sums(...)`.

    Args:
        request: int64 [rows] in [0, requests), in any order.
        requests: how many there are; one without rows sums to 0.
    """
    return np.stack([np.bincount(request, weights=each, minlength=requests) for each in columns], axis=1)


def standard_error(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over the replicates, float64 [replicates, ...] -> [...].

    Replicates in which a figure is not finite (such as a group that was not drawn) are left out; NaN where fewer than
    two are finite.
    """
    finite = np.isfinite(figures)
    count = finite.sum(0)
    kept = np.where(finite, figures, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.where(finite, figures - kept.sum(0) / count, 0.0)
        return np.asarray(np.where(count > 1, np.sqrt((deviation**2).sum(0) / (count - 1)), np.nan))
