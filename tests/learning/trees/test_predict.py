"""The kernel's predictions are LightGBM's own."""

from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import MOST_CODES, codings
from ukdsl_assets.learning.trees.model import DEFAULT_LEFT, UnsupportedTreesError, read_trees
from ukdsl_assets.learning.trees.predict import PART, Scorer, predict_columns

# Columns 0 and 1 are ids, 2 to 5 numbers with missing values and zeros.
FEATURES = 6
# What no training row had, and what LightGBM reads in its own way.
ODD = (np.nan, np.inf, -np.inf, 0, -0.0, 1e-35, -1e-35, 1e-36, 2e-35, -0.5, -1, -3, 39.5, 1e4, 7e4, 3e9, 1e38, 1e-45)


def matrix(rows: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, 0], values[:, 1] = rng.integers(0, 60, rows), rng.integers(0, 5, rows)
    values[:, 3] = np.round(values[:, 3])
    values[:, 4] *= 1e-35 if seed % 2 else 1e30
    values[:, 2:5][rng.random((rows, 3)) < 0.1] = np.nan
    values[:, 0][rng.random(rows) < 0.1] = np.nan
    return values


def asked(seed: int, rows: int = 700) -> NDArray[np.float32]:
    """Rows like those of training, and each odd value in each column."""
    values = matrix(rows, seed)
    for place in range(FEATURES):
        values[place * len(ODD) : (place + 1) * len(ODD), place] = ODD
    return values


def booster(seed: int, rows: int = 800, trees: int = 12, **parameters: Any) -> lightgbm.Booster:
    values = matrix(rows, seed)
    filled = np.nan_to_num(values, nan=1.5)
    effect = np.random.default_rng(9).normal(size=60)
    logit = effect[filled[:, 0].astype(int)] + filled[:, 2] * filled[:, 3] + (values[:, 4] > 0) - filled[:, 5]
    settings = {"objective": "binary", "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "cat_smooth": 1}
    settings |= parameters
    label = logit if str(settings["objective"]).startswith(("regression", "huber")) else logit > 0
    if settings["objective"] == "cross_entropy":
        label = 1 / (1 + np.exp(-logit))
    data = lightgbm.Dataset(values, label, categorical_feature=[0, 1])
    return lightgbm.train(settings, data, num_boost_round=trees)


def same_bits(found: NDArray[np.float64], expected: Any) -> bool:
    return found.tobytes() == np.asarray(expected, np.float64).tobytes()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"objective": "cross_entropy", "num_leaves": 4},
        {"objective": "regression", "num_leaves": 33, "min_data_in_leaf": 2},
        {"objective": "huber", "boosting": "dart", "num_leaves": 64, "min_data_in_leaf": 1},
        {"zero_as_missing": True},
        {"use_missing": False, "sigmoid": 0.7},
        {"num_leaves": 300, "min_data_in_leaf": 1, "max_bin": 700, "min_data_in_bin": 1},
        {"max_cat_to_onehot": 100, "feature_fraction": 0.5},
        # No tree grows, or only some do.
        {"min_data_in_leaf": 800},
        {"min_gain_to_split": 20},
    ],
    ids=str,
)
def test_sums_are_lightgbms_bit_by_bit_and_predictions_within_two_ulp(seed: int, parameters: dict[str, Any]) -> None:
    trees, values = booster(seed, **parameters), asked(seed + 10)
    scorer, columns = Scorer.of(trees.model_to_string()), list(values.T)
    assert same_bits(scorer.sums(columns), trees.predict(values, raw_score=True, num_threads=1))
    expected = np.asarray(trees.predict(values, num_threads=1))
    found = scorer.predict(columns)
    assert np.allclose(found, expected, rtol=0 if scorer.slope is None else 2 * np.finfo(float).eps, atol=0)


def test_the_best_iteration_is_the_last_of_the_text() -> None:
    trees, values = booster(0), asked(1)
    trees.best_iteration = 5
    found = predict_columns(trees.model_to_string(), list(values.T))
    assert same_bits(found, trees.predict(values))
    assert not np.array_equal(found, trees.predict(values, num_iteration=12))


def test_bits_do_not_depend_on_threads_parts_or_the_columns_layout() -> None:
    trees, values = booster(2), asked(3, rows=2 * PART + 100)
    text = trees.model_to_string()
    one = predict_columns(text, list(values.T), 1)
    assert same_bits(one, predict_columns(text, [np.ascontiguousarray(each) for each in values.T], 3))
    assert same_bits(one, np.concatenate([predict_columns(text, list(part.T)) for part in np.split(values, [1, PART])]))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"linear_tree": True}, "linear trees"),
        ({"objective": "multiclass", "num_class": 2}, "2 trees an iteration"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "average"),
        ({"objective": "poisson"}, "objective poisson"),
        ({"objective": "regression", "reg_sqrt": True}, "objective regression sqrt"),
    ],
    ids=str,
)
def test_what_the_kernel_does_not_take_is_refused_by_name_and_predicted_by_lightgbm(
    parameters: dict[str, Any], reason: str
) -> None:
    trees, values = booster(1, rows=300, trees=3, **parameters), asked(2, 200)
    # Linear trees are not for infinity.
    values = np.where(np.abs(values) < 1e3, values, 0)
    text = trees.model_to_string()
    with pytest.raises(UnsupportedTreesError, match=reason):
        Scorer.of(text)
    assert same_bits(predict_columns(text, list(values.T)), trees.predict(values, num_threads=1))


def test_more_thresholds_than_codes_are_refused_by_name() -> None:
    one = read_trees(booster(0, trees=1, num_leaves=2).model_to_string())
    count = MOST_CODES - 1
    nodes: dict[str, Any] = {
        "feature": np.full(count, 2),
        "threshold": np.arange(count),
        "decision": np.full(count, DEFAULT_LEFT),
    }
    with pytest.raises(UnsupportedTreesError, match=f"{MOST_CODES + 1} values of a feature to tell apart"):
        codings(replace(one, **nodes))


def test_no_rows_give_none_and_other_columns_are_refused() -> None:
    text, values = booster(0, trees=2).model_to_string(), asked(0)
    assert predict_columns(text, list(values[:0].T)).shape == (0,)
    with pytest.raises(ValueError, match="5 columns for a model of 6 features"):
        predict_columns(text, list(values.T)[1:])


def test_leaves_are_numbered_from_left_to_right() -> None:
    trees = booster(3, trees=4)
    read = read_trees(trees.model_to_string())

    def left_to_right(node: Any) -> list[float]:
        if "leaf_value" in node:
            return [node["leaf_value"]]
        return [*left_to_right(node["left_child"]), *left_to_right(node["right_child"])]

    dumped = [left_to_right(tree["tree_structure"]) for tree in trees.dump_model()["tree_info"]]
    assert read.value.tolist() == [value for of_tree in dumped for value in of_tree]
    assert np.diff(read.leaves).tolist() == [len(of_tree) for of_tree in dumped]
