"""Exact permutation importance of networks: the first layer is computed once, the layers behind it once a group."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.network.layout import (
    Bilinear,
    Dense,
    FirstLayer,
    Groups,
    groups_of,
    network_of,
)
from ukdsl_assets.selection.importance.passes import PartKernel
from ukdsl_assets.selection.importance.progress import Log, log_compilation
from ukdsl_assets.selection.importance.sample import Changes, Sample


def network_kernel(
    fitted: FittedStudent,
    head: int,
    ids: NDArray[np.int32],
    numbers: NDArray[np.float32],
    groups: Sequence[tuple[Sequence[int], Sequence[int]]],
    sample: Sample,
    log: Log | None = None,
) -> PartKernel:
    """What tells, part by part, what each group's permutation changes; to be called with one thread for products.

    Args:
        ids, numbers: encoded features by row, as `student_columns.RowFeatures`.
        groups: columns of ids and columns of numbers of each group.

    Raises:
        NotImplementedError: for another architecture than mlp and two_tower.
    """
    from ukdsl_assets.selection.importance.network.kernel import network_changes

    with threadpool_limits(1, "blas"):
        layer, behind = network_of(fitted, head, ids, numbers)
        columns = groups_of(layer, 2 if isinstance(behind, Bilinear) else 1, groups)
    dense = behind if isinstance(behind, Dense) else Dense(np.ones(1, np.int64), *[np.zeros(0, np.float32)] * 2)
    form = behind.form if isinstance(behind, Bilinear) else np.zeros((0, 0), np.float32)
    log_compilation(network_changes, log)
    return partial(_part, layer, dense, form, columns, sample)


def _part(
    layer: FirstLayer,
    dense: Dense,
    form: NDArray[np.float32],
    columns: Groups,
    sample: Sample,
    first: int,
    last: int,
    changes: Changes,
    entropy: NDArray[np.float64],
) -> None:
    from ukdsl_assets.selection.importance.network.kernel import network_changes

    of = (sample.donors, sample.target, sample.weight, sample.cluster)
    out = (changes.of_repeat, changes.of_cluster, entropy)
    network_changes(layer, dense, form, columns, *of, first, last, *out)
