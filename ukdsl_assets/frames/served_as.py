"""Features that only what was shown has, such as its slot, and the value that stands in for them when scoring."""

from collections.abc import Iterable

import polars as pl

from ukdsl_assets.declaration.parts import Feature


def as_scored(features: Iterable[Feature]) -> list[pl.Expr]:
    """Columns that make rows as they are before anything is shown: null in the features with `served_as`."""
    return [
        pl.when(False).then(feature.name).alias(feature.name) for feature in features if feature.served_as is not None
    ]


def shown_as_scored(features: Iterable[Feature]) -> pl.Expr:
    """Whether a shown row has every feature at its `served_as`, so that its label is of what was scored."""
    same = [pl.col(feature.name) == pl.lit(feature.served_as) for feature in features if feature.served_as is not None]
    return pl.all_horizontal(pl.lit(True), *same)


def filled(column: pl.Series, feature: Feature) -> pl.Series:
    """The column with `served_as` for null, or as it is for a feature without."""
    return column if feature.served_as is None else column.fill_null(feature.served_as)
