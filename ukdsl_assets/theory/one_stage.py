"""Equation 1: what an unbiased model promises and earns on the candidates that it selects itself (paper, 3.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.order_statistics import expected_top


@dataclass(frozen=True)
class Selected:
    """Means over the selected candidates, float64 of the arguments' common shape.

    prediction: of the model's predictions; truth: of what they are worth; optimum: of the truly best k of the n.
    """

    prediction: NDArray[np.float64]
    truth: NDArray[np.float64]
    optimum: NDArray[np.float64]

    @property
    def calibration(self) -> NDArray[np.float64]:
        """Mean prediction over mean truth."""
        return self.prediction / self.truth


def classical_selection(mu: ArrayLike, sigma: ArrayLike, tau: ArrayLike, n: int, k: ArrayLike) -> Selected:
    """The top `k` of `n` by Y = X + e, with the truth X ~ N(mu, sigma^2) and the error e ~ N(0, tau^2) independent.

    This is what the paper calls unbiased: E[Y | X] = X. Y is normal with variance v^2 = sigma^2 + tau^2, so the mean
    of the selected predictions is mu + v zbar, with zbar of `expected_top`. Given its prediction, a candidate is worth
    E[X | Y] = mu + sigma^2 / v^2 (Y - mu) (regression of joint normals), and selection looks at nothing but Y, so the
    mean truth is mu + sigma^2 / v zbar. The optimum is tau = 0: mu + sigma zbar. A larger tau raises the first and
    lowers the second.

    Args:
        mu: mean truth; sigma: its standard deviation, positive; tau: that of the error, at least 0.
        n: candidates; k: of them selected, integers in 1 .. n. All but n broadcast.

    Raises:
        TheoryError: for arguments outside these bounds.
    """
    at_least("sigma", sigma, 0, strictly=True)
    at_least("tau", tau, 0)
    mean, sd = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    spread, top = np.hypot(sd, tau), expected_top(k, n)
    return _selected(mean + spread * top, mean + sd**2 / spread * top, mean + sd * top)


def nested_selection(mu: ArrayLike, sigma: ArrayLike, tau: ArrayLike, n: int, k: ArrayLike) -> Selected:
    """The contrast: the top `k` of `n` by a prediction that is the mean of the truth given what the model knows.

    Now X = Y + e with e independent of Y, so E[X | Y] = Y (a posterior mean; Berkson's error). X ~ N(mu, sigma^2) as
    before, hence Y has the variance sigma^2 - tau^2. Selection looks at nothing but Y, so on any set that the model
    selects itself the mean truth is the mean prediction, mu + sqrt(sigma^2 - tau^2) zbar: no miscalibration arises.
    Section 3.1 is about models that are unbiased given the truth; a model that is calibrated at every one of its
    predictions is not among them.

    Args and raises as `classical_selection`; tau at most sigma.
    """
    at_least("sigma", sigma, 0, strictly=True)
    at_least("tau", tau, 0)
    at_least("sigma - tau", np.asarray(sigma) - np.asarray(tau), 0)
    mean, sd = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    top = expected_top(k, n)
    prediction = mean + np.sqrt(sd**2 - np.square(tau)) * top
    return _selected(prediction, prediction, mean + sd * top)


def at_least(name: str, values: Any, bound: float, strictly: bool = False) -> None:
    """Refuse values, numbers or arrays, that are not finite or below the bound.

    Raises:
        TheoryError: names the quantity and what was seen.
    """
    array = np.asarray(values, np.float64)
    wrong = ~np.isfinite(array) | ((array <= bound) if strictly else (array < bound))
    if wrong.any():
        expected = f"a finite number {'above' if strictly else 'of at least'} {bound:g}"
        raise TheoryError(f"{name} is {array[wrong].flat[0]:g}, expected {expected}")


def _selected(*means: NDArray[np.float64]) -> Selected:
    return Selected(*np.broadcast_arrays(*means))
