"""The compiled end of every importance kernel: from changed logits to sums of changed cross entropy."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.logits import CLIP

# Kernels that call these are cached by the content of their own file: edit them too after a change here.
LIMIT = math.log((1 - CLIP) / CLIP)


@njit(cache=True, nogil=True)
def entropy_of(logit: float, target: float) -> float:
    """Cross entropy of one row in nats; as `learning.metrics.calibration.row_entropy` of the logit's sigmoid."""
    if logit > LIMIT:
        logit = LIMIT
    elif logit < -LIMIT:
        logit = -LIMIT
    return math.log1p(math.exp(-abs(logit))) + max(logit, 0.0) - target * logit


@njit(cache=True, nogil=True)
def count_changes(
    logit: NDArray[np.float64],
    change: NDArray[np.float64],
    entropy: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    took: NDArray[np.int32],
    gave: NDArray[np.int32],
    of_cluster: NDArray[np.float64],
) -> float:
    """Sum over rows of the weighted change of cross entropy when logits change; also added to both rows' clusters.

    Args:
        logit, change, entropy, target, weight: [rows]; rows without change cost next to nothing.
        took, gave: [rows], clusters of the row and of its donor. of_cluster: [clusters], added to.
    """
    total = 0.0
    for i in range(len(change)):
        if change[i] != 0:
            moved = weight[i] * (entropy_of(logit[i] + change[i], target[i]) - entropy[i])
            total += moved
            of_cluster[took[i]] += moved
            of_cluster[gave[i]] += moved
    return total
