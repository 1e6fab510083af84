"""Standard errors by the bootstrap over requests, whose rows are not independent of one another."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.frames.splits import md5_numbers

REPLICATES = 200


def replicate_weights(requests: pl.Series, seed: int, replicates: int = REPLICATES) -> NDArray[np.float64]:
    """How often each replicate draws each request: Poisson(1) counts, float64 [replicates, requests].

    The Poisson bootstrap (Chamandy et al., Estimating Uncertainty for Massive Data Streams, 2012) draws requests
    independently, which for ratios of sums is as good as drawing a fixed number of them. A draw follows from the
    seed, the replicate and the request's id alone, so that shards can be drawn one by one, in any order.

    Args:
        requests: distinct ids, of any length.
    """
    from ukdsl_assets.learning.metrics.poisson_draws import poisson_draws

    draws: NDArray[np.float64] = poisson_draws(md5_numbers(requests, f"bootstrap/{seed}").to_numpy(), replicates)
    return draws


def request_sums(request: NDArray[np.int64], requests: int, *columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of columns [rows] over each request, float64 [requests, columns].

    A replicate's totals are `replicate_totals(replicate_weights(...), request_sums(...))`.

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


def request_numbers(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Position of each row's request among the sorted distinct requests, int64 [rows].

    Raises:
        ValueError: a request's id is null.
    """
    requests = rows["request_id"]
    if requests.null_count():
        raise ValueError(
            f"request_id is null in {requests.null_count()} of {len(requests)} rows; give each its request"
        )
    # A request's rows stand together, mostly: runs are so much fewer than rows.
    run = requests.rle_id().to_numpy().astype(np.int64)
    first = np.flatnonzero(np.diff(run, prepend=-1))
    ranks = requests[first].rank("dense").to_numpy().astype(np.int64)
    return np.asarray(ranks[run] - 1)


def draws_of(rows: pl.DataFrame, seed: int) -> NDArray[np.float64]:
    """How often each replicate draws each request of `request_numbers`, float64 [replicates, requests]."""
    return replicate_weights(rows["request_id"].unique().sort(), seed)
