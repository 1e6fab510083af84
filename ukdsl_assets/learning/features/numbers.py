"""Numeric and vector features as standardised columns, and what stands in them for a missing value."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.missing import missing_in

# Standardised numbers are cut here, so that one outlier of a skewed column cannot throw a tower off.
CUT = 6.0
# Mean and standard deviation of each column of a feature, 0 for one that has not yet varied. The last column of a
# feature that may be missing, the only one of ids, says whether it is: (0, 1) once a training has seen one missing.
Scale = tuple[list[float], list[float]]


def numbers_of(frame: pl.DataFrame, feature: Feature) -> NDArray[np.float32]:
    """A numeric or vector feature as float32 [rows, width], NaN for null."""
    column = frame[feature.name]
    if feature.kind == "vector":
        width = feature.width or 1
        return column.cast(pl.Array(pl.Float32, width)).to_numpy().reshape(len(frame), width)
    return column.cast(pl.Float32).to_numpy().reshape(-1, 1)


def standardised(frame: pl.DataFrame, feature: Feature, scale: Scale) -> NDArray[np.float32]:
    """Float32 [rows, feature.number_columns], cut at CUT; a missing value is the mean, with 1 in the last column.

    A column that has not varied in training is 0, since what a model does with it was never learnt.
    """
    mean, deviation = (np.asarray(part, np.float32) for part in scale)
    numbers = numbers_of(frame, feature)
    if feature.may_be_missing:
        missing = missing_in(frame, feature)[:, None]
        numbers = np.concatenate([np.where(missing, mean[:-1], numbers), missing], axis=1, dtype=np.float32)
    varied = deviation > 0
    # What is beyond 32 bits is beyond the cut too.
    with np.errstate(over="ignore"):
        columns = ((numbers - mean) / np.where(varied, deviation, np.float32(1))).clip(-CUT, CUT)
    columns[:, ~varied] = 0
    return columns


def scale_of(frame: pl.DataFrame, feature: Feature, known: Scale | None) -> Scale:
    """The known scale of each column, and the frame's where none is known or the column had not varied."""
    if known is not None and all(deviation > 0 for deviation in known[1]):
        return known
    numbers = np.empty((0, 0), np.float32) if feature.of_ids else numbers_of(frame, feature)
    missing = missing_in(frame, feature) if feature.may_be_missing else None
    present = numbers if missing is None or feature.of_ids else numbers[~missing]
    mean, deviation = [0.0] * numbers.shape[1], [0.0] * numbers.shape[1]
    if len(present):
        mean = present.mean(0, dtype=np.float64).tolist()
        deviation = present.std(0, dtype=np.float64).tolist()
    if missing is not None:
        mean, deviation = [*mean, 0.0], [*deviation, float(missing.any())]
    if known is None:
        return mean, deviation
    kept = [before > 0 for before in known[1]]
    return (
        [old if keep else new for keep, old, new in zip(kept, known[0], mean, strict=True)],
        [old if keep else new for keep, old, new in zip(kept, known[1], deviation, strict=True)],
    )
