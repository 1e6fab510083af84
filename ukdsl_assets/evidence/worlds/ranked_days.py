"""Days of the simulated cascade's last stage, without a lake: what the graph's tables hold of the ranked candidates."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS, label_column, truth_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.simulated_days import scale_of, warmed_up
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.logs.contract import candidate_log_dtypes
from ukdsl_assets.simulation.ads.day import CLOCK, SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import candidate_log, event_log, midnight_of
from ukdsl_assets.simulation.ads.world import World


def ranked_days(settings: Mapping[str, Any], scratch: Path, cascade: Cascade) -> Iterator[pl.DataFrame]:
    """Days as production serves them and learns from them: `ranked` of `days` days with `requests` requests each."""
    world = World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    for day in range(settings["days"]):
        served = simulate_day(world, models, day, settings["requests"])
        yield ranked(served, cascade)
        models.train(served, scale)


def ranked(served: SimulatedDay, cascade: Cascade) -> pl.DataFrame:
    """Every candidate that ranking scored, sorted by key: the log's columns, labels, `withheld` and `day`.

    Labels are those known at 05:00 UTC the next day: 0 or 1 where shown, null where not, and a conversion's also
    without a click, as in the SQL model `impressions`.

    Args:
        served: with truths.
    """
    day = cascade.first_day + timedelta(days=served.day)
    midnight = midnight_of(day)
    log = candidate_log(served, midnight, candidate_log_dtypes(cascade)).filter(pl.col("deepest_stage") == "ranking")
    events = event_log(served, midnight, midnight + timedelta(microseconds=CLOCK))
    for task in cascade.tasks:
        happened = events.filter(event=task.event).select(*KEYS, pl.lit(1.0, pl.Float32).alias(task.name))
        known = pl.col("shown") & (pl.col(task.given) == 1 if task.given else True)
        log = log.join(happened, on=KEYS, how="left").with_columns(pl.when(known).then(pl.col(task.name).fill_null(0)))
    return log.sort(KEYS).with_columns(
        withheld=withheld(log.sort(KEYS)["request_id"], cascade.withheld_share), day=pl.lit(day)
    )


def augmented(rows: pl.DataFrame, labels: pl.DataFrame, student: Student) -> pl.DataFrame:
    """`teacher_augmented` of a student with teacher tasks: shown rows with their label, all others with the teacher's.

    Args:
        rows: of `ranked`; labels: request_id, candidate_id and `<task>_prediction` of the same rows, in any order.

    Returns:
        Sorted by key, with the columns of `rows` and domain, target, weight, truth.
    """
    taught = rows.join(labels, on=KEYS, how="left", maintain_order="left")
    label = pl.col(student.task)
    return taught.with_columns(
        domain=pl.when(label.is_null()).then(pl.lit(CD)).otherwise(pl.lit(IMP)),
        target=label.fill_null(pl.col(label_column(student.task))),
        weight=pl.lit(1.0, pl.Float32),
        truth=pl.col(truth_column(student.task)),
    )
