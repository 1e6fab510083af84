"""The level of predictions on all that a stage scores: a line through a trained head's logits, fitted last.

A network learns from the rows that the next stage scored. What the stage rejected is labelled rarely, by probes of
large weight, and large weights in the loss of a network cost order: one probe of weight 50 pulls its ad and its request
as 50 rows would. Two numbers for all rows have next to no variance, and a line that rises leaves the order of
predictions as it is. So the probes' full weights go here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import REJECTED, TARGET
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.platt import fit_platt
from ukdsl_assets.learning.students.level import Level
from ukdsl_assets.learning.training.rows import ArmRows, check_values

FITTED = "fitted to all rows that the teacher labels"
# Rows -> probabilities [rows] of the head that the line is to move.
Predict = Callable[[pl.DataFrame], NDArray[np.float32]]


def level_of(predict: Predict, rows: ArmRows) -> tuple[Level, dict[str, Any]]:
    """The line of least cross entropy to the teacher on all rows that it labels, each with its full weight.

    Args:
        predict: of the head that the line is to move.
        rows: whose domains are CD and REJECTED. Of several days (column `day`) those without any rejected row are left
            out, for their rows do not stand for all that was scored. Where no day has one the line agrees with the
            teacher's level on what the next stage scored, and so with that of the head.

    Returns:
        The line, and figures for people: its two numbers, and the rejected rows with the sum of their weights.

    Raises:
        TrainingError: a target is not in [0, 1].
    """
    parts = [_of_shard(predict, rows, read()) for read in rows.readers]
    probability, target, weight, rejected, day = (np.concatenate(column) for column in zip(*parts, strict=True))
    # A day's rows are in all shards: which days have rejected ones is known after the last.
    days, whole = np.unique(day), np.unique(day[rejected])
    used = np.isin(day, whole) if len(whole) else np.ones(len(day), bool)
    level, message = _fitted(probability[used], target[used], weight[used])
    if message == FITTED and not rejected.any():
        message = "no rejected row has a label, so it is that of what the next stage scored"
    elif 0 < len(whole) < len(days):
        left = len(days) - len(whole)
        message += f"; {left} of {len(days)} days left out, which have no rejected row with a label"
    return level, {
        "level_slope": level.slope,
        "level_intercept": level.intercept,
        "rows_rejected": int(rejected.sum()),
        "weight_rejected": float(weight[rejected].sum(dtype=np.float64)),
        "level": message,
    }


def _of_shard(predict: Predict, rows: ArmRows, frame: pl.DataFrame) -> tuple[NDArray[Any], ...]:
    """Probability, target, weight, which are rejected, and the day, of a shard's rows that the teacher labels."""
    taught = frame.filter(pl.col("domain").is_in(rows.domains))
    check_values(rows, taught)
    return (
        predict(taught),
        taught[TARGET].to_numpy(),
        taught["weight"].to_numpy(),
        (taught["domain"] == REJECTED).to_numpy(),
        # Rows that did not come from the lake are of one day.
        taught["day"].to_physical().to_numpy() if "day" in taught.columns else np.zeros(len(taught), np.int32),
    )


def _fitted(
    probability: NDArray[np.float32], target: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[Level, str]:
    try:
        slope, intercept = fit_platt(probability, target, weight)
    except TrainingError:
        return Level(), "as the head: its predictions do not differ, or all targets are 0 or all 1"
    if slope <= 0:
        return Level(), f"as the head: a line of slope {slope:.3g} would reverse its order"
    return Level(slope, intercept), FITTED
