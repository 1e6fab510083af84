"""Randomness of pages: hashes of (seed, purpose, request), so that a page is a pure function and can be made again."""

from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

# Standard deviation of the logistic distribution at scale 1.
LOGISTIC_DEVIATION = float(np.pi / np.sqrt(3))


def uniforms(seed: int, purpose: str, request: object, count: int) -> NDArray[np.float64]:
    """U(0, 1), float64 [count], neither end among them; `request` counts by its text, so that 7 and "7" are one."""
    digest = shake_128(f"{seed}/{purpose}/{request}".encode()).digest(8 * count)
    bits = np.frombuffer(digest, "<u8") >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53 + 2.0**-54


def logistics(seed: int, purpose: str, request: object, count: int, deviation: float) -> NDArray[np.float64]:
    """Logistic deviates about 0 of a standard deviation, float64 [count]."""
    uniform = uniforms(seed, purpose, request, count)
    return deviation / LOGISTIC_DEVIATION * np.log(uniform / (1 - uniform))
