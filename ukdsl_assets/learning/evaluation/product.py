"""A task that is `given` another as it is used: a probability times another, and rows by how likely the other is.

The chance that a click converts is never used alone. What an auction reads is p(click) * p(conversion | click), which
every impression judges, clicked or not; and among considered rows an error counts as often as there is a click, so that
the rows nobody clicks, of which an unweighted mean is made, hardly count.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, GIVEN, GIVEN_PROBABILITY, IMP, PRODUCT, TARGET
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, PredictedShards, Predictions
from ukdsl_assets.learning.evaluation.table import evaluate_shards
from ukdsl_assets.learning.evaluation.totals import totals_of

# Column of the true probability of what is given, beside the teacher's.
TRUE_GIVEN = "true_given"


def seen_labels(label: NDArray[np.float32], factor: NDArray[np.float32] | float = 1.0) -> NDArray[np.float32]:
    """Labels over all impressions, float32 [rows]: 0 where what is given did not happen, elsewhere label * factor.

    Args:
        label: float32 [rows], NaN where there is none since what is given did not happen.
        factor: how many final labels one that was seen stands for, see `delayed_feedback.with_label_factor`.
    """
    return (np.nan_to_num(label, nan=0.0) * factor).astype(np.float32)


def product_predictions(
    own: Predictions, given: Mapping[str, NDArray[np.float32]] | NDArray[np.float32]
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """p(given) * p(task | given) of each arm and head, float32 [rows].

    Args:
        own: predictions of the task, (arm, head) -> float32 [rows].
        given: those of what is given, arm -> float32 [rows] of its head impression, which the labels of shown rows
            train (another head would be too low on rows that were chosen to be shown), or float32 [rows] for all arms.
            An arm that is not there is left out.
    """
    if not isinstance(given, Mapping):
        return {key: p * given for key, p in own.items()}
    return {(arm, head): p * given[arm] for (arm, head), p in own.items() if arm in given}


def product_rows(shards: PredictedShards, seed: int = 0) -> pl.DataFrame:
    """Rows PRODUCT of the evaluation table, columns as of `evaluate_shards`: calibration is expected over seen labels.

    `rows` counts impressions with or without what is given, `positives` the labels seen among them; a change of NE is
    against the baseline's product. The truth is the product of both true probabilities.

    Args:
        shards: rows with request_id, target (of `seen_labels`) and, if the source knows it, truth; predictions of
            `product_predictions`.
    """
    return _judged([partial(_as_impressions, read) for read in shards], IMP, PRODUCT, seed)


def given_rows(shards: PredictedShards, seed: int = 0) -> pl.DataFrame:
    """Rows GIVEN of the evaluation table, columns as of `evaluate_shards`: considered rows by what is given.

    Against the teacher a row's weight is multiplied by the teacher's probability of what is given, against the truth by
    the true one: calibration is then expected over the reference's positives among the clicks that there would be.

    Args:
        shards: rows with request_id, domain, target, weight, `given_probability` and, if the source knows the truth,
            `truth` and `true_given`. Rows of IMP and those without a probability are left out.

    Returns:
        No row where no considered row has a probability.
    """
    references = (("teacher", GIVEN_PROBABILITY, TARGET), ("truth", TRUE_GIVEN, "truth"))
    tables = []
    for reference, weight, target in references:
        weighted = [partial(_weighted, read, weight, target) for read in shards]
        tables.append(_judged(weighted, CD, GIVEN, seed).with_columns(reference=pl.lit(reference)))
    return pl.concat(tables).filter(pl.col("rows") > 0)


def _as_impressions(read: Callable[[], PredictedRows]) -> PredictedRows:
    rows, predictions = read()
    return PredictedRows(rows.with_columns(domain=pl.lit(IMP), weight=pl.lit(1.0, pl.Float32)), predictions)


def _weighted(read: Callable[[], PredictedRows], weight: str, target: str) -> PredictedRows:
    """The considered rows that have a weight and a target of these columns, the first multiplied into their own."""
    rows, predictions = read()
    if not {weight, target} <= {*rows.columns}:
        rows = rows.with_columns(pl.lit(None, pl.Float32).alias(name) for name in (weight, target))
    chosen = (rows["domain"] == CD) & rows[weight].is_not_null() & rows[target].is_not_null()
    kept = rows.filter(chosen).select(
        "request_id", "domain", pl.col(target).alias(TARGET), weight=pl.col("weight") * pl.col(weight)
    )
    return PredictedRows(kept, {key: p[chosen.to_numpy()] for key, p in predictions.items()})


def _judged(shards: PredictedShards, domain: str, name: str, seed: int) -> pl.DataFrame:
    """The evaluation of one domain's rows under another name."""
    table = evaluate_shards(shards, totals_of(shards, seed), seed)
    return table.filter(domain=domain).with_columns(domain=pl.lit(name))
