"""The limit of infinitely many repeats, exactly, for features of few values: one pass a value instead of a repeat."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.importance.sample import Changes, Sample


def distinct_rows(columns: Sequence[NDArray[Any]], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """A row of each distinct combination of values, and which of them each row has, int64 [rows]; None if above `most`.

    Args:
        columns: [rows, ...] each.
    """
    number = np.zeros(len(columns[0]), np.int64)
    first = number[:0]
    for column in columns:
        for values in column.reshape(len(number), -1).T:
            _, code = np.unique(values, return_inverse=True)
            _, first, number = np.unique(
                number * (code.max(initial=0) + 1) + code, return_index=True, return_inverse=True
            )
            if len(first) > most:
                return None
    return first, number


def expected_changes(
    changes_of: Callable[[Sample], Changes], sample: Sample, first: NDArray[np.int64], number: NDArray[np.int64]
) -> Changes:
    """Mean change of one group over all donors, each as likely, as every repeat's: Changes of [1, repeats].

    Args:
        changes_of: the group's changes [1, 1] on a sample of one repeat.
        first, number: of `distinct_rows`.
    """
    rows = len(number)
    expected = Changes.none(1, sample)
    for value, donor in enumerate(first):
        having = np.bincount(sample.cluster[number == value], minlength=sample.clusters)
        share = having.sum() / rows
        changes = changes_of(replace(sample, donors=np.full((1, rows), donor, np.int32)))
        total = changes.of_repeat[0, 0]
        # All rows took from the one donor; its role as a giver is shared by all rows that have its value.
        changes.of_cluster[0, sample.cluster[donor]] -= total
        expected.of_repeat += share * total
        expected.of_cluster[0] += share * changes.of_cluster[0] + total * having / rows
    # What is summed over repeats elsewhere is divided by their number later.
    expected.of_cluster *= len(sample.donors)
    return expected
