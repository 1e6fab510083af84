"""Which slot a policy gives each candidate of a request."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# (score float64 [rows], request int64 [rows] from 0 on, slots int64 [requests]) -> slot int64 [rows]: 1 is the first,
# 0 for a candidate that is not shown. Each request has each of its slots filled once.
Slate = Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def top(score: NDArray[np.float64], request: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The `Slate` of the highest scores in their order, the highest first; of equal ones the earlier row.

    Args:
        score: float64 [rows]; NaN comes last.
        request: int64 [rows], in any order; slots: int64 [requests], of each.

    Returns:
        int64 [rows]; a request of fewer candidates than slots leaves the last slots empty.
    """
    order = np.lexsort((-score, request))
    of_request = np.bincount(request, minlength=len(slots))
    starts = np.cumsum(of_request) - of_request
    place = np.empty(len(score), np.int64)
    place[order] = np.arange(len(score)) - starts[request[order]] + 1
    return np.where(place <= slots[request], place, 0)
