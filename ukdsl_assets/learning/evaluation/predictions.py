"""Rows with the predictions of every arm and head, one shard at a time, as often as they are needed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.errors import noted

# (arm, head) -> float32 [rows].
Predictions = Mapping[tuple[str, str], NDArray[np.float32]]


class PredictedRows(NamedTuple):
    """Rows of `teacher_augmented` with what they are judged by, and the predictions of each arm and head for them."""

    rows: pl.DataFrame
    predictions: Predictions


# Each gives a shard anew when it is called; a request's rows are in one shard.
PredictedShards = Sequence[Callable[[], PredictedRows]]


def whole(rows: pl.DataFrame, predictions: Predictions) -> PredictedShards:
    """All rows as the only shard."""
    return [lambda: PredictedRows(rows, predictions)]


def kept_on_disk(scored: PredictedRows, file: Path | str) -> Callable[[], PredictedRows]:
    """Write a shard to a Parquet file, or URI, that is not there yet; gives what reads it back."""
    columns = {_column(*key): p for key, p in scored.predictions.items()}
    with noted(f"while writing {file}"):
        scored.rows.with_columns(**columns).write_parquet(file, compression="uncompressed")
    return partial(_read, file, tuple(scored.predictions))


def _read(file: Path | str, keys: Sequence[tuple[str, str]]) -> PredictedRows:
    frame = pl.read_parquet(file, glob=False)
    predictions = {key: frame[_column(*key)].to_numpy() for key in keys}
    return PredictedRows(frame.drop(_column(*key) for key in keys), predictions)


def _column(arm: str, head: str) -> str:
    return f"{arm}/{head}"
