"""Equation 2: two stages, and what both predict for the candidates that the first selected (paper, 3.2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.one_stage import at_least
from ukdsl_assets.theory.order_statistics import expected_top

# How far below 0 an eigenvalue of a covariance may be, as a share of the largest: rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class TwoStages:
    """The joint normal law of (truth, prediction of stage 1, prediction of stage 2) of a candidate.

    mean: of all three, which are right on the whole. covariance: float64 [3, 3] in that order.
    """

    mean: float
    covariance: NDArray[np.float64]

    def __post_init__(self) -> None:
        values = np.linalg.eigvalsh(self.covariance)
        if not (
            np.isfinite(self.mean) and values[0] >= -ROUNDING * values[-1] and (np.diag(self.covariance) > 0).all()
        ):
            raise TheoryError(
                f"mean {self.mean}, covariance {np.asarray(self.covariance).tolist()}: expected a finite mean and a "
                "positive semi-definite matrix with positive variances"
            )


@dataclass(frozen=True)
class Means:
    """Means over one set of candidates, float64 arrays of one shape."""

    truth: NDArray[np.float64]
    stage_1: NDArray[np.float64]
    stage_2: NDArray[np.float64]

    @property
    def stage_1_calibration(self) -> NDArray[np.float64]:
        """Stage 1 over the truth: figure 2."""
        return self.stage_1 / self.truth

    @property
    def stage_2_calibration(self) -> NDArray[np.float64]:
        """Stage 2 over the truth: figure 2."""
        return self.stage_2 / self.truth

    @property
    def cross_stage_calibration(self) -> NDArray[np.float64]:
        """Stage 1 over stage 2, equation 2: all that can be seen where there are no labels."""
        return self.stage_1 / self.stage_2


def classical_stages(mu: float, sigma: float, tau1: float, tau2: float, rho: float = 0.0) -> TwoStages:
    """Stages that err around the truth: Y_i = X + e_i, X ~ N(mu, sigma^2), e_i ~ N(0, tau_i^2) independent of X.

    rho: correlation of e_1 and e_2 (0 in the paper); stages that share features and labels err alike.

    Raises:
        TheoryError: sigma is not positive, a tau is negative, or rho is not in [-1, 1].
    """
    at_least("sigma", sigma, 0, strictly=True)
    at_least("tau1", tau1, 0)
    at_least("tau2", tau2, 0)
    at_least("1 - |rho|", 1 - abs(rho), 0)
    errors = np.array([[0, 0, 0], [0, tau1**2, rho * tau1 * tau2], [0, rho * tau1 * tau2, tau2**2]])
    return TwoStages(mu, sigma**2 + errors)


def nested_stages(mu: float, sigma: float, tau1: float, tau2: float) -> TwoStages:
    """Stages that predict the mean of the truth given what they know, stage 2 knowing all that stage 1 does.

    Y_1 = E[Y_2 | stage 1's knowledge] and Y_2 = E[X | stage 2's], so that Cov(X, Y_i) = Var(Y_i) = sigma^2 - tau_i^2
    and Cov(Y_1, Y_2) = Var(Y_1); tau_i is the standard deviation of what stage i does not know. E[X | Y_i] = Y_i.

    Raises:
        TheoryError: unless 0 <= tau2 <= tau1 < sigma.
    """
    at_least("tau2", tau2, 0)
    at_least("tau1 - tau2", tau1 - tau2, 0)
    at_least("sigma - tau1", sigma - tau1, 0, strictly=True)
    first, second = sigma**2 - tau1**2, sigma**2 - tau2**2
    return TwoStages(mu, np.array([[sigma**2, first, second], [first, first, first], [second, first, second]]))


def selected_by_stage_1(stages: TwoStages, n: int, k1: ArrayLike) -> Means:
    """Means on S_1, the top `k1` of `n` by stage 1, in closed form.

    The selected Y_1 have the mean mu + v c, with v^2 = Var(Y_1) and c of `expected_top`. Selection looks at nothing
    but Y_1, so any other variable W has on S_1 the mean of its regression, mu + Cov(W, Y_1) / v^2 * v c:

        classical: truth : stage 1 : stage 2 = mu + sigma^2 c / v : mu + v c : mu + (sigma^2 + rho tau1 tau2) c / v
        nested:    all three are mu + v c.

    So with independent errors (rho = 0) stage 2 is right on S_1 and the cross-stage calibration is stage 1's own;
    with rho > 0 stage 2 is too high as well, and the cross-stage calibration hides that part.

    Args:
        n: candidates; k1: integers in 1 .. n, any shape.

    Raises:
        TheoryError: n is below 1, or a k1 is not in 1 .. n.
    """
    top = expected_top(k1, n)
    spread = np.sqrt(stages.covariance[1, 1])
    truth, first, second = (stages.mean + covariance / spread * top for covariance in stages.covariance[1])
    return Means(truth, first, second)
