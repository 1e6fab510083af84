"""The bootstrap over requests, against closed forms."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.metrics.bootstrap import replicate_weights, request_numbers, request_sums, standard_error


def test_a_seed_fixes_the_draws_and_each_request_is_drawn_once_on_average() -> None:
    requests = pl.Series(range(500))
    draws = replicate_weights(requests, seed=1)
    assert draws.shape == (200, 500)
    assert np.array_equal(draws, replicate_weights(requests, seed=1))
    assert not np.array_equal(draws, replicate_weights(requests, seed=2))
    assert draws.mean() == pytest.approx(1, abs=0.02)
    assert draws.var() == pytest.approx(1, abs=0.04)


def test_draws_are_what_they_were() -> None:
    """Published standard errors follow from them."""
    numbers = replicate_weights(pl.Series([7, 3, 11]), seed=5, replicates=6)
    assert numbers.tolist() == [[0, 2, 1], [1, 0, 2], [0, 0, 2], [0, 4, 2], [0, 0, 1], [2, 0, 0]]
    assert replicate_weights(pl.Series(["a", "b"]), seed=0, replicates=4).tolist() == [[0, 1], [4, 0], [0, 0], [1, 2]]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.String])
def test_draws_are_poisson_and_those_of_two_replicates_or_requests_are_independent(dtype: type[pl.DataType]) -> None:
    draws = replicate_weights(pl.Series(range(2000)).cast(dtype), seed=3)
    shares = np.bincount(draws.astype(int).ravel(), minlength=4)[:4] / draws.size
    assert shares == pytest.approx(np.exp(-1) / np.array([1, 1, 2, 6]), abs=0.004)
    for table in (draws, draws.T):
        correlation = np.asarray(np.corrcoef(table[:200, :200]))[np.triu_indices(200, 1)]
        assert abs(correlation.mean()) < 0.002
        assert correlation.std() == pytest.approx(1 / np.sqrt(200), rel=0.05)


def test_a_request_is_drawn_alike_alone_and_among_others() -> None:
    requests = pl.Series([7, 3, 11])
    together = replicate_weights(requests, seed=5)
    for place in range(3):
        assert np.array_equal(together[:, [place]], replicate_weights(requests[place : place + 1], seed=5))
    assert replicate_weights(requests.head(0), seed=5).shape == (200, 0)


@given(st.lists(st.integers(-3, 12)), st.sampled_from([pl.Int64, pl.String]))
def test_a_requests_number_is_its_place_among_the_sorted_distinct_ones_in_any_order(
    ids: list[int], dtype: type[pl.DataType]
) -> None:
    requests = pl.Series("request_id", ids, pl.Int64).cast(dtype)
    distinct = sorted(set(requests))
    assert request_numbers(requests.to_frame()).tolist() == [distinct.index(each) for each in requests]


def test_a_row_without_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="request_id is null in 1 of 3 rows"):
        request_numbers(pl.DataFrame({"request_id": [1, None, 2]}))


def test_sums_are_by_request_in_any_order_and_zero_without_rows() -> None:
    sums = request_sums(np.array([2, 0, 2]), 4, np.array([1.0, 2, 3]), np.array([10.0, 20, 30]))
    assert sums.tolist() == [[2, 20], [0, 0], [4, 40], [0, 0]]


def test_the_error_of_a_mean_is_that_of_independent_requests_not_of_rows() -> None:
    """Each request's ten rows are equal, so that the error is sqrt(variance / requests)."""
    value = np.random.default_rng(0).normal(5, 1, 1000)
    request = np.repeat(np.arange(1000), 10)
    draws = replicate_weights(pl.Series(range(1000)), seed=0, replicates=2000)
    total, count = (draws @ request_sums(request, 1000, value[request], np.ones(10_000))).T
    assert standard_error(total / count) == pytest.approx(value.std() / np.sqrt(1000), rel=0.05)


def test_undefined_replicates_are_left_out_and_fewer_than_two_are_no_error() -> None:
    errors = standard_error(np.array([[1.0, np.nan], [np.inf, 2.0], [3.0, np.nan]]))
    assert errors[0] == pytest.approx(np.sqrt(2))
    assert np.isnan(errors[1])
