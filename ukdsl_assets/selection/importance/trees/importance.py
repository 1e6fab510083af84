"""Exact permutation importance of LightGBM's trees, all features in about the time of a few predictions."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import codings
from ukdsl_assets.learning.trees.model import read_trees
from ukdsl_assets.selection.importance.passes import PartKernel
from ukdsl_assets.selection.importance.progress import Log, log_compilation
from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.selection.importance.trees.layout import Masks, check_logits, masks_of

# Numbers are columns of a matrix: of rows that stay in the processor's cache, some of what a line of it holds.
COLUMNS_AT_ONCE, ROWS_AT_ONCE = 8, 4096


def tree_kernel(
    text: str,
    columns: Iterable[NDArray[Any]],
    groups: Sequence[Sequence[int]],
    sample: Sample,
    log: Log | None = None,
) -> PartKernel:
    """What tells, part by part, what each group's permutation changes.

    Args:
        text: LightGBM's, of a model with objective cross_entropy or binary and at most 64 leaves a tree.
        columns: float [rows] each, the model's features in order.
        groups: numbers of the features of each group; no feature is in two of them.

    Raises:
        UnsupportedTreesError: for another objective, larger or linear trees.
    """
    from ukdsl_assets.learning.trees.codes import table_of, write_codes
    from ukdsl_assets.selection.importance.trees.kernel import tree_changes

    trees = read_trees(text)
    check_logits(trees)
    features = trees.features
    coding = codings(trees)
    group_of = [-1] * features
    for group, members in enumerate(groups):
        for feature in members:
            group_of[feature] = group
    masks = masks_of(trees, coding, group_of)
    log_compilation(tree_changes, log)
    # Row by row, so that a donor's codes stand together.
    codes = np.empty((len(sample.target), features), np.uint16)
    of_features = zip([table_of(each) for each in coding], columns, range(features), strict=True)
    while some := list(islice(of_features, COLUMNS_AT_ONCE)):
        for first in range(0, len(codes), ROWS_AT_ONCE):
            here = slice(first, first + ROWS_AT_ONCE)
            for table, column, feature in some:
                write_codes(table, np.asarray(column[here], np.float32), codes[here, feature])
    return partial(_part, masks, codes, sample)


def _part(
    masks: Masks,
    codes: NDArray[np.uint16],
    sample: Sample,
    first: int,
    last: int,
    changes: Changes,
    entropy: NDArray[np.float64],
) -> None:
    from ukdsl_assets.selection.importance.trees.kernel import tree_changes

    of = (sample.target, sample.weight, sample.cluster)
    tree_changes(masks, codes, sample.donors, *of, first, last, changes.of_repeat, changes.of_cluster, entropy)
