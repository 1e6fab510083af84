"""Expected order statistics of standard normals, exactly and by Blom's approximation (UKDSL paper, 3.1)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, log_ndtr, ndtri

from ukdsl_assets.errors import TheoryError

# The trapezoid rule converges exponentially on a smooth density that vanishes at both ends (Trefethen and Weideman,
# SIAM Review 2014): 241 nodes between these quantiles leave nothing but rounding.
NODES = 241
TAIL = 1e-22
# Order statistics whose nodes are in memory together.
BLOCK = 4096


def expected_order_statistics(ranks: ArrayLike, n: int) -> NDArray[np.float64]:
    """E z(r:n), the expected r-th smallest of `n` independent standard normals.

    z(r:n) has the density n! / ((r-1)! (n-r)!) Phi(z)^(r-1) (1 - Phi(z))^(n-r) phi(z) (paper, 3.1). Its logarithm is
    summed, so that no n is too large, and the mean is that of the trapezoid rule's weights, which needs no factorial.
    The error is below 1e-12 for n up to a million.

    Args:
        ranks: integers in 1 .. n, any shape; 1 is the smallest, n the largest.
        n: at least 1.

    Returns:
        Float64 of the ranks' shape; empty for none.

    Raises:
        TheoryError: n is below 1, or a rank is not in 1 .. n.
    """
    return mean_over_order_statistics(lambda z: z, ranks, n)


def expected_top(k: ArrayLike, n: int) -> NDArray[np.float64]:
    """zbar, the mean of the k largest of `n` expected order statistics, without summing them (paper, 3.1).

    One of n normals, z, is among the top k if at most k - 1 of the others are above it; let T be the (n-k)-th smallest
    of those n - 1, so that z must be above T. Then k zbar = n E[z; z > T] = n E[phi(T)], since the integral of
    z phi(z) above T is phi(T). So a single expectation does for any k.

    Args:
        k: integers in 1 .. n, any shape.
        n: at least 1.

    Returns:
        Float64 of k's shape; 0 for k = n.

    Raises:
        TheoryError: n is below 1, or a k is not in 1 .. n.
    """
    count = _integers_up_to("k", k, n)
    means = np.zeros(count.shape)
    some = count < n
    if some.any():
        means[some] = n / count[some] * mean_over_order_statistics(_density, n - count[some], n - 1)
    return means


def blom_order_statistics(ranks: ArrayLike, n: int) -> NDArray[np.float64]:
    """Blom's approximation Phi^-1((r - 3/8) / (n + 1/4)), as in Royston (1982, AS 177); args as the exact one."""
    return ndtri((_integers_up_to("ranks", ranks, n) - 0.375) / (n + 0.25))


def blom_top(k: ArrayLike, n: int) -> NDArray[np.float64]:
    """The mean of Blom's approximation over the top k; args as `expected_top`; memory grows with n."""
    count = _integers_up_to("k", k, n)
    from_the_largest = np.cumsum(blom_order_statistics(np.arange(n, 0, -1), n))
    return from_the_largest[count - 1] / count


def mean_over_order_statistics(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], ranks: ArrayLike, n: int
) -> NDArray[np.float64]:
    """E f(z(r:n)) for a smooth function of arrays that grows no faster than a polynomial; args as above."""
    rank = _integers_up_to("ranks", ranks, n)
    flat = rank.ravel()
    blocks = [flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK)]
    means = [(weights * function(nodes)).sum(axis=1) for nodes, weights in (quadrature(block, n) for block in blocks)]
    return np.concatenate([*means, np.empty(0)]).reshape(rank.shape)


def quadrature(ranks: NDArray[np.int64], n: int, nodes: int = NODES) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights [ranks, nodes] of expectations over z(r:n), ranks [ranks] in 1 .. n; weights sum to 1.

    Phi(z(r:n)) is Beta(r, n - r + 1), which gives the range; its upper end is the lower one of the mirrored rank.
    """
    below, above = (ranks - 1.0)[:, None], (n - ranks * 1.0)[:, None]
    lowest, highest = ndtri(betaincinv(below + 1, above + 1, TAIL)), -ndtri(betaincinv(above + 1, below + 1, TAIL))
    z = lowest + (highest - lowest) * np.linspace(0, 1, nodes)
    logarithm = below * log_ndtr(z) + above * log_ndtr(-z) - z**2 / 2
    weights = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    return z, weights / weights.sum(axis=1, keepdims=True)


def _density(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _integers_up_to(name: str, values: ArrayLike, n: int) -> NDArray[np.int64]:
    """The values as int64, all in 1 .. n."""
    array = np.asarray(values)
    if n < 1:
        raise TheoryError(f"n is {n}, expected at least 1")
    if array.size and not (np.issubdtype(array.dtype, np.integer) and array.min() >= 1 and array.max() <= n):
        raise TheoryError(f"{name}: saw {array.dtype} from {array.min()} to {array.max()}, expected integers 1 to {n}")
    return array.astype(np.int64)
