"""Bounds for looking at an experiment while it runs, by which no lift is found in one of twenty experiments, not more.

A group sequential test whose error is spent like that of O'Brien and Fleming (Lan and DeMets, Discrete sequential
boundaries for clinical trials, Biometrika 1983): of the 5% hardly anything at the first looks, nearly all at the last.
It was chosen before an always-valid interval (mSPRT, confidence sequences) because an experiment here has a planned
length: its last look then asks for 2.01 standard errors with four looks in place of 1.96, which is 2% more visitors. An
interval that is valid after any number of looks, for ever, is wider by half. What the plan asks in return is that looks
follow it and not what was seen.

What is spent follows the planned time, how looks depend on each other what was measured by then (Lan and DeMets,
Group sequential procedures: calendar versus information time, Statistics in Medicine 1989).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[float] | NDArray[np.float64]
# Two-sided: a lift and a loss are found alike.
ERROR = 0.05
# Gauss-Legendre nodes of what has not been decided yet.
_NODES = 128
# A bound beyond is never reached; solving for it would only lose digits.
_NEVER = 1e-12
# Of so many standard deviations of a step nothing is left.
_REACH = 8.5


def spent(fractions: Numbers, error: float = ERROR) -> NDArray[np.float64]:
    """The error spent by each fraction of the planned time, in (0, 1], float64 [looks]: all of it at 1.

    Half of it on either side, each by the spending function of Lan and DeMets for one side.
    """
    from scipy.special import ndtr, ndtri

    return np.asarray(4 * ndtr(ndtri(error / 4) / np.sqrt(np.minimum(np.asarray(fractions, float), 1.0))))


def bounds(spent_by: NDArray[np.float64], information: Numbers) -> NDArray[np.float64]:
    """How many standard errors from zero decide at each look, float64 [looks]; infinite where nothing is spent.

    Args:
        spent_by: error spent by each look, rising, as of `spent`.
        information: of each look, 1 / error^2, above 0 and rising; only its ratios matter. One that does not rise has
            nothing new to tell: its bound is infinite, and its error is left to the next look.
    """
    from scipy.optimize import brentq

    found = np.full(len(information), np.inf)
    state, used, seen = _Undecided(), 0.0, 0.0
    for look, (until, now) in enumerate(zip(spent_by, information, strict=True)):
        share = float(until) - used
        if now <= seen * (1 + 1e-9) or share < _NEVER:
            continue
        root = np.sqrt(now)
        if state.outside(now, 0.0) > share:
            found[look] = brentq(lambda z: state.outside(now, z * root) - share, 0.0, 40.0, xtol=1e-10)  # noqa: B023
        else:
            found[look] = 0.0
        state, used, seen = state.after(now, found[look] * root), float(until), now
    return found


def crossing(limits: Numbers, information: Numbers, drift: float = 0.0) -> float:
    """The probability that a limit is crossed at some look.

    Args:
        limits: standard errors of each look; infinite for none.
        information: of each look, rising, 1 at the planned end. drift: the lift in standard errors of the planned end.
    """
    state, total = _Undecided(), 0.0
    for limit, now in zip(limits, information, strict=True):
        if not np.isfinite(limit):
            continue
        at = float(limit * np.sqrt(now))
        total += state.outside(now, at, drift)
        state = state.after(now, at, drift)
    return total


class _Undecided:
    """Where the score (z times root of information) of experiments that no look has decided stands, as a density."""

    def __init__(
        self,
        information: float = 0.0,
        nodes: NDArray[np.float64] | None = None,
        mass: NDArray[np.float64] | None = None,
    ) -> None:
        # Before the first look all stand at 0.
        self._information = information
        self._nodes = np.zeros(1) if nodes is None else nodes
        self._mass = np.ones(1) if mass is None else mass

    def outside(self, information: float, limit: float, drift: float = 0.0) -> float:
        """The probability to be at most -limit or at least limit at that look, not having been decided before."""
        from scipy.special import ndtr

        step = np.sqrt(information - self._information)
        centre = self._nodes + drift * (information - self._information)
        beyond = ndtr((-limit - centre) / step) + ndtr((centre - limit) / step)
        return float((self._mass * beyond).sum())

    def after(self, information: float, limit: float, drift: float = 0.0) -> "_Undecided":
        """Those that are still between -limit and limit (the recursion of Armitage, McPherson and Rowe, 1969)."""
        grown = information - self._information
        step = np.sqrt(grown)
        centre = self._nodes + drift * grown
        # Far outside of what can be reached there is nothing to integrate.
        low = max(-limit, float(centre.min()) - _REACH * step)
        high = min(limit, float(centre.max()) + _REACH * step)
        if high <= low:
            return _Undecided(information, np.zeros(1), np.zeros(1))
        unit, weight = _quadrature()
        nodes = low + (high - low) * (unit + 1) / 2
        density = np.exp(-0.5 * ((nodes[:, None] - centre[None, :]) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        mass = (density * self._mass[None, :]).sum(axis=1) * weight * (high - low) / 2
        return _Undecided(information, nodes, mass)


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights
