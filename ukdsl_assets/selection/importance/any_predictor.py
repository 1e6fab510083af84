"""Permutation importance the plain way: all rows are predicted anew for each group and repeat."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.calibration import row_entropy
from ukdsl_assets.selection.importance.progress import Log
from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.settings import PROGRESS_EVERY_SECONDS

Columns = Mapping[str, NDArray[Any]]


def permuted_one_by_one(
    predict: Callable[[Columns], NDArray[Any]],
    columns: Columns,
    groups: Mapping[str, Sequence[str]],
    sample: Sample,
    log: Log | None = None,
) -> tuple[Changes, NDArray[np.float64]]:
    """What each group's permutation changes, and each row's cross entropy without one, float64 [rows].

    Args:
        predict: columns as given -> probabilities [rows]. log: gets a line of progress now and then.
    """
    changes = Changes.none(len(groups), sample)
    if not len(sample.target):
        return changes, np.zeros(0)
    entropy = row_entropy(np.asarray(predict(columns), np.float64), sample.target)
    started = last_logged = time.monotonic()
    for group, (name, names) in enumerate(groups.items()):
        of_group = changes_of_group(predict, columns, names, sample, entropy)
        changes.of_repeat[group], changes.of_cluster[group] = of_group.of_repeat[0], of_group.of_cluster[0]
        now = time.monotonic()
        if log is not None and now - last_logged >= PROGRESS_EVERY_SECONDS:
            last_logged = now
            rate = (group + 1) / (now - started)
            left = (len(groups) - group - 1) / rate
            log(f"importance of {name}: {group + 1} of {len(groups)} groups, {rate:.2f} a second, {left:.0f} s left")
    return changes, entropy


def changes_of_group(
    predict: Callable[[Columns], NDArray[Any]],
    columns: Columns,
    members: Sequence[str],
    sample: Sample,
    entropy: NDArray[np.float64],
) -> Changes:
    """What the permutation of one group's columns changes; entropy: each row's without one, float64 [rows]."""
    changes = Changes.none(1, sample)
    for repeat, donors in enumerate(sample.donors):
        permuted = {name: column[donors] if name in members else column for name, column in columns.items()}
        after = row_entropy(np.asarray(predict(permuted), np.float64), sample.target)
        changes.count(0, repeat, sample, sample.weight * (after - entropy))
    return changes
