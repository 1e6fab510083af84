"""Features as the matrix that boosted trees read."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.missing import missing_in
from ukdsl_assets.frames.served_as import filled
from ukdsl_assets.learning.features.numbers import numbers_of

# Share of the requests that tells when more trees stop helping.
VALIDATION_SHARE = 0.1


def frequent_ids(column: pl.Series, least: int) -> pl.Series:
    """Ids with at least `least` rows, most frequent first, ties by id."""
    # Under a name of its own: a feature may be called `rows`.
    counts = column.alias("id").drop_nulls().value_counts(name="rows").filter(pl.col("rows") >= least)
    return counts.sort(["rows", "id"], descending=[True, False])["id"].alias(column.name)


def held_out(requests: pl.Series, seed: int) -> NDArray[np.bool_]:
    """Boolean [rows]: rows of a seeded tenth of the requests."""
    unique = requests.unique().sort()
    chosen = np.random.default_rng(seed).random(len(unique)) < VALIDATION_SHARE
    return requests.is_in(unique.filter(pl.Series(chosen)).implode()).to_numpy()


def present_means(features: tuple[Feature, ...], rows: pl.DataFrame) -> dict[str, list[float]]:
    """Of each numeric or vector feature that may be missing the means of its places where it is there, else 0."""
    means = {}
    for feature in features:
        if feature.may_be_missing and not feature.of_ids:
            present = numbers_of(rows, feature)[~missing_in(rows, feature)]
            means[feature.name] = (present.mean(0, dtype=np.float64) if len(present) else present.sum(0)).tolist()
    return means


def feature_matrix(
    features: tuple[Feature, ...],
    codes: Mapping[str, pl.Series],
    rows: pl.DataFrame,
    means: Mapping[str, list[float]] | None = None,
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Float32 [rows, columns], their names, and the names of the categorical ones; lists of ids are left out.

    Args: as of `feature_columns`.
    """
    columns, names = feature_columns(features, codes, rows, means)
    return np.stack(columns, axis=1), names, [feature.name for feature in features if feature.kind == "categorical"]


def feature_columns(
    features: tuple[Feature, ...],
    codes: Mapping[str, pl.Series],
    rows: pl.DataFrame,
    means: Mapping[str, list[float]] | None = None,
) -> tuple[list[NDArray[np.float32]], list[str]]:
    """Columns of the matrix, float32 [rows] each, and their names.

    Args:
        codes: the ids of each categorical feature, whose place is their code; a missing one, where it may be, has the
            code behind them. means: of `present_means`, which stand for missing numbers beside a column that says so.
    """
    columns: list[NDArray[np.float32]] = []
    names: list[str] = []
    for feature in features:
        column = filled(rows[feature.name], feature)
        if feature.kind == "categorical":
            ids = codes[feature.name]
            # LightGBM takes NaN for an id that it has not seen.
            coded = column.replace_strict(
                ids, pl.int_range(len(ids), eager=True), default=None, return_dtype=pl.Float32
            )
            if feature.may_be_missing:
                coded = coded.zip_with(column.is_not_null(), pl.Series([len(ids)], dtype=pl.Float32))
            columns.append(coded.to_numpy())
            names.append(feature.name)
        elif feature.kind == "multi_valued":
            continue
        elif feature.may_be_missing:
            missing = missing_in(rows, feature)[:, None]
            there = np.where(missing, np.asarray((means or {})[feature.name], np.float32), numbers_of(rows, feature))
            columns += [*there.astype(np.float32).T, missing[:, 0].astype(np.float32)]
            numbered = [_place_name(feature, place, features) for place in range(feature.width or 0)]
            names += [*(numbered or [feature.name]), f"{feature.name}.missing"]
        elif feature.kind == "numeric":
            columns.append(column.cast(pl.Float32).to_numpy())
            names.append(feature.name)
        else:
            width = feature.width or 1
            # Place by place, so that a null vector (a candidate below `known_from`) is missing in each.
            places = column.cast(pl.Array(pl.Float32, width)).to_frame()
            by_place = places.select(pl.first().arr.get(place).alias(str(place)) for place in range(width))
            columns += [each.to_numpy() for each in by_place]
            names += [_place_name(feature, place, features) for place in range(width)]
    return columns, names


def _place_name(feature: Feature, place: int, features: tuple[Feature, ...]) -> str:
    """Name of a place of a vector: `emb_0`, or `emb.0`, as no feature can be called, where a feature has that name."""
    name = f"{feature.name}_{place}"
    return name if all(name != each.name for each in features) else f"{feature.name}.{place}"
