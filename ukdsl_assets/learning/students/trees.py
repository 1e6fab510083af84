"""Boosted trees as students: cross entropy with soft labels, a booster a head."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.features.encoding import EncodedRows
from ukdsl_assets.learning.trees.predict import predict_columns

# Stands between the boosters of two heads; LightGBM's format has no such line.
BETWEEN_HEADS = "\n=== next head ===\n"


def predict_trees(text: str, rows: EncodedRows, threads: int) -> NDArray[np.float32]:
    """Probabilities [rows, heads]; empty input gives shape [0, heads]."""
    texts, columns = text.split(BETWEEN_HEADS), encoded_columns(rows)
    return np.stack([predict_columns(each, columns, threads).astype(np.float32) for each in texts], axis=1)


def text_of_head(text: str, head: int) -> str:
    """The model of one head, counted from 0; it reads `encoded_columns`."""
    return text.split(BETWEEN_HEADS)[head]


def leaf_values(text: str) -> NDArray[np.float32]:
    """Every leaf's value, float32 [leaves of all trees and heads]."""
    lines = re.findall(r"^leaf_value=(.*)$", text, flags=re.MULTILINE)
    return np.array(" ".join(lines).split(), np.float32)


def encoded_matrix(rows: EncodedRows) -> tuple[NDArray[np.float32], list[int]]:
    """Float32 [rows, columns] and which columns are categorical: ids are their embedding row, unknown ids NaN."""
    return np.stack(encoded_columns(rows), axis=1), list(range(rows.request.ids.shape[1] + rows.candidate.ids.shape[1]))


def encoded_columns(rows: EncodedRows) -> list[NDArray[np.float32]]:
    """Columns of `encoded_matrix`, float32 [rows] each."""
    request_of_row = np.repeat(np.arange(len(rows.offsets) - 1), np.diff(rows.offsets))
    ids = np.concatenate([rows.request.ids[request_of_row], rows.candidate.ids], axis=1)
    numbers = np.concatenate([rows.request.numbers[request_of_row], rows.candidate.numbers], axis=1)
    return list(matrix_columns(ids, numbers))


def matrix_columns(ids: NDArray[np.int32], numbers: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Columns of the feature matrix, float32 [rows] each, of ids [rows, features] and numbers [rows, columns]."""
    for place in range(ids.shape[1]):
        # The first rows of the table, one a feature, stand for unknown ids.
        yield np.where(ids[:, place] < ids.shape[1], np.nan, ids[:, place]).astype(np.float32)
    for place in range(numbers.shape[1]):
        yield numbers[:, place]
