"""The lift of a ratio between two arms, such as clicks per page, where visitors were randomised and pages are counted.

A visitor's pages are not independent, so errors are over visitors: the delta method for a ratio of sums (Deng, Knoblich
and Lu, Applying the Delta Method in Metric Analytics, KDD 2018). Everything is on the logarithm of the ratio, on which
an interval has no negative end. CUPED (Deng, Xu, Kohavi and Walker, Improving the Sensitivity of Online Controlled
Experiments by Utilizing Pre-Experiment Data, WSDM 2013) takes out what was known of a visitor before.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Sums(NamedTuple):
    """Visitors of one arm, float64 [visitors] each: outcomes and pages of the experiment, and of the time before it.

    `before` and `before_pages` are 0 for a visitor who was not seen then, and None where nothing is known of then.
    """

    outcomes: Floats
    pages: Floats
    before: Floats | None = None
    before_pages: Floats | None = None

    @property
    def ratio(self) -> float:
        """Outcomes per page; NaN without pages."""
        pages = float(self.pages.sum())
        return float(self.outcomes.sum()) / pages if pages else math.nan


class Lift(NamedTuple):
    """How much higher the ratio of the treatment is: 0.025 is 2.5% more.

    Attributes:
        control, treatment: their ratios, outcomes per page.
        log: logarithm of 1 + lift, after CUPED where that was asked for; error: its standard error.
        unadjusted: standard error without CUPED; the same where nothing is known of the time before.
    """

    control: float
    treatment: float
    log: float
    error: float
    unadjusted: float

    @property
    def lift(self) -> float:
        """Treatment over control, minus 1."""
        return math.expm1(self.log)

    @property
    def z(self) -> float:
        """Standard errors from no lift at all."""
        return self.log / self.error

    @property
    def variance_removed(self) -> float:
        """The share of the variance that CUPED takes away, 0 to 1."""
        return 1 - (self.error / self.unadjusted) ** 2

    def interval(self, errors: float) -> tuple[float, float]:
        """The lifts so many standard errors below and above."""
        return math.expm1(self.log - errors * self.error), math.expm1(self.log + errors * self.error)


def lift_between(control: Sums, treatment: Sums) -> Lift:
    """The lift of a ratio, by CUPED where both arms have sums of the time before.

    Returns:
        All that is undefined is NaN: the lift where an arm has no outcome or no page, the error where it has fewer than
        two visitors.
    """
    arms = (control, treatment)
    influences = [influence(arm) for arm in arms]
    ratios = (control.ratio, treatment.ratio)
    log = math.log(ratios[1] / ratios[0]) if min(ratios) > 0 else math.nan
    plain = _error(influences)
    if control.before is None or treatment.before is None or not math.isfinite(plain):
        return Lift(*ratios, log, plain, plain)
    covariates = _covariates(arms)
    slope = _slope(influences, covariates)
    log -= slope * (float(covariates[1].mean()) - float(covariates[0].mean()))
    adjusted = [own - slope * covariate for own, covariate in zip(influences, covariates, strict=True)]
    return Lift(*ratios, log, _error(adjusted), plain)


def influence(arm: Sums) -> Floats:
    """What each visitor adds to the logarithm of the arm's ratio, times their number, float64 [visitors] of mean 0."""
    ratio = arm.ratio
    if not math.isfinite(ratio):
        return np.full(len(arm.pages), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((arm.outcomes - ratio * arm.pages) / (ratio * arm.pages.mean()))


def _covariates(arms: tuple[Sums, Sums]) -> list[Floats]:
    """Each visitor's outcomes of before beyond those that their pages make expect; 0 for who was not there."""
    pairs = [(arm.before, arm.before_pages) for arm in arms if arm.before is not None and arm.before_pages is not None]
    pages = sum(float(seen.sum()) for _, seen in pairs)
    ratio = sum(float(outcomes.sum()) for outcomes, _ in pairs) / pages if pages else 0.0
    return [outcomes - ratio * seen for outcomes, seen in pairs]


def _slope(influences: list[Floats], covariates: list[Floats]) -> float:
    """By least squares inside each arm; 0 where the covariate is the same for all."""
    centred = [each - each.mean() for each in covariates]
    spread = sum(float((each**2).sum()) for each in centred)
    together = sum(float((own * each).sum()) for own, each in zip(influences, centred, strict=True))
    return together / spread if spread > 0 else 0.0


def _error(influences: list[Floats]) -> float:
    if min(map(len, influences)) < 2:
        return math.nan
    return math.sqrt(sum(float(each.var(ddof=1)) / len(each) for each in influences))
