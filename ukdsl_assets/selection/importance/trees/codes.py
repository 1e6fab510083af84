"""Compiled: a feature's values to the codes that all trees' decisions depend on."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 2048


@njit(cache=True, nogil=True)
def write_codes(
    values: NDArray[np.float32], cuts: NDArray[np.float64], categorical: bool, codes: NDArray[np.uint16]
) -> None:
    """Codes, as `tree_layout.Coding` says, of values [rows] to codes [rows]."""
    missing = len(cuts) + 1
    count = np.empty(BLOCK, np.uint16)
    block = np.empty(BLOCK, np.float64)
    for start in range(0, len(values), BLOCK):
        rows = min(BLOCK, len(values) - start)
        for i in range(rows):
            block[i] = np.trunc(values[start + i]) if categorical else values[start + i]
        count[:] = 0
        # Counting the cuts below is faster than a search for them: it has no branch.
        for cut in cuts:
            for i in range(rows):
                count[i] += np.uint16(block[i] > cut)
        for i in range(rows):
            code = count[i]
            if math.isnan(block[i]):
                code = missing
            elif categorical and (code == len(cuts) or cuts[code] != block[i]):
                code = len(cuts)
            codes[start + i] = code
