"""Feature values that are missing: one rule for logs, training, scoring and importance."""

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature


def is_missing(feature: Feature) -> pl.Expr:
    """Whether a feature's value is missing, never null.

    An id or a list of ids: null; an empty list is none of them. A number: null or NaN. A vector: null, or null or NaN
    in every place; in some of them alone it is broken, not missing.
    """
    column = pl.col(feature.name)
    if feature.kind == "numeric":
        return column.is_null() | column.is_nan()
    if feature.kind == "vector":
        place = pl.element()
        places = column.cast(pl.Array(pl.Float32, feature.width or 1)).arr
        return column.is_null() | places.eval(place.is_null() | place.is_nan().fill_null(True)).arr.all()
    return column.is_null()


def missing_in(frame: pl.DataFrame, feature: Feature) -> NDArray[np.bool_]:
    """Which rows [rows] miss a feature's value."""
    return frame.select(is_missing(feature)).to_series().to_numpy()


def or_null(feature: Feature) -> pl.Expr:
    """A feature's value, null where it is missing."""
    return pl.when(is_missing(feature).not_()).then(pl.col(feature.name)).alias(feature.name)


def missing_as_null(frame: pl.DataFrame, features: Iterable[Feature]) -> pl.DataFrame:
    """The frame with null for every missing value of those features that may be missing; other columns as they are."""
    return frame.with_columns(or_null(feature) for feature in features if feature.may_be_missing)
