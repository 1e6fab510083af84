"""The kernel for boosted trees gives what predicting every permuted matrix gives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from ukdsl_assets.learning.trees.model import UnsupportedTreesError
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.importance import as_importance
from ukdsl_assets.selection.importance.passes import PART, RowPass, in_threads
from ukdsl_assets.selection.importance.sample import Sample, sample_of
from ukdsl_assets.selection.importance.trees.importance import tree_kernel

# Columns 0 and 1 are ids, 2 to 5 numbers with missing values and zeros.
IDS, FEATURES = 2, 6
GROUPS = [[0], [1, 2], [5]]


def matrix(rows: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, 0], values[:, 1] = rng.integers(0, 40, rows), rng.integers(0, 5, rows)
    values[:, 2:][rng.random((rows, 4)) < 0.1] = np.nan
    values[:, 3:][rng.random((rows, 3)) < 0.2] = 0
    values[:, 0][rng.random(rows) < 0.1] = np.nan
    return values


def booster(rows: int = 3000, **parameters: Any) -> lightgbm.Booster:
    """Trees on a soft label that all columns and their being missing matter to."""
    values = matrix(rows, 0)
    filled = np.nan_to_num(values, nan=1.5)
    effect = np.random.default_rng(9).normal(size=40)
    logit = (
        effect[filled[:, 0].astype(int)] + 0.4 * filled[:, 1] - 1 + filled[:, 2] * filled[:, 3] + filled[:, 4:].sum(1)
    )
    settings = {
        "objective": "cross_entropy",
        "num_leaves": 31,
        "min_data_in_leaf": 10,
        "verbosity": -1,
        "num_threads": 1,
    }
    data = lightgbm.Dataset(values, expit(logit), categorical_feature=list(range(IDS)))
    return lightgbm.train({**settings, "cat_smooth": 1, **parameters}, data, num_boost_round=12)


def sampled(rows: int, repeats: int = 1, seed: int = 2) -> tuple[NDArray[np.float32], Sample]:
    rng = np.random.default_rng(seed)
    sample = sample_of(rng.random(rows), rng.exponential(size=rows), rng.integers(0, 100, rows), repeats, seed)
    values = matrix(rows, seed)
    # Ids and numbers that no training row had.
    values[:3, 0], values[:3, 2] = (1000, 39.5, -3), (np.inf, -np.inf, 1e-36)
    return values, sample


def naive(trees: lightgbm.Booster, values: NDArray[np.float32], groups: Sequence[Sequence[int]], sample: Sample) -> Any:
    def predict(columns: Any) -> Any:
        return trees.predict(np.stack(list(columns.values()), axis=1), num_threads=1)

    named = {str(group): [str(place) for place in group] for group in groups}
    columns = {str(place): values[:, place] for place in range(FEATURES)}
    return as_importance(named, sample, *permuted_one_by_one(predict, columns, named, sample))


def compiled(
    trees: lightgbm.Booster, values: Any, groups: Sequence[Sequence[int]], sample: Sample, threads: int
) -> Any:
    named = {str(group): [str(place) for place in group] for group in groups}
    kernel = tree_kernel(trees.model_to_string(), list(values.T), groups, sample)
    return as_importance(named, sample, *in_threads(RowPass(tuple(range(len(groups))), kernel, sample), threads, None))


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"objective": "cross_entropy", "num_leaves": 64, "min_data_in_leaf": 1},
        {"max_cat_to_onehot": 100, "num_leaves": 4},
    ],
    ids=str,
)
def test_scores_are_those_of_predicting_every_permuted_matrix(parameters: dict[str, Any]) -> None:
    trees = booster(**parameters)
    values, sample = sampled(1500, repeats=2)
    expected, found = naive(trees, values, GROUPS, sample), compiled(trees, values, GROUPS, sample, threads=1)
    assert np.abs(expected.per_repeat).min() > 1e-5
    assert np.allclose(found.per_repeat, expected.per_repeat, rtol=0, atol=1e-13)
    assert np.allclose(found.standard_error, expected.standard_error, rtol=0, atol=1e-13)
    assert found.base == pytest.approx(expected.base, abs=1e-13)


def test_bits_do_not_depend_on_the_threads() -> None:
    trees = booster(1000)
    values, sample = sampled(2 * PART + 100)
    one, three = (compiled(trees, values, GROUPS, sample, threads) for threads in (1, 3))
    assert one.per_repeat.tobytes() == three.per_repeat.tobytes()
    assert one.standard_error.tobytes() == three.standard_error.tobytes()


def test_a_feature_that_no_tree_uses_and_donors_that_change_nothing_score_exactly_0() -> None:
    trees = booster(500, interaction_constraints=[[0], [2]])
    values, sample = sampled(800)
    assert compiled(trees, values, [[5], [0]], sample, 1).score[0] == 0
    same = replace(sample, donors=np.arange(800, dtype=np.int32)[None])
    assert (compiled(trees, values, GROUPS, same, 1).score == 0).all()


def test_a_constant_model_has_scores_of_0() -> None:
    values, sample = sampled(300)
    found = compiled(booster(300, min_data_in_leaf=300), values, GROUPS, sample, 1)
    assert (found.score == 0).all()
    assert np.isfinite(found.base)


@pytest.mark.parametrize(
    "parameters",
    [{"objective": "regression"}, {"num_leaves": 100, "min_data_in_leaf": 1}, {"linear_tree": True}],
    ids=str,
)
def test_trees_that_the_kernel_cannot_tell_apart_are_refused(parameters: dict[str, Any]) -> None:
    values, sample = sampled(100)
    trees = booster(1000, **parameters)
    with pytest.raises(UnsupportedTreesError):
        tree_kernel(trees.model_to_string(), list(values.T), GROUPS, sample)
