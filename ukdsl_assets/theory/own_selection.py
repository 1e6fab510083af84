"""What both stages predict for what stage 2 selects from what stage 1 left (paper, 3.1 applied to 3.2)."""

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_simpson, simpson
from scipy.special import betaincc, betaincinv, log_ndtr

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.order_statistics import expected_top, quadrature
from ukdsl_assets.theory.two_stages import Means, TwoStages, selected_by_stage_1

# Nodes of stage 1's threshold, and of each piece of stage 2's range, which ends where nothing is left.
OUTER, INNER = 121, 2001
FURTHEST, TAIL = 9.5, 1e-18
# Correlations beyond 1 - SAME are 1 but for rounding.
SAME = 1e-12


def selected_by_stage_2(stages: TwoStages, n: int, k1: int, k2: int) -> Means:
    """Means on S_2, the top `k2` by stage 2 of the top `k1` of `n` by stage 1.

    There are closed forms at the ends. k2 = k1: S_2 is S_1. k1 = n, or stages that order candidates alike: S_2 is the
    top k2 of n by stage 2, and the regressions of `selected_by_stage_1` hold with Y_2 in the place of Y_1.

    Between them it is numerical. Let W_i = (Y_i - mu) / sd(Y_i), r their correlation, and T the (n-k1)-th smallest of
    the n values of W_1, the largest that is not selected. Given T the members of S_1 are independent, and W_2 of each
    has the density of W_2 given W_1 > T (an extended skew normal one),

        f(w) = phi(w) Phi(a) / Phi(-T),    a = (r w - T) / sqrt(1 - r^2).

    With F its distribution, a member at w is in S_2 if at most k2 - 1 of the k1 - 1 others are above it, which has
    the probability I_F(w)(k1 - k2, k2), an incomplete beta function. So g of a candidate in S_2 has the mean

        E_T [ k1 / k2 * integral of E[g | W_2 = w, W_1 > T] f(w) I_F(w)(k1 - k2, k2) dw ],

    where E[W_1 | W_2 = w, W_1 > T] = r w + sqrt(1 - r^2) phi(a) / Phi(a), and the truth is linear in W_1 and W_2. The
    two nested quadratures are right to about 1e-8 standard deviations.

    Args:
        n, k1, k2: 1 <= k2 <= k1 <= n.

    Raises:
        TheoryError: for other counts, or stages that order candidates in opposite ways.
    """
    if not 1 <= k2 <= k1 <= n:
        raise TheoryError(f"n = {n}, k1 = {k1}, k2 = {k2}; expected 1 <= k2 <= k1 <= n")
    if k2 == k1:
        return selected_by_stage_1(stages, n, k1)
    spread = np.sqrt(np.diag(stages.covariance))
    correlation = stages.covariance / np.outer(spread, spread)
    r = float(correlation[1, 2])
    if r < SAME - 1:
        raise TheoryError(f"the stages' predictions have the correlation {r}; expected one above -1")
    if k1 == n or r > 1 - SAME:
        return Means(*(stages.mean + spread * correlation[2] * expected_top(k2, n)))
    first, second = _standardised(r, n, k1, k2)
    on_first, on_second = np.linalg.solve(correlation[1:, 1:], correlation[0, 1:])
    scores = np.array([on_first * first + on_second * second, first, second])
    return Means(*(stages.mean + spread * scores))


def _standardised(r: float, n: int, k1: int, k2: int) -> tuple[float, float]:
    """Means of W_1 and W_2 on S_2, with a row a threshold T [OUTER, INNER]."""
    thresholds, weights = quadrature(np.array([n - k1]), n, OUTER)
    t = thresholds.T
    # First where stage 2's own threshold can be, then a piece there and one above it.
    every = np.broadcast_to(np.linspace(-FURTHEST, FURTHEST, INNER), (OUTER, INNER))
    survival = _survival(every, _density(every, t, r), np.zeros((OUTER, 1)))
    low, high = 1 - betaincinv(k1 - k2, k2, TAIL), betaincinv(k2, k1 - k2, TAIL)
    starts, ends = np.array([np.interp([-low, -high], -row, every[0]) for row in survival]).T
    upper, lower = np.linspace(ends, FURTHEST, INNER, axis=1), np.linspace(starts, ends, INNER, axis=1)
    first, second, above = np.zeros(OUTER), np.zeros(OUTER), np.zeros(OUTER)
    for w in (upper, lower):
        f = _density(w, t, r)
        survival = _survival(w, f, above[:, None])
        above = survival[:, 0]
        in_s2 = f * betaincc(k2, k1 - k2, survival.clip(0, 1)) * k1 / k2
        step = w[:, 1] - w[:, 0]
        second += step * simpson(w * in_s2, axis=1)
        first += step * simpson(_first_given(w, t, r) * in_s2, axis=1)
    return float(weights[0] @ first), float(weights[0] @ second)


def _density(w: NDArray[np.float64], t: NDArray[np.float64], r: float) -> NDArray[np.float64]:
    """f(w) for thresholds t [rows, 1]."""
    a = (r * w - t) / np.sqrt(1 - r**2)
    return np.exp(log_ndtr(a) - log_ndtr(-t) - w**2 / 2) / np.sqrt(2 * np.pi)


def _survival(
    w: NDArray[np.float64], f: NDArray[np.float64], beyond: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """1 - F at evenly spaced w [rows, points], summed from the upper end, beyond which there is `beyond`."""
    step = (w[:, 1] - w[:, 0])[:, None]
    summed = step * cumulative_simpson(f[:, ::-1], axis=1, initial=0)[:, ::-1]
    return beyond + summed


def _first_given(w: NDArray[np.float64], t: NDArray[np.float64], r: float) -> NDArray[np.float64]:
    """E[W_1 | W_2 = w, W_1 > t]."""
    rest = np.sqrt(1 - r**2)
    a = (r * w - t) / rest
    return r * w + rest * np.exp(-(a**2) / 2 - log_ndtr(a)) / np.sqrt(2 * np.pi)
