"""Rows that try a file: ids that a student knows and such that it does not, missing values, and extreme numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.conform import feature_dtype
from ukdsl_assets.learning.features.encoding import Encoder

# Shares of values that are unknown, missing where they may be, and extreme.
UNKNOWN, MISSING, EXTREME = 0.1, 0.1, 0.05
# Neither is likely to be in a log; a student that knows one of them knows it here too.
_UNKNOWN_INTEGERS = (2**63 - 1, -(2**62), 0, -1)
_UNKNOWN_TEXTS = ("", "an id that nobody has", "\u00e9\U0001f600", " ")
_LARGEST = float(np.finfo(np.float32).max)
_EXTREMES = (_LARGEST, -_LARGEST, 0.0, -0.0, 1e-45, 1e6, -1e6)
# Lists are this long at most, and one is as long as may be, up to the second number: all are laid out as long as it.
_LONG, _LONGEST = 8, 64


def sample_rows(encoder: Encoder, rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of the features that scoring reads, in their declared types; the same for the same seed.

    Args:
        rows: how many; 0 gives none.
    """
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        [_column(feature, encoder, rows, random) for feature in encoder.features if feature.served_as is None]
    )


def _column(feature: Feature, encoder: Encoder, rows: int, random: np.random.Generator) -> pl.Series:
    if feature.kind == "categorical":
        values = _ids(feature, encoder, rows, random)
    elif feature.kind == "multi_valued":
        lengths = random.integers(0, min(_LONG, feature.most_values) + 1, rows)
        lengths[:1] = min(feature.most_values, _LONGEST)
        ids = _ids(feature, encoder, int(lengths.sum()), random)
        values = _lists(ids, lengths)
    else:
        numbers = _numbers(encoder.scales[feature.name], feature.width or 1, rows, random)
        values = pl.Series(numbers if feature.kind == "vector" else numbers[:, 0], dtype=feature_dtype(feature))
    if feature.may_be_missing:
        there = pl.Series(random.random(rows) >= MISSING)
        values = pl.select(pl.when(there).then(values)).to_series()
    return values.alias(feature.name)


def _lists(ids: pl.Series, lengths: NDArray[np.int64]) -> pl.Series:
    """Ids one after the other as lists of those lengths."""
    import pyarrow as pa

    offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
    made = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, ids.to_arrow()))
    assert isinstance(made, pl.Series)
    return made


def _ids(feature: Feature, encoder: Encoder, count: int, random: np.random.Generator) -> pl.Series:
    known = encoder.vocabularies[feature.name][0] if feature.hash_buckets is None else pl.Series([], dtype=pl.Int64)
    if not len(known):
        known = pl.Series(random.integers(-(2**63), 2**63 - 1, max(count, 1)))
    dtype = pl.String() if feature.values == "string" else pl.Int64()
    unknown = pl.Series(_UNKNOWN_TEXTS if feature.values == "string" else _UNKNOWN_INTEGERS, dtype=dtype)
    chosen = known.cast(dtype).gather(random.integers(0, len(known), count))
    strange = unknown.gather(random.integers(0, len(unknown), count))
    return strange.zip_with(pl.Series(random.random(count) < UNKNOWN, dtype=pl.Boolean), chosen)


def _numbers(
    scale: tuple[list[float], list[float]], width: int, rows: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Numbers [rows, width] as training saw them, some far beyond."""
    mean, deviation = (np.asarray(each[:width], np.float64) for each in scale)
    usual = mean + np.where(deviation > 0, deviation, 1) * random.normal(0, 2, (rows, width))
    extreme = random.choice(np.array(_EXTREMES), (rows, width))
    chosen = np.where(random.random((rows, width)) < EXTREME, extreme, usual)
    return chosen.clip(-_LARGEST, _LARGEST).astype(np.float32)
