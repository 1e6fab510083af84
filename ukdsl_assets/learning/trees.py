"""Boosted trees as students: cross entropy with soft labels, a booster a head."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.architectures import LightGbmArchitecture
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.encoding import EncodedRows

if TYPE_CHECKING:
    import lightgbm

    from ukdsl_assets.learning.trainer import Targets

# Stands between the boosters of two heads; LightGBM's format has no such line.
BETWEEN_HEADS = "\n=== next head ===\n"


def fit_trees(
    architecture: LightGbmArchitecture,
    rows: EncodedRows,
    targets: "Targets",
    heads: int,
    learning_rate: float,
    seed: int,
    threads: int,
) -> str:
    """Boosters of all heads in LightGBM's text format; the same bytes for the same input, whatever the threads.

    Args:
        targets: a row grows the trees of the heads that it has a weight for; temperatures are not applied.
        learning_rate: shrinkage of each tree.

    Raises:
        TrainingError: for a head without rows, or whose targets are all the same.
    """
    import lightgbm

    matrix, categorical = feature_matrix(rows)
    parameters = {
        "objective": "cross_entropy",
        "num_leaves": architecture.leaves,
        "learning_rate": learning_rate,
        "min_data_in_leaf": architecture.minimum_leaf_rows,
        "min_sum_hessian_in_leaf": 0.0,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
        "cat_smooth": 20,
    }
    texts = []
    for head in range(heads):
        mine = targets.weight[:, head] > 0
        target, weight = targets.target[mine, head], targets.weight[mine, head].astype(np.float64)
        if not len(target) or target.min() == target.max():
            raise TrainingError(
                f"head {head}: {len(target)} rows with targets {np.unique(target)[:3].tolist()}; expected at least "
                "two different ones; check that the window's days have labels"
            )
        # Weights sum to the rows, so that the regularisation of leaves means the same for every head.
        weight *= len(weight) / weight.sum()
        data = lightgbm.Dataset(matrix[mine], target, weight=weight, categorical_feature=categorical)
        booster = lightgbm.train(parameters, data, num_boost_round=architecture.trees)
        # The number of threads is not part of the model: its bytes must not depend on the machine.
        texts.append(re.sub(r"\[num_threads: \d+\]\n", "", booster.model_to_string()))
    return BETWEEN_HEADS.join(texts)


def predict_trees(text: str, rows: EncodedRows, threads: int) -> NDArray[np.float32]:
    """Probabilities [rows, heads]; empty input gives shape [0, heads]."""
    import lightgbm

    texts = text.split(BETWEEN_HEADS)
    matrix, _ = feature_matrix(rows)
    if not len(matrix):
        return np.empty((0, len(texts)), np.float32)
    boosters = [lightgbm.Booster(model_str=each) for each in texts]
    return np.stack([np.asarray(b.predict(matrix, num_threads=threads), np.float32) for b in boosters], axis=1)


def booster_of(text: str, head: int) -> "lightgbm.Booster":
    """The booster of one head, counted from 0; it reads `feature_matrix`."""
    import lightgbm

    return lightgbm.Booster(model_str=text.split(BETWEEN_HEADS)[head])


def leaf_values(text: str) -> NDArray[np.float32]:
    """Every leaf's value, float32 [leaves of all trees and heads]."""
    lines = re.findall(r"^leaf_value=(.*)$", text, flags=re.MULTILINE)
    return np.array(" ".join(lines).split(), np.float32)


def feature_matrix(rows: EncodedRows) -> tuple[NDArray[np.float32], list[int]]:
    """Float32 [rows, columns] and which columns are categorical: ids are their embedding row, unknown ids NaN."""
    request_of_row = np.repeat(np.arange(len(rows.offsets) - 1), np.diff(rows.offsets))
    ids = np.concatenate([rows.request.ids[request_of_row], rows.candidate.ids], axis=1)
    numbers = np.concatenate([rows.request.numbers[request_of_row], rows.candidate.numbers], axis=1)
    return np.stack(list(matrix_columns(ids, numbers)), axis=1), list(range(ids.shape[1]))


def matrix_columns(ids: NDArray[np.int32], numbers: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Columns of the feature matrix, float32 [rows] each, of ids [rows, features] and numbers [rows, columns]."""
    for place in range(ids.shape[1]):
        # The first rows of the table, one a feature, stand for unknown ids.
        yield np.where(ids[:, place] < ids.shape[1], np.nan, ids[:, place]).astype(np.float32)
    for place in range(numbers.shape[1]):
        yield numbers[:, place]
