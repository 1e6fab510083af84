"""Exact permutation importance of LightGBM's trees, all features in about the time of a few predictions."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.importance.in_threads import Log, in_parts, log_compilation
from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.selection.importance.trees.layout import codings, masks_of, trees_of

if TYPE_CHECKING:
    import lightgbm


def tree_importance(
    booster: "lightgbm.Booster",
    columns: Iterable[NDArray[Any]],
    groups: Sequence[Sequence[int]],
    sample: Sample,
    threads: int = 1,
    log: Log | None = None,
) -> tuple[Changes, NDArray[np.float64]]:
    """What each group's permutation changes, and each row's cross entropy without one, float64 [rows].

    Args:
        booster: with objective cross_entropy or binary, at most 64 leaves a tree.
        columns: float [rows] each, the booster's features in order.
        groups: numbers of the features of each group; no feature is in two of them.

    Raises:
        UnsupportedTreesError: for another objective, larger or linear trees.
    """
    from ukdsl_assets.selection.importance.trees.codes import write_codes
    from ukdsl_assets.selection.importance.trees.kernel import tree_changes

    trees = trees_of(booster.dump_model())
    features = booster.num_feature()
    coding = codings(trees, features)
    group_of = [-1] * features
    for group, members in enumerate(groups):
        for feature in members:
            group_of[feature] = group
    masks = masks_of(trees, coding, group_of)
    log_compilation(tree_changes, log)
    # Row by row, so that a donor's codes stand together.
    codes = np.empty((len(sample.target), features), np.uint16)
    for feature, (each, column) in enumerate(zip(coding, columns, strict=True)):
        write_codes(np.ascontiguousarray(column, np.float32), each.cuts, each.categorical, codes[:, feature])

    def part(first: int, last: int, changes: Changes, entropy: NDArray[np.float64]) -> None:
        of = (sample.target, sample.weight, sample.cluster)
        tree_changes(masks, codes, sample.donors, *of, first, last, changes.of_repeat, changes.of_cluster, entropy)

    return in_parts(part, len(groups), sample, threads, log)
