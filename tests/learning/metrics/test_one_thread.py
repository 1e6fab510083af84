"""BLAS on one thread: the same sum on every machine."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ukdsl_assets.learning.metrics.one_thread import blas_on_one_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_inside_and_as_before_outside_even_after_an_error() -> None:
    @blas_on_one_thread
    def fails() -> None:
        assert threads() == {1}
        raise ValueError("inside")

    with threadpool_limits(2, "blas"):
        before = threads()
        assert blas_on_one_thread(threads)() == {1}
        with pytest.raises(ValueError, match="inside"):
            fails()
        assert threads() == before == {2}


def test_a_sum_has_the_same_bytes_whatever_the_machine_allows() -> None:
    values = np.random.default_rng(0).random(1_000_001)
    total = blas_on_one_thread(lambda: values @ values)
    seen = set()
    for allowed in (1, 2, 3):
        with threadpool_limits(allowed, "blas"):
            seen.add(float(total()))
    assert len(seen) == 1
