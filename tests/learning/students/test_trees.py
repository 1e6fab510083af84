"""Boosted trees as students."""

import numpy as np
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import LightGbmArchitecture
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.students.fit import fit_trees
from ukdsl_assets.learning.students.trees import encoded_matrix, leaf_values, predict_trees
from ukdsl_assets.learning.training.shards import Targets

FEW = LightGbmArchitecture(kind="lightgbm", trees=5, minimum_leaf_rows=20)
ROWS = training_rows(60).filter(domain="CD")
ENCODED = Encoder(CASCADE.features_of(STUDENT)).extended(ROWS, least=20).encode(ROWS)


def targets(target: np.ndarray | None = None, head: int = 0) -> Targets:
    """Every row teaches one of two heads."""
    given = (ROWS["target"].to_numpy() if target is None else target)[:, None]
    weight = np.zeros((len(ROWS), 2), np.float32)
    weight[:, head] = 1
    return Targets(np.repeat(given, 2, axis=1), weight, np.ones(len(ROWS), np.float32))


def test_ids_are_categories_and_rare_ones_are_missing() -> None:
    matrix, categorical = encoded_matrix(ENCODED)
    # Ten features are ids; the profile has four places.
    assert matrix.shape == (len(ROWS), len(categorical) + 4)
    counts = ROWS["ad"].value_counts()
    rare = ROWS["ad"].is_in(counts.filter(counts["count"] < 20)["ad"].implode()).to_numpy()
    assert 0 < rare.sum() < len(rare)
    # The candidate's ids stand behind the request's, the ad first.
    ad = matrix[:, ENCODED.request.ids.shape[1]]
    assert np.array_equal(np.isnan(ad), rare)


def test_the_mean_prediction_is_the_mean_soft_label() -> None:
    text = fit_trees(FEW, ENCODED, targets(), heads=1, learning_rate=0.1, seed=0, threads=1)
    prediction = predict_trees(text, ENCODED, threads=1)[:, 0]
    assert prediction.mean() == pytest.approx(ROWS["target"].mean(), rel=0.03)
    assert prediction.std() > 0


def test_a_leaf_value_is_read_for_every_leaf() -> None:
    text = fit_trees(FEW, ENCODED, targets(), heads=1, learning_rate=0.1, seed=0, threads=1)
    leaves = [int(line.removeprefix("num_leaves=")) for line in text.splitlines() if line.startswith("num_leaves=")]
    assert len(leaves) == FEW.trees
    assert len(leaf_values(text)) == sum(leaves)


def test_bytes_do_not_depend_on_threads() -> None:
    first, second = (fit_trees(FEW, ENCODED, targets(), 1, 0.1, seed=0, threads=threads) for threads in (1, 2))
    assert first == second


def test_a_head_without_rows_or_with_one_target_is_refused() -> None:
    with pytest.raises(TrainingError, match="head 1: 0 rows"):
        fit_trees(FEW, ENCODED, targets(), heads=2, learning_rate=0.1, seed=0, threads=1)
    with pytest.raises(TrainingError, match=r"targets \[0\.0\]"):
        fit_trees(FEW, ENCODED, targets(np.zeros(len(ROWS), np.float32)), 1, 0.1, seed=0, threads=1)
