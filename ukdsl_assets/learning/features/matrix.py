"""Features as the matrix that boosted trees read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.served_as import filled

if TYPE_CHECKING:
    import lightgbm


# Share of the requests that tells when more trees stop helping.
VALIDATION_SHARE = 0.1


def booster_of(text: str) -> "lightgbm.Booster":
    import lightgbm

    return lightgbm.Booster(model_str=text)


def frequent_ids(column: pl.Series, least: int) -> pl.Series:
    """Ids with at least `least` rows, most frequent first, ties by id."""
    counts = column.drop_nulls().value_counts(name="rows").filter(pl.col("rows") >= least)
    return counts.sort(["rows", column.name], descending=[True, False])[column.name]


def held_out(requests: pl.Series, seed: int) -> NDArray[np.bool_]:
    """Boolean [rows]: rows of a seeded tenth of the requests."""
    unique = requests.unique().sort()
    chosen = np.random.default_rng(seed).random(len(unique)) < VALIDATION_SHARE
    return requests.is_in(unique.filter(pl.Series(chosen)).implode()).to_numpy()


def feature_matrix(
    features: tuple[Feature, ...], codes: Mapping[str, pl.Series], rows: pl.DataFrame
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Float32 [rows, columns], their names, and the names of the categorical ones; lists of ids are left out."""
    parts: list[NDArray[np.float32]] = []
    columns: list[str] = []
    for feature in features:
        column = filled(rows[feature.name], feature)
        if feature.kind == "categorical":
            ids = codes[feature.name]
            # LightGBM takes NaN for an id that it has not seen.
            coded = column.replace_strict(
                ids, pl.int_range(len(ids), eager=True), default=None, return_dtype=pl.Float32
            )
            parts.append(coded.to_numpy()[:, None])
            columns.append(feature.name)
        elif feature.kind == "multi_valued":
            continue
        elif feature.kind == "numeric":
            parts.append(column.cast(pl.Float32).to_numpy()[:, None])
            columns.append(feature.name)
        else:
            width = feature.width or 1
            # Place by place, so that a null vector (a candidate below `known_from`) is missing in each.
            places = column.cast(pl.Array(pl.Float32, width)).to_frame()
            parts.append(
                places.select(pl.first().arr.get(place).alias(str(place)) for place in range(width)).to_numpy()
            )
            columns += [f"{feature.name}_{place}" for place in range(width)]
    categorical = [feature.name for feature in features if feature.kind == "categorical"]
    return np.concatenate(parts, axis=1), columns, categorical
