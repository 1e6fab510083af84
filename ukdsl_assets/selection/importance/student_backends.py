"""Which way of computing exact importance a student gets: compiled kernels where there is one for its architecture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.learning.metrics.calibration import row_entropy
from ukdsl_assets.learning.students.level import in_layers
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.trees.model import UnsupportedTreesError
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.passes import GroupPass, PartKernel, Pass, RowPass, in_threads
from ukdsl_assets.selection.importance.progress import Log
from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.selection.importance.student_columns import RowFeatures, row_predictor

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
        return no_rows(groups, sample)
    try:
        passes = _compiled(fitted, features, groups, head, sample, log)
    except (UnsupportedTreesError, NotImplementedError) as reason:
        _tell(fitted, reason, log)
        return permuted_one_by_one(row_predictor(fitted, head, threads), features.columns, groups, sample, log)
    return together(groups, sample, passes, (in_threads(each, threads, log) for each in passes))


def student_passes(
    fitted: FittedStudent, features: RowFeatures, groups: FeatureGroups, head: str, sample: Sample, log: Log | None
) -> Sequence[Pass]:
    """The passes that `student_changes` makes, for `passes.elsewhere` and `together`; at least one row."""
    try:
        return _compiled(fitted, features, groups, head, sample, log)
    except (UnsupportedTreesError, NotImplementedError) as reason:
        _tell(fitted, reason, log)
        predictor = partial(row_predictor, fitted, head, 1)
        entropy = row_entropy(np.asarray(predictor()(features.columns), np.float64), sample.target)
        return [GroupPass(predictor, features.columns, tuple(groups.values()), sample, entropy)]


def together(
    groups: FeatureGroups,
    sample: Sample,
    passes: Sequence[Pass],
    found: Iterable[tuple[Changes, NDArray[np.float64]]],
) -> tuple[Changes, NDArray[np.float64]]:
    """What all passes over a sample gave, as `student_changes`."""
    changes, entropy = no_rows(groups, sample)
    for each, (of_pass, of_rows) in zip(passes, found, strict=True):
        places, entropy = list(each.places), of_rows
        changes.of_repeat[places], changes.of_cluster[places] = of_pass.of_repeat, of_pass.of_cluster
    return changes, entropy


def no_rows(groups: FeatureGroups, sample: Sample) -> tuple[Changes, NDArray[np.float64]]:
    """The changes of a sample without rows."""
    return Changes.none(len(groups), sample), np.zeros(0)


def _tell(fitted: FittedStudent, reason: Exception, log: Log | None) -> None:
    if log is not None:
        log(f"importance: no kernel for {fitted.architecture.kind} ({reason}); predicting once a group and repeat")


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
    fitted: FittedStudent, features: RowFeatures, groups: FeatureGroups, head: str, sample: Sample, log: Log | None
) -> list[RowPass]:
    index = fitted.head_index(head)
    if head == SCORED_HEAD and fitted.level is not None:
        if fitted.text is not None:
            raise NotImplementedError("a line through the logit of its boosters")
        fitted = replace(fitted, tensors=in_layers(fitted.tensors, fitted.level, index))
    passes = []
    for batch in without_overlap(list(groups.values())):
        members = [list(groups.values())[group] for group in batch]
        places = [[features.places[name] for name in group] for group in members]
        passes.append(RowPass(tuple(batch), _kernel(fitted, index, features, places, sample, log), sample))
    return passes


def _kernel(
    fitted: FittedStudent,
    index: int,
    features: RowFeatures,
    places: Sequence[Sequence[tuple[str, int, int]]],
    sample: Sample,
    log: Log | None,
) -> PartKernel:
    ids, numbers = features.ids, features.numbers
    if fitted.text is None:
        from ukdsl_assets.selection.importance.network.importance import network_kernel

        split = [(_columns(group, "ids"), _columns(group, "numbers")) for group in places]
        return network_kernel(fitted, index, ids, numbers, split, sample, log)
    from ukdsl_assets.learning.students.trees import matrix_columns, text_of_head
    from ukdsl_assets.selection.importance.trees.importance import tree_kernel

    # Numbers stand behind ids.
    columns = [[*_columns(group, "ids"), *(ids.shape[1] + c for c in _columns(group, "numbers"))] for group in places]
    return tree_kernel(text_of_head(fitted.text, index), matrix_columns(ids, numbers), columns, sample, log)


def _columns(places: Sequence[tuple[str, int, int]], of: str) -> list[int]:
    return [column for kind, first, last in places if kind == of for column in range(first, last)]
