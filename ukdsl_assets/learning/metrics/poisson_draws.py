"""The kernel of the Poisson bootstrap: how often each replicate draws each request, from numbers of both alone."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

# P(Poisson(1) <= k): a count above 12 comes once in 1e10.
_CUMULATIVE = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(13)])
# Numba would make floats of a uint64 and a signed number.
_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_11, _27, _30, _31 = (np.uint64(n) for n in (11, 27, 30, 31))


@njit(cache=True, nogil=True)
def poisson_draws(numbers: NDArray[np.uint64], replicates: int) -> NDArray[np.float64]:
    """Poisson(1) counts, float64 [replicates, requests], of independent numbers of requests, uint64 [requests]."""
    draws = np.empty((replicates, len(numbers)))
    for replicate in range(replicates):
        of_replicate = _mixed(np.uint64(replicate + 1) * _GOLDEN)
        for request in range(len(numbers)):
            uniform = (_mixed(numbers[request] ^ of_replicate) >> _11) * 2.0**-53
            count = 0
            while count < len(_CUMULATIVE) and uniform >= _CUMULATIVE[count]:
                count += 1
            draws[replicate, request] = count
    return draws


@njit(cache=True, nogil=True)
def _mixed(bits: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (Steele et al., Fast Splittable Pseudorandom Number Generators, 2014)."""
    bits = (bits ^ (bits >> _30)) * _FIRST
    bits = (bits ^ (bits >> _27)) * _SECOND
    return bits ^ (bits >> _31)
