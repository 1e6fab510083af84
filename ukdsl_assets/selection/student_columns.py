"""A student's features as one column each, of the rows instead of the requests, so that they can be permuted."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.learning.encoding import EncodedRows, EncodedSide, Encoder
from ukdsl_assets.learning.students import FittedStudent, load_model

Columns = Mapping[str, NDArray[Any]]


def row_columns(encoder: Encoder, rows: pl.DataFrame) -> tuple[Columns, NDArray[np.int64]]:
    """Encoded features and the number of each row's request, int64 [rows].

    Ids are int32 [rows], their row of the embedding table; numbers and vectors are float32 [rows, width], standardised.

    Raises:
        TrainingError: if a request's rows are scattered over the frame.
    """
    encoded = encoder.encode(rows)
    request = np.repeat(np.arange(len(encoded.offsets) - 1), np.diff(encoded.offsets))
    columns: dict[str, NDArray[Any]] = {}
    for side, mine, at in (("request", encoded.request, request), ("candidate", encoded.candidate, None)):
        for name, (of, place) in _places(encoder, side).items():
            column = (mine.ids if of == "ids" else mine.numbers)[:, place]
            columns[name] = column if at is None else column[at]
    return columns, request


def row_predictor(fitted: FittedStudent, head: str, threads: int) -> Callable[[Columns], NDArray[Any]]:
    """Columns of `row_columns`, permuted or not -> probabilities [rows] of one head."""
    index = fitted.heads.index(head)
    if fitted.text is not None:
        from ukdsl_assets.learning.trees import booster_of, feature_matrix

        booster = booster_of(fitted.text, index)

        def of_trees(columns: Columns) -> NDArray[np.float64]:
            matrix, _ = feature_matrix(as_rows(fitted.encoder, columns))
            return np.asarray(booster.predict(matrix, num_threads=threads), np.float64)

        return of_trees
    import torch

    from ukdsl_assets.learning import trainer

    torch.set_num_threads(threads)
    predict = partial(trainer.predict, load_model(fitted), heads=len(fitted.heads))
    return lambda columns: predict(as_rows(fitted.encoder, columns))[:, index]


def as_rows(encoder: Encoder, columns: Columns) -> EncodedRows:
    """The inverse of `row_columns`, with each row a request of its own."""
    rows = len(next(iter(columns.values())))

    def side(name: str) -> EncodedSide:
        places = _places(encoder, name)
        ids = [columns[feature] for feature, (of, _) in places.items() if of == "ids"]
        numbers = [columns[feature] for feature, (of, _) in places.items() if of == "numbers"]
        return EncodedSide(
            np.stack(ids, axis=1) if ids else np.empty((rows, 0), np.int32),
            np.concatenate(numbers, axis=1) if numbers else np.empty((rows, 0), np.float32),
        )

    return EncodedRows(side("request"), side("candidate"), np.arange(rows + 1))


def _places(encoder: Encoder, side: str) -> dict[str, tuple[str, Any]]:
    """Where each feature of one side stands: in ids at an index, or in numbers at a slice."""
    places: dict[str, tuple[str, Any]] = {}
    ids = numbers = 0
    for feature in encoder.features:
        if feature.side != side:
            continue
        if feature.kind == "categorical":
            places[feature.name] = ("ids", ids)
            ids += 1
        else:
            width = feature.width or 1
            places[feature.name] = ("numbers", slice(numbers, numbers + width))
            numbers += width
    return places
