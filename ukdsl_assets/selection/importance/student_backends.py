"""Which way of computing exact importance a student gets: compiled kernels where there is one for its architecture."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.learning.students.level import in_layers
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.in_threads import Log
from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.selection.importance.student_columns import RowFeatures, row_predictor
from ukdsl_assets.selection.importance.trees.layout import UnsupportedTreesError

FeatureGroups = Mapping[str, Sequence[str]]


def student_changes(
    fitted: FittedStudent,
    features: RowFeatures,
    groups: FeatureGroups,
    head: str,
    sample: Sample,
    threads: int,
    log: Log | None,
) -> tuple[Changes, NDArray[np.float64]]:
    """What each group's permutation changes, and each row's cross entropy without one, float64 [rows]."""
    if not len(sample.target):
        return Changes.none(len(groups), sample), np.zeros(0)
    changes, entropy = Changes.none(len(groups), sample), np.zeros(len(sample.target))
    try:
        for batch in without_overlap(list(groups.values())):
            members = [list(groups.values())[group] for group in batch]
            of_batch, entropy = _compiled(fitted, features, members, head, sample, threads, log)
            changes.of_repeat[batch], changes.of_cluster[batch] = of_batch.of_repeat, of_batch.of_cluster
        return changes, entropy
    except (UnsupportedTreesError, NotImplementedError) as reason:
        if log is not None:
            log(f"importance: no kernel for {fitted.architecture.kind} ({reason}); predicting once a group and repeat")
        return permuted_one_by_one(row_predictor(fitted, head, threads), features.columns, groups, sample, log)


def without_overlap(groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of the groups in batches in which no feature comes twice; each group goes into the first that it can."""
    batches: list[list[int]] = []
    used: list[set[str]] = []
    for group, members in enumerate(groups):
        batch = next((i for i, taken in enumerate(used) if taken.isdisjoint(members)), len(batches))
        if batch == len(batches):
            batches.append([])
            used.append(set())
        batches[batch].append(group)
        used[batch].update(members)
    return batches


def _compiled(
    fitted: FittedStudent,
    features: RowFeatures,
    groups: Sequence[Sequence[str]],
    head: str,
    sample: Sample,
    threads: int,
    log: Log | None,
) -> tuple[Changes, NDArray[np.float64]]:
    ids, numbers = features.ids, features.numbers
    index = fitted.head_index(head)
    if head == SCORED_HEAD and fitted.level is not None:
        if fitted.text is not None:
            raise NotImplementedError("a line through the logit of its boosters")
        fitted = replace(fitted, tensors=in_layers(fitted.tensors, fitted.level, index))
    places = [[features.places[name] for name in group] for group in groups]
    if fitted.text is None:
        from ukdsl_assets.selection.importance.network.importance import network_importance

        split = [(_columns(group, "ids"), _columns(group, "numbers")) for group in places]
        return network_importance(fitted, index, ids, numbers, split, sample, threads, log)
    from ukdsl_assets.learning.students.trees import booster_of_head, matrix_columns
    from ukdsl_assets.selection.importance.trees.importance import tree_importance

    # Numbers stand behind ids.
    columns = [[*_columns(group, "ids"), *(ids.shape[1] + c for c in _columns(group, "numbers"))] for group in places]
    booster = booster_of_head(fitted.text, index)
    return tree_importance(booster, matrix_columns(ids, numbers), columns, sample, threads, log)


def _columns(places: Sequence[tuple[str, int, int]], of: str) -> list[int]:
    return [column for kind, first, last in places if kind == of for column in range(first, last)]
