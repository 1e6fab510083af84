"""A student's features laid out by row instead of by request, so that they can be permuted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.students import SCORED_HEAD
from ukdsl_assets.learning.features.encoding import EncodedRows, EncodedSide, Encoder
from ukdsl_assets.learning.students.predict import load_model
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.selection.importance.any_predictor import Columns


@dataclass(frozen=True)
class RowFeatures:
    """Encoded features of rows; the request's come first, then the candidate's.

    ids: int32 [rows, categorical features], rows of the embedding table. numbers: float32 [rows, numeric columns].
    request: int64 [rows], number of each row's request.
    places: feature -> its columns, ("ids" or "numbers", first, behind the last).
    """

    ids: NDArray[np.int32]
    numbers: NDArray[np.float32]
    request: NDArray[np.int64]
    places: Mapping[str, tuple[str, int, int]]

    @property
    def columns(self) -> Columns:
        """Each feature's columns, [rows, width], without a copy."""
        return {
            name: (self.ids if of == "ids" else self.numbers)[:, first:last]
            for name, (of, first, last) in self.places.items()
        }


def row_features(encoder: Encoder, rows: pl.DataFrame) -> RowFeatures:
    """Encode a frame whose rows of one request stand together.

    Raises:
        TrainingError: if a request's rows are scattered over the frame.
    """
    encoded = encoder.encode(rows)
    request = np.repeat(np.arange(len(encoded.offsets) - 1), np.diff(encoded.offsets))
    return RowFeatures(
        ids=np.concatenate([encoded.request.ids[request], encoded.candidate.ids], axis=1),
        numbers=np.concatenate([encoded.request.numbers[request], encoded.candidate.numbers], axis=1),
        request=request,
        places=_places(encoder),
    )


def row_predictor(fitted: FittedStudent, head: str, threads: int) -> Callable[[Columns], NDArray[Any]]:
    """Columns of `RowFeatures`, permuted or not -> probabilities [rows] of one head."""
    index, level = fitted.head_index(head), fitted.level if head == SCORED_HEAD else None
    predict = _trained_head(fitted, index, threads)
    return predict if level is None else lambda columns: level.moved(predict(columns))


def _trained_head(fitted: FittedStudent, index: int, threads: int) -> Callable[[Columns], NDArray[Any]]:
    if fitted.text is not None:
        from ukdsl_assets.learning.students.trees import encoded_columns, text_of_head
        from ukdsl_assets.learning.trees.predict import predict_columns

        text = text_of_head(fitted.text, index)

        def of_trees(columns: Columns) -> NDArray[np.float64]:
            return predict_columns(text, encoded_columns(_single_requests(fitted.encoder, columns)), threads)

        return of_trees
    import torch

    from ukdsl_assets.learning.networks.model import predict_network

    torch.set_num_threads(threads)
    network = partial(predict_network, load_model(fitted), heads=len(fitted.trained_heads))
    return lambda columns: network(_single_requests(fitted.encoder, columns))[:, index]


def _single_requests(encoder: Encoder, columns: Columns) -> EncodedRows:
    """Each row as a request of its own."""
    rows = len(next(iter(columns.values())))

    def side(of: str) -> EncodedSide:
        mine = [f for f in encoder.features if f.side == of]
        ids = [columns[f.name] for f in mine if f.kind == "categorical"]
        numbers = [columns[f.name] for f in mine if f.kind != "categorical"]
        return EncodedSide(
            np.concatenate(ids, axis=1) if ids else np.empty((rows, 0), np.int32),
            np.concatenate(numbers, axis=1) if numbers else np.empty((rows, 0), np.float32),
        )

    return EncodedRows(side("request"), side("candidate"), np.arange(rows + 1))


def _places(encoder: Encoder) -> dict[str, tuple[str, int, int]]:
    places: dict[str, tuple[str, int, int]] = {}
    used = {"ids": 0, "numbers": 0}
    for side in ("request", "candidate"):
        for feature in encoder.features:
            if feature.side == side:
                of = "ids" if feature.kind == "categorical" else "numbers"
                first, used[of] = used[of], used[of] + (feature.number_columns or 1)
                places[feature.name] = (of, first, used[of])
    return places
