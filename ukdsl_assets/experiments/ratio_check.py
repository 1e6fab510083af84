"""The sample-ratio check: whether the arms have as many visitors as their shares say; where not, nothing is believed.

Chi-square by the declared shares. What makes the arms differ in number (a redirect that loses visitors, logs that are
cut, bots in one arm) makes them differ in kind too (Fabijan et al., Diagnosing Sample Ratio Mismatch in Online
Controlled Experiments, KDD 2019).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# One sound experiment in a thousand fails it, and 100,000 visitors a side are found out from 0.7% too few on.
THRESHOLD = 0.001


class RatioCheck(NamedTuple):
    """Visitors of each arm, how many their shares make of the sum, and how probable a difference like this is."""

    visitors: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float

    @property
    def passed(self) -> bool:
        """Whether chance explains the difference; False where there is no visitor at all."""
        return self.p_value >= THRESHOLD


def ratio_check(visitors: Sequence[int], shares: Sequence[float]) -> RatioCheck:
    """The check of one experiment.

    Args:
        visitors: of each arm, not pages: an arm may well change how many pages a visitor opens.
        shares: of each arm, above 0, of sum 1.
    """
    from scipy.stats import chisquare

    total = sum(visitors)
    expected = tuple(total * share for share in shares)
    p_value = float(chisquare(np.array(visitors, float), np.array(expected)).pvalue) if total else 0.0
    return RatioCheck(tuple(visitors), expected, p_value)
