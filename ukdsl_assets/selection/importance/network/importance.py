"""Exact permutation importance of networks: the first layer is computed once, the layers behind it once a group."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.in_threads import Log, in_parts, log_compilation
from ukdsl_assets.selection.importance.network.layout import Bilinear, Dense, groups_of, network_of
from ukdsl_assets.selection.importance.sample import Changes, Sample


def network_importance(
    fitted: FittedStudent,
    head: int,
    ids: NDArray[np.int32],
    numbers: NDArray[np.float32],
    groups: Sequence[tuple[Sequence[int], Sequence[int]]],
    sample: Sample,
    threads: int = 1,
    log: Log | None = None,
) -> tuple[Changes, NDArray[np.float64]]:
    """What each group's permutation changes, and each row's cross entropy without one, float64 [rows].

    Args:
        ids, numbers: encoded features by row, as `student_columns.RowFeatures`.
        groups: columns of ids and columns of numbers of each group.

    Raises:
        NotImplementedError: for another architecture than mlp and two_tower.
    """
    from threadpoolctl import threadpool_limits

    from ukdsl_assets.selection.importance.network.kernel import network_changes

    # Threads are given parts of their own: within a part the library of matrix products must not start any.
    with threadpool_limits(1, "blas"):
        layer, behind = network_of(fitted, head, ids, numbers)
        columns = groups_of(layer, 2 if isinstance(behind, Bilinear) else 1, groups)
        dense = behind if isinstance(behind, Dense) else Dense(np.ones(1, np.int64), *[np.zeros(0, np.float32)] * 2)
        form = behind.form if isinstance(behind, Bilinear) else np.zeros((0, 0), np.float32)
        log_compilation(network_changes, log)

        def part(first: int, last: int, changes: Changes, entropy: NDArray[np.float64]) -> None:
            of = (sample.donors, sample.target, sample.weight, sample.cluster)
            out = (changes.of_repeat, changes.of_cluster, entropy)
            network_changes(layer, dense, form, columns, *of, first, last, *out)

        return in_parts(part, len(groups), sample, threads, log)
