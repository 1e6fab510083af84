"""Before an experiment: how small a lift it would find, or how long it must run to find one.

All by information, 1 / error^2 of the logarithm of the lift: what a plan needs against what a day brings. The lift to
be found is the least that would be found with the wanted power, at a two-sided error of 5% over all looks.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.experiments.lift import Sums, lift_between
from ukdsl_assets.experiments.spending import bounds, crossing, spent

POWER = 0.8
# Far enough for any power below 1.
_MOST_DRIFT = 40.0
# Nobody has the visitors for less.
SMALLEST_LIFT = 1e-6
# Of a lift that floats hold.
_MOST_LOG = 700.0


class Traffic(NamedTuple):
    """What some visitors would tell of a lift, were they the experiment.

    error: standard error of the logarithm of the lift. unadjusted: the same without CUPED. visitors, days: those that
    it was measured on; days is None where they are not known.
    """

    error: float
    unadjusted: float
    visitors: int
    days: float | None

    @property
    def information(self) -> float:
        """1 / error^2."""
        return self.error**-2


def measured_traffic(control: Sums, treatment: Sums, days: float | None) -> Traffic:
    """That of a log without an experiment, whose visitors were put into two arms by hash, with CUPED where they have
    sums of before."""
    lift = lift_between(control, treatment)
    return Traffic(lift.error, lift.unadjusted, len(control.pages) + len(treatment.pages), days)


def stated_traffic(
    rate: float, pages: float, variance: float | None, visitors: int, days: float | None, shares: Sequence[float]
) -> Traffic:
    """That of visitors of whom figures are known.

    Args:
        rate: outcomes per page, above 0. pages: pages a visitor, on average.
        variance: over visitors, of outcomes minus rate times pages; None for pages that have one outcome or none, each
            by itself: pages * rate * (1 - rate).
        visitors: of all arms. days: in which they come; None where that is not known.
        shares: of the control and the treatment.

    Raises:
        ExperimentError: figures that cannot be.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise ExperimentError(f"rate: saw {rate:g}, expected outcomes per page, above 0")
    if not (math.isfinite(pages) and pages > 0):
        raise ExperimentError(f"pages: saw {pages:g}, expected pages a visitor, above 0")
    if variance is None and rate >= 1:
        raise ExperimentError(f"variance: a rate of {rate:g} is no share of the pages; give --variance too")
    spread = pages * rate * (1 - rate) if variance is None else variance
    if not (math.isfinite(spread) and spread > 0):
        raise ExperimentError(f"variance: saw {spread:g}, expected above 0")
    error = math.sqrt(spread * sum(1 / share for share in shares) / visitors) / rate / pages
    if not 0 < error < math.inf:
        raise ExperimentError(
            f"rate {rate:g}, pages {pages:g}, variance {spread:g}: a standard error of {error:g}; expected figures of "
            "pages that people see"
        )
    return Traffic(error, error, visitors, days)


def drift(power: float = POWER, looks: int = 1) -> float:
    """How many standard errors of its end a lift must be to be found with that power at one of the looks.

    Args:
        power: above 5%, below 1. looks: planned ones, evenly over the time, at least 1.

    Raises:
        ExperimentError: a power that cannot be asked for.
    """
    from scipy.optimize import brentq

    if not 0.05 < power < 1:
        raise ExperimentError(f"power: saw {power:g}, expected above 0.05 and below 1, such as 0.8")
    fractions = [look / looks for look in range(1, looks + 1)]
    limits = bounds(spent(fractions), fractions)
    return float(brentq(lambda lift: crossing(limits, fractions, lift) - power, 0.0, _MOST_DRIFT, xtol=1e-8))


def smallest_lift(information: float, needed: float) -> float:
    """The least lift that is found, infinite beyond what a float holds; needed: of `drift`."""
    log = needed / math.sqrt(information) if information > 0 else math.inf
    return math.expm1(log) if log < _MOST_LOG else math.inf


def information_for(lift: float, needed: float) -> float:
    """What it takes to find a lift; needed: of `drift`.

    Raises:
        ExperimentError: a lift that is none.
    """
    if not (math.isfinite(lift) and lift > -1 and abs(lift) >= SMALLEST_LIFT):
        raise ExperimentError(
            f"lift: saw {lift:g}, expected one above -1, a millionth or more from 0, such as 0.02 for 2%"
        )
    return (needed / math.log1p(lift)) ** 2
