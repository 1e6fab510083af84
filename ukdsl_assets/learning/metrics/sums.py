"""Sums whose bytes follow from their terms alone, on whatever processor and however many threads.

BLAS (`@`, `np.dot`) adds in an order of its own for each kind of processor and number of threads, so that a published
figure would change in its last digits. NumPy's sum of a contiguous column does not: its pairwise order is fixed by the
length, and its vector instructions round as the others do. A product of matrices keeps BLAS where no sum rounds at all.
"""

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A sum of multiples of a power of two is exact, in any order, up to 2^53 of them.
_EXACT_BITS = 53
_LIMITING = Lock()


def weighted_sum(weight: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    """Sum of weight * value, float64 [rows] each; 0 without rows, NaN with a NaN. About 1.5 times BLAS's time."""
    return float((weight * value).sum())


def replicate_totals(draws: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """draws @ sums, float64 [replicates, columns], of columns rounded so that every order gives the same bytes.

    Args:
        draws: whole numbers from 0 to 15, float64 [replicates, requests], as of `replicate_weights`.
        sums: float64 [requests, columns]. Each is rounded by at most 2^-49 of the sum of its column's sizes; a column
            with an infinity or a NaN has no finite total.
    """
    most = np.abs(sums).sum(axis=0)
    # All totals are below 16 * most, hence below 2^53 steps.
    _, exponent = np.frexp(np.where(np.isfinite(most), most, 0.0))
    step = np.ldexp(1.0, exponent + (4 - _EXACT_BITS))
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.rint(sums / step) * step
        # A second thread of OpenBLAS would wait at full load for the next product, for ten times as long as this takes.
        # One limit at a time: of two that overlap, the later would bring back the earlier's one thread, for good.
        with _LIMITING, _blas().limit(limits=1):
            return np.asarray(draws @ rounded)


def unit_products(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """columns.T @ columns, float64 [columns, columns], of columns of length 1 or 0, float64 [rows, columns].

    Their values are rounded to multiples of 2^-26, and so a product by about 2e-8: then no sum rounds, for products are
    multiples of 2^-52 and their sizes sum to 1 at most.
    """
    rounded = np.rint(columns * 2.0**26) / 2.0**26
    return np.asarray(rounded.T @ rounded)


@lru_cache(maxsize=1)
def _blas() -> Any:
    """What sets the threads of NumPy's matrix products; it takes a millisecond to find."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
