"""Stateless randomness: every draw of the simulated world is a hash of what it belongs to.

A stream is named by (seed, purpose); `absorb` mixes ids into it one by one (the splitmix64 generator of Steele, Lea
and Flood, 2014, whose state is the hash so far). So any entity, day or pair can be drawn alone, in any order.
"""

import hashlib

import numpy as np
from numba import njit, vectorize
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_ONE = np.uint64(1)

_LEVELS = 1 << 16


def _normal_levels() -> np.ndarray:
    """The mid-quantiles of N(0, 1) at 65,536 equal steps, scaled to a variance of exactly one; the mean is zero."""
    levels = ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS)
    return (levels / levels.std()).astype(np.float32)


# Normal deviates are looked up by 16 hashed bits: four for one hash, a few nanoseconds each, within 4.4 of zero.
NORMAL_LEVELS = _normal_levels()


@njit(cache=True, nogil=True)
def absorb(state: np.uint64, identifier: np.uint64) -> np.uint64:
    """The hash `state` with one more id mixed in; callable from other kernels, scalars only."""
    mixed = state + (identifier + _ONE) * _GOLDEN
    mixed = (mixed ^ (mixed >> _S30)) * _FIRST
    mixed = (mixed ^ (mixed >> _S27)) * _SECOND
    return mixed ^ (mixed >> _S31)


@vectorize(["uint64(uint64, uint64)"], cache=True)
def _absorb_arrays(state, identifier):  # type: ignore[no-untyped-def]
    return absorb(state, identifier)


def hashed(seed: int, purpose: str, *identifiers: np.ndarray | int) -> np.ndarray:
    """64 hashed bits for each combination of ids.

    Args:
        seed: the world, any integer.
        purpose: name of the stream, e.g. "user latent"; different names are independent.
        identifiers: integers or integer arrays (negative ones too) that broadcast against each other.

    Returns:
        uint64 of the broadcast shape; empty if an array is empty.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    state = np.asarray(int.from_bytes(digest, "little"), dtype=np.uint64)
    for identifier in identifiers:
        state = _absorb_arrays(state, np.asarray(identifier, dtype=np.int64).view(np.uint64))
    return state


def uniforms(seed: int, purpose: str, *identifiers: np.ndarray | int) -> np.ndarray:
    """Hashed U[0, 1), float64, of the ids' broadcast shape; see `hashed`."""
    return (hashed(seed, purpose, *identifiers) >> np.uint64(11)) * 2.0**-53


def normals(seed: int, purpose: str, *identifiers: np.ndarray | int) -> np.ndarray:
    """Hashed N(0, 1), float32, of the ids' broadcast shape, from 65,536 levels; see `hashed`."""
    return NORMAL_LEVELS[hashed(seed, purpose, *identifiers) >> np.uint64(48)]


def integers(count: int, seed: int, purpose: str, *identifiers: np.ndarray | int) -> np.ndarray:
    """Hashed integers, uniform over 0 .. count - 1, int64, of the ids' broadcast shape; see `hashed`."""
    return (uniforms(seed, purpose, *identifiers) * count).astype(np.int64)
