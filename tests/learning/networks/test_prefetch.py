"""Prefetching inside a kernel."""

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.learning.networks.prefetch import prefetch


@njit
def sum_ahead(array: NDArray[np.float32], rows: NDArray[np.int32]) -> float:
    """Asks for every row, then adds those that there are."""
    total = 0.0
    for row in rows:
        prefetch(array, row)
        if 0 <= row < len(array):
            total += array[row].sum()
    return total


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4, 0), (0, 3)])
def test_it_changes_nothing_and_rows_outside_the_array_do_no_harm(shape: tuple[int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    before = array.copy()
    rows = np.array([-1, 0, 3, 4, 2**31 - 1, -(2**31), 1, 2], np.int32)
    assert sum_ahead(array, rows) == before.sum()
    assert np.array_equal(array, before)


@njit
def sum_of_line(array: NDArray[np.int32], rows: NDArray[np.int32]) -> int:
    total = 0
    for row in rows:
        prefetch(array, row)
        total += array[row]
    return total


def test_an_array_may_have_one_dimension() -> None:
    assert sum_of_line(np.array([3, 5, 7], np.int32), np.array([2, 0], np.int32)) == 10
