"""Sums that no processor changes: the figures are those of plain products, and their bytes those of any order."""

import math
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.bootstrap import replicate_weights
from ukdsl_assets.learning.metrics.sums import replicate_totals, unit_products, weighted_sum

RNG = np.random.default_rng(0)
REQUESTS = 3001
# Counts, tiny figures of one sign, huge ones of both, and none at all.
SUMS = RNG.normal(size=(REQUESTS, 4)) * [1, 1e-12, 1e12, 0] + [3, 1e-11, 0, 0]
DRAWS = replicate_weights(pl.Series(range(REQUESTS)), seed=0)


def test_a_weighted_sum_is_that_of_the_products() -> None:
    weight, value = RNG.random(1001), RNG.normal(size=1001)
    assert weighted_sum(weight, value) == pytest.approx(math.fsum(weight * value), rel=1e-12)
    assert weighted_sum(np.array([1.0, 2, 4]), np.array([8.0, 16, 32])) == 168
    assert weighted_sum(np.empty(0), np.empty(0)) == 0
    assert math.isnan(weighted_sum(np.ones(2), np.array([1, np.nan])))


def test_totals_are_those_of_the_product_of_matrices() -> None:
    expected = np.array([[math.fsum(draw * column) for column in SUMS.T] for draw in DRAWS[:20]])
    found = replicate_totals(DRAWS, SUMS)
    assert found.shape == (len(DRAWS), 4)
    assert np.allclose(found[:20], expected, rtol=1e-11, atol=1e-11 * np.abs(SUMS).sum(0))


def in_another_order(product: NDArray[np.float64], again: NDArray[np.float64]) -> bool:
    return product.tobytes() == again.tobytes()


def test_totals_have_the_same_bytes_in_whatever_order_they_are_added() -> None:
    order = RNG.permutation(REQUESTS)
    assert in_another_order(replicate_totals(DRAWS, SUMS), replicate_totals(DRAWS[:, order], SUMS[order]))
    # A plain product does not, or this test would say nothing.
    assert not in_another_order(DRAWS @ SUMS, DRAWS[:, order] @ SUMS[order])


def test_a_column_that_is_not_finite_has_no_finite_total_and_leaves_the_others() -> None:
    wrong = SUMS.copy()
    wrong[5, 0], wrong[7, 1] = np.nan, np.inf
    found = replicate_totals(DRAWS, wrong)
    assert not np.isfinite(found[:, :2]).any()
    assert np.array_equal(found[:, 2:], replicate_totals(DRAWS, SUMS)[:, 2:])
    assert replicate_totals(DRAWS[:, :0], SUMS[:0]).tolist() == [[0.0] * 4] * len(DRAWS)


def test_no_thread_is_left_waiting_at_full_load_for_the_next_product() -> None:
    def waited() -> float:
        replicate_totals(DRAWS, SUMS)
        start = time.process_time()
        time.sleep(0.02)
        return time.process_time() - start

    assert statistics.median(waited() for _ in range(15)) < 0.002


def test_of_products_at_once_none_takes_the_limit_of_another_for_the_threads_to_bring_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []

    class Blas:
        threads = 2

        @contextmanager
        def limit(self, limits: int) -> Iterator[None]:
            before, self.threads = self.threads, limits
            found.append(before)
            time.sleep(0.05)
            yield
            self.threads = before

    blas = Blas()
    monkeypatch.setattr("ukdsl_assets.learning.metrics.sums._blas", lambda: blas)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: replicate_totals(DRAWS, SUMS), range(2)))
    assert found == [2, 2]


def test_correlations_are_those_of_plain_products_in_whatever_order() -> None:
    columns = RNG.normal(size=(20_000, 7))
    columns[:, 6] = 0
    columns[:, 5] = -columns[:, 4]
    columns /= np.maximum(np.sqrt((columns**2).sum(0)), 1e-300)
    found, order = unit_products(columns), RNG.permutation(20_000)
    assert np.allclose(found, columns.T @ columns, rtol=0, atol=1e-7)
    assert in_another_order(found, unit_products(columns[order]))
    assert not in_another_order(columns.T @ columns, columns[order].T @ columns[order])
