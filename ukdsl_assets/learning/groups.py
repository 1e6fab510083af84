"""Calibration by group: where on the scale of predictions, and for which requests and candidates, a student is off."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.learning.bootstrap import replicate_weights, standard_error
from ukdsl_assets.learning.evaluation import Comparison, Predictions, comparisons

# Names of groups, and the position of each row's name: int64 [rows].
Groups = tuple[list[str], NDArray[np.int64]]

DECILE = "decile"
_DECILES = [f"{number:02}" for number in range(1, 11)]
# Values of a segment with a group of their own; the others share one.
MOST_VALUES = 50
OTHER, NONE = "(other)", "(none)"

COLUMNS = {
    "arm": pl.String,
    "head": pl.String,
    "domain": pl.String,
    "reference": pl.String,
    "by": pl.String,
    "group": pl.String,
    "rows": pl.Int64,
    "mean_prediction": pl.Float64,
    "mean_reference": pl.Float64,
    "calibration": pl.Float64,
    "calibration_error": pl.Float64,
}

MEANINGS = {
    "by": "what groups the rows: decile, of the head's own predictions, or a declared segment",
    "group": "decile 01 (lowest) to 10, or the segment's value",
    "rows": "withheld rows of the group",
    "mean_prediction": "weighted mean of the predictions",
    "mean_reference": "weighted mean of the reference",
}


def calibration_by_group(
    rows: pl.DataFrame, predictions: Predictions, segments: Sequence[str] = (), seed: int = 0
) -> pl.DataFrame:
    """Calibration of each arm and head within deciles of its predictions and within segments.

    Args:
        rows, predictions, seed: as in `evaluation.evaluate`.
        segments: categorical columns of `rows`. The 50 values with the most rows are groups, the others are
            together `(other)`, null is `(none)`.

    Returns:
        The columns of `COLUMNS`, one row a group that has rows, groups in the order of their text; figures are NaN
        where undefined, such as the calibration of a group whose reference sums to 0.
    """
    draws = replicate_weights(rows["request_id"].n_unique(), seed)
    values = {name: segment_values(rows[name]) for name in segments}
    table: list[dict[str, Any]] = []
    for compared in comparisons(rows):
        chosen = {name: _grouping(each.filter(pl.Series(compared.chosen))) for name, each in values.items()}
        for (arm, head), every in predictions.items():
            p = every[compared.chosen]
            names = {"arm": arm, "head": head, "domain": compared.domain, "reference": compared.reference}
            groups = {DECILE: (_DECILES, deciles(p, compared.w) - 1), **chosen}
            for by, each in groups.items():
                table += _table(draws, compared, p, each, {**names, "by": by})
    return pl.DataFrame(table, schema=COLUMNS)


def deciles(prediction: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """The tenth of the weight, 1 to 10, in which the middle of each prediction's ties lies, int64 [rows].

    Equal predictions are in one decile, so that some deciles may have no rows.
    """
    if not len(prediction):
        return np.empty(0, np.int64)
    distinct, position = np.unique(prediction, return_inverse=True)
    tied = np.bincount(position, weight, len(distinct))
    middle = (np.cumsum(tied) - tied / 2) / tied.sum()
    return np.asarray(np.minimum(middle * len(_DECILES), len(_DECILES) - 1).astype(np.int64)[position] + 1)


def segment_values(column: pl.Series) -> pl.Series:
    """The values of a segment as text, String [rows], with rare ones together."""
    text = column.cast(pl.String).fill_null(NONE).alias("value")
    common = text.to_frame().group_by("value").len().sort("len", "value", descending=[True, False])["value"]
    if len(common) <= MOST_VALUES:
        return text
    kept = pl.when(pl.col("value").is_in(common.head(MOST_VALUES).implode())).then("value").otherwise(pl.lit(OTHER))
    return text.to_frame().select(kept)["value"]


def _grouping(values: pl.Series) -> Groups:
    """The sorted distinct values, and which of them each row has."""
    if not len(values):
        return [], np.empty(0, np.int64)
    return values.unique().sort().to_list(), values.rank("dense").to_numpy().astype(np.int64) - 1


def _table(
    draws: NDArray[np.float64], compared: Comparison, p: NDArray[np.float32], groups: Groups, names: dict[str, str]
) -> list[dict[str, Any]]:
    found, position = groups
    requests, count = draws.shape[1], len(found)
    rows = np.bincount(position, minlength=count)
    # One sum a request and group: the groups of a request are drawn together.
    cell = compared.request * count + position
    predicted, reference = (
        np.bincount(cell, each, requests * count).reshape(requests, count)
        for each in (compared.w * p, compared.w * compared.y)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.bincount(position, compared.w, count)
        mean_prediction, mean_reference = predicted.sum(0) / weight, reference.sum(0) / weight
        defined = mean_reference > 0
        figures = {
            "mean_prediction": mean_prediction,
            "mean_reference": mean_reference,
            "calibration": np.where(defined, mean_prediction / mean_reference, np.nan),
            "calibration_error": np.where(defined, standard_error(draws @ predicted / (draws @ reference)), np.nan),
        }
    columns = {"group": found, "rows": rows.tolist(), **{name: each.tolist() for name, each in figures.items()}}
    table = [names | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [row for row in table if row["rows"]]
