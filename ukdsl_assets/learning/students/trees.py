"""Boosted trees as students: cross entropy with soft labels, a booster a head."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.features.encoding import EncodedRows

if TYPE_CHECKING:
    import lightgbm

# Stands between the boosters of two heads; LightGBM's format has no such line.
BETWEEN_HEADS = "\n=== next head ===\n"


def predict_trees(text: str, rows: EncodedRows, threads: int) -> NDArray[np.float32]:
    """Probabilities [rows, heads]; empty input gives shape [0, heads]."""
    import lightgbm

    texts = text.split(BETWEEN_HEADS)
    matrix, _ = encoded_matrix(rows)
    if not len(matrix):
        return np.empty((0, len(texts)), np.float32)
    boosters = [lightgbm.Booster(model_str=each) for each in texts]
    return np.stack([np.asarray(b.predict(matrix, num_threads=threads), np.float32) for b in boosters], axis=1)


def booster_of_head(text: str, head: int) -> "lightgbm.Booster":
    """The booster of one head, counted from 0; it reads `encoded_matrix`."""
    import lightgbm

    return lightgbm.Booster(model_str=text.split(BETWEEN_HEADS)[head])


def leaf_values(text: str) -> NDArray[np.float32]:
    """Every leaf's value, float32 [leaves of all trees and heads]."""
    lines = re.findall(r"^leaf_value=(.*)$", text, flags=re.MULTILINE)
    return np.array(" ".join(lines).split(), np.float32)


def encoded_matrix(rows: EncodedRows) -> tuple[NDArray[np.float32], list[int]]:
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
