"""Permutation importance of any predictor: equal to a naive loop and to scikit-learn's, with honest errors."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.inspection import permutation_importance
from sklearn.utils import check_random_state

from ukdsl_assets.errors import SelectionError
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.importance import as_importance, importance_of
from ukdsl_assets.selection.importance.permutations import permutations
from ukdsl_assets.selection.importance.sample import sample_of

SINGLY = {name: [name] for name in "abc"}


def predict(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """a matters much, b a little and only together with a, c not at all."""
    return np.asarray(expit(1.5 * columns["a"] + 0.5 * columns["a"] * columns["b"] - 1))


def world(rows: int, seed: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Columns and labels that are drawn from the predictor."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=rows) for name in "abc"}
    return columns, (rng.random(rows) < predict(columns)).astype(float)


def test_scores_are_those_of_a_naive_loop_with_groups_weights_and_soft_labels() -> None:
    rng = np.random.default_rng(1)
    columns, _ = world(300, 0)
    target, weight = rng.random(300), rng.exponential(size=300)
    groups = {"a": ["a"], "b and c": ["b", "c"], "all": ["a", "b", "c"]}
    found = importance_of(predict, columns, groups, target, weight, repeats=3, seed=5)
    base = normalized_entropy(predict(columns), target, weight)
    for group, members in enumerate(groups.values()):
        for repeat, donors in enumerate(permutations(300, 3, seed=5)):
            shuffled = columns | {name: columns[name][donors] for name in members}
            expected = normalized_entropy(predict(shuffled), target, weight) - base
            assert found.per_repeat[group, repeat] == pytest.approx(expected, abs=1e-13)
    assert found.base == pytest.approx(base, abs=1e-14)
    assert found.names == ("a", "b and c", "all")
    assert found.rows == 300
    assert np.allclose(found.score, found.per_repeat.mean(1))


def test_scores_are_those_of_scikit_learn_with_its_own_permutations() -> None:
    columns, target = world(400, 2)
    matrix = np.stack(list(columns.values()), axis=1)

    class Model:
        def fit(self, X: Any, y: Any) -> "Model":
            return self

    def scorer(model: Model, X: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return -normalized_entropy(predict(dict(zip("abc", X.T, strict=True))), y)

    theirs = permutation_importance(Model(), matrix, target, scoring=scorer, n_repeats=4, random_state=7)
    # It draws one seed for all columns, shuffles the order anew every repeat, and permutes what is permuted already.
    state = check_random_state(check_random_state(7).randint(np.iinfo(np.int32).max + 1))
    order, donors = np.arange(400), [np.arange(400)]
    for _ in range(4):
        state.shuffle(order)
        donors.append(donors[-1][order])
    sample = replace(sample_of(target, None, None, 4, seed=0), donors=np.array(donors[1:], np.int32))
    ours = as_importance(SINGLY, sample, *permuted_one_by_one(predict, columns, SINGLY, sample))
    assert np.allclose(ours.per_repeat, theirs.importances, rtol=0, atol=1e-13)
    assert ours.score[0] > ours.score[1] > 0 == ours.score[2]


def test_the_standard_error_is_the_spread_over_samples() -> None:
    found = [importance_of(predict, *_sampled(seed), repeats=3, seed=seed) for seed in range(150)]
    spread = np.std([each.score[:2] for each in found], axis=0, ddof=1)
    told = np.mean([each.standard_error[:2] for each in found], axis=0)
    # The spread of 150 samples is known to 6%; the error may be too large by at most the root of 2.
    assert (told > 0.85 * spread).all()
    assert (told < 1.5 * spread).all()
    assert found[0].standard_error[2] == 0


def _sampled(seed: int) -> tuple[Any, ...]:
    columns, target = world(1000, seed)
    return columns, SINGLY, target


def test_rows_of_a_request_count_as_one_draw() -> None:
    columns, target = world(500, 3)
    request = np.arange(500)
    repeated = {name: np.repeat(column, 4) for name, column in columns.items()}
    once = importance_of(predict, columns, SINGLY, target, request=request, repeats=8)
    fourfold = importance_of(predict, repeated, SINGLY, np.repeat(target, 4), request=np.repeat(request, 4), repeats=8)
    blind = importance_of(predict, repeated, SINGLY, np.repeat(target, 4), repeats=8)
    assert fourfold.standard_error[0] == pytest.approx(once.standard_error[0], rel=0.15)
    assert blind.standard_error[0] < 0.6 * once.standard_error[0]


def test_without_rows_or_with_one_kind_of_target_scores_are_nan() -> None:
    columns, _ = world(20, 0)
    constant = importance_of(predict, columns, SINGLY, np.zeros(20))
    empty = importance_of(predict, {name: column[:0] for name, column in columns.items()}, SINGLY, np.zeros(0))
    for found in (constant, empty):
        assert np.isnan([found.base, *found.score, *found.standard_error]).all()
    assert empty.rows == 0
    assert empty.per_repeat.shape == (3, 1)
    missing = columns | {"a": np.where(np.arange(20) == 3, np.nan, columns["a"])}
    assert np.isnan(importance_of(predict, missing, SINGLY, np.arange(20) % 2).score).all()


def test_wrong_input_is_refused() -> None:
    columns, target = world(20, 0)
    with pytest.raises(SelectionError, match=r"group x: saw \['d'\]; expected a list of one or more of a, b, c"):
        importance_of(predict, columns, {"x": ["d"]}, target)
    with pytest.raises(SelectionError, match=r"group x: saw \[\]"):
        importance_of(predict, columns, {"x": []}, target)
    with pytest.raises(ValueError, match=r"targets in \[0, 1\]"):
        importance_of(predict, columns, SINGLY, target * 2)
    with pytest.raises(ValueError, match="one length"):
        importance_of(predict, columns, SINGLY, target, np.ones(19))
