"""Days of the simulated cascade with clicks and conversions, for students of a task that is given another."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, GIVEN_PROBABILITY, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.simulated_days import augmented
from ukdsl_assets.learning.training.delayed_feedback import share_observed
from ukdsl_assets.simulation.ads.day import CLOCK, SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

STUDENT = "pre_ranking_conversion"
# Closed days whose delays are known; a day's windows close within eight.
CLOSED = range(-10, -7)


def known_delays(world: World, models: ProductionModels, requests: int) -> NDArray[np.float64]:
    """Seconds from request to conversion of three days whose windows have closed before the first, float64."""
    delays = []
    for day in CLOSED:
        served = simulate_day(world, models, day, requests, truths=False)
        converted = served.outcomes.converted
        delays.append((served.outcomes.conversion_at - served.requests.microsecond[:, None])[converted] / 1e6)
    return np.concatenate(delays)


def click_and_conversion(
    served: SimulatedDay, cascade: Cascade, click: Student, delays: NDArray[np.float64]
) -> pl.DataFrame:
    """The rows of `augmented` for the click student, and what the conversion student learns and is judged by.

    Args:
        served: with truths; delays: of `known_delays`.

    Returns:
        Beside the columns of `augmented`, whose `target` is of clicks, Float32: `conversion_teacher` (ranking's own),
        `true_conversion`, and in rows of IMP `clicked`, `converted` (seen by the clock of the day) and `label_factor`.
    """
    assert served.true_conversion is not None
    rows = augmented(served, cascade, click)
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    window = cascade.task("conversion").attribution_window
    converted, factor = (np.zeros(slots.shape, np.float32) for _ in range(2))
    seen = served.outcomes.converted & (served.outcomes.conversion_at < CLOCK)
    np.put_along_axis(converted, served.shown, seen.astype(np.float32), axis=1)
    elapsed = ((CLOCK - served.requests.microsecond) / 1e6).astype(np.float64)
    factor[:] = (1 / share_observed(delays, elapsed, window))[:, None]
    pairs = pl.DataFrame(
        {
            "request_id": np.repeat(rows["request_id"].unique(maintain_order=True).to_numpy(), slots.shape[1]),
            "candidate_id": served.ads.ad[slots].ravel(),
            "conversion_teacher": served.ranking_conversion.ravel(),
            "true_conversion": np.take_along_axis(served.true_conversion, served.ranked, axis=1).ravel(),
            "converted": converted.ravel(),
            "label_factor": factor.ravel(),
        }
    )
    joined = rows.join(pairs, on=["request_id", "candidate_id"], how="left", maintain_order="left")
    return joined.with_columns(clicked=pl.when(pl.col("domain") == IMP).then("target"))


def conversion_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `teacher_augmented` for the student of conversions: clicked impressions, and all considered rows."""
    considered = pl.col("domain") == CD
    return rows.filter(considered | (pl.col("clicked") == 1)).with_columns(
        target=pl.when(considered).then("conversion_teacher").otherwise("converted"),
        label_factor=pl.when(considered).then(1.0).otherwise("label_factor").cast(pl.Float32),
        **{GIVEN_PROBABILITY: pl.when(considered).then("teacher")},
    )
