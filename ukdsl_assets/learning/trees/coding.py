"""Which values trees tell apart: integer codes of each feature's values, and nodes' decisions on the codes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.model import (
    CATEGORICAL,
    DEFAULT_LEFT,
    MISSING_IS_NAN,
    MISSING_IS_ZERO,
    Trees,
    UnsupportedTreesError,
)

# LightGBM takes numbers this close to 0 as 0: it keeps the bound in float32.
ZERO = float(np.float32(1e-35))
# Of a feature: codes are 16 bits, and a table of decisions is to stay in memory.
MOST_CODES, MOST_DECISIONS = 1 << 16, 1 << 27


@dataclass(frozen=True)
class Coding:
    """How a feature's values become codes: nodes decide alike on values of one code.

    cuts: float64 [codes - 2], ascending thresholds, or of a categorical feature its categories; code i is for values
    up to cut i (for category i), the last but one for greater numbers (other categories), the last for NaN.
    nodes: int64, numbers of the nodes that ask for the feature, ascending.
    right: bool [nodes, codes], whether they send a code to the right.
    """

    categorical: bool
    cuts: NDArray[np.float64]
    nodes: NDArray[np.int64]
    right: NDArray[np.bool_]

    @property
    def size(self) -> int:
        return len(self.cuts) + 2


def codings(trees: Trees) -> list[Coding]:
    """A coding of each feature that tells apart what any node tells apart; of one that no node asks for, no cuts.

    Raises:
        UnsupportedTreesError: where a feature has more than 65,536 codes, or nodes times codes pass 2 ** 27.
    """
    order = np.argsort(trees.feature, kind="stable")
    bounds = np.searchsorted(trees.feature[order], np.arange(trees.features + 1))
    return [_coding(trees, order[bounds[each] : bounds[each + 1]]) for each in range(trees.features)]


def _check_size(nodes: int, codes: int) -> None:
    if codes > MOST_CODES or nodes * codes > MOST_DECISIONS:
        raise UnsupportedTreesError(f"{codes} values of a feature to tell apart by {nodes} decisions")


def _coding(trees: Trees, nodes: NDArray[np.int64]) -> Coding:
    if len(nodes) and trees.decision[nodes[0]] & CATEGORICAL:
        left = [trees.categories[first:last] for first, last in trees.of_node[nodes].tolist()]
        cuts, code = np.unique(np.concatenate(left), return_inverse=True)
        _check_size(len(nodes), len(cuts) + 2)
        right = np.ones((len(nodes), len(cuts) + 2), np.bool_)
        right[np.repeat(np.arange(len(nodes)), [len(each) for each in left]), code] = False
        return Coding(True, cuts, nodes, right)
    threshold, decision = trees.threshold[nodes], trees.decision[nodes]
    zero_is_missing, nan_is_missing = (decision & MISSING_IS_ZERO) != 0, (decision & MISSING_IS_NAN) != 0
    around_zero = [np.nextafter(-ZERO, -1), ZERO] if zero_is_missing.any() else []
    cuts = np.unique(np.concatenate([threshold, around_zero]))
    _check_size(len(nodes), len(cuts) + 2)
    # A value of each code.
    values = np.concatenate([cuts, [np.inf, np.nan]])
    right = ~(np.where(np.isnan(values), 0.0, values) <= threshold[:, None])
    # What NaN is taken for where it is not missing itself, zero is with it.
    zeros = np.isnan(values) | (np.abs(values) <= ZERO)
    missing = np.where(nan_is_missing[:, None], np.isnan(values), zero_is_missing[:, None] & zeros)
    by_default = np.broadcast_to(((decision & DEFAULT_LEFT) == 0)[:, None], right.shape)
    return Coding(False, cuts, nodes, np.where(missing, by_default, right))
