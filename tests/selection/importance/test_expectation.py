"""The exact mean over donors."""

import numpy as np
import pytest
from scipy.special import expit

from tests.fixtures.fitted_students import HELD, fitted
from ukdsl_assets.declaration.architectures import LightGbmArchitecture
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.expectation import distinct_rows, expected_changes
from ukdsl_assets.selection.importance.importance import as_importance, student_importance
from ukdsl_assets.selection.importance.sample import Changes, Sample, sample_of

COLUMN = np.random.default_rng(0).integers(0, 3, 200)
TARGET = np.random.default_rng(1).random(200)


def changes(sample: Sample) -> Changes:
    return permuted_one_by_one(lambda c: expit(c["a"] - 1.0), {"a": COLUMN}, {"a": ["a"]}, sample)[0]


def test_the_expectation_is_the_mean_over_every_row_as_donor() -> None:
    sample = sample_of(TARGET, None, None, repeats=2, seed=0)
    few = distinct_rows([COLUMN], most=3)
    assert few is not None
    assert len(few[0]) == 3
    found = expected_changes(changes, sample, *few)
    # Every cyclic shift together gives each row every donor once.
    shifts = (np.arange(200)[None] + np.arange(200)[:, None]) % 200
    every = sample_of(TARGET, None, None, repeats=200, seed=0)
    every = Sample(every.target, every.weight, every.cluster, every.clusters, shifts.astype(np.int32))
    expected = changes(every)
    assert found.of_repeat == pytest.approx(expected.of_repeat.mean() * np.ones((1, 2)), abs=1e-11)
    one, all_of_them = (
        as_importance({"a": ["a"]}, *each, np.zeros(200)) for each in ((sample, found), (every, expected))
    )
    assert one.standard_error == pytest.approx(all_of_them.standard_error, abs=1e-12)


def test_combinations_are_counted_and_too_many_are_refused() -> None:
    other = np.arange(200)[:, None] % 2
    few = distinct_rows([COLUMN, other], most=6)
    assert few is not None
    assert len(few[0]) == 6
    assert all((COLUMN[few[0]][few[1]] == COLUMN) & (other[few[0]][few[1]] == other)[:, 0])
    assert distinct_rows([COLUMN, other], most=5) is None


@pytest.mark.slow
def test_many_repeats_of_a_student_come_near_the_expectation_which_few_values_get() -> None:
    student = fitted(LightGbmArchitecture(kind="lightgbm", trees=20, minimum_leaf_rows=20))
    groups = {"user_segment": ["user_segment"], "ad": ["ad"]}
    many = student_importance(student, HELD, groups, head="consideration", repeats=60)
    exact = student_importance(student, HELD, groups, head="consideration", repeats=2, exact_values=8)
    assert exact.score[0] == pytest.approx(many.score[0], rel=0.02)
    assert exact.per_repeat[0, 0] == exact.per_repeat[0, 1]
    assert exact.per_repeat[1, 0] != exact.per_repeat[1, 1]
