"""Labels of a trained teacher on rows that it was trained on, with and without folds, against the truth."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import label_column, truth_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.evidence.study import Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.simulated_days import scale_of, warmed_up
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.teachers.trees import fit_teacher, predict_teacher
from ukdsl_assets.logs.contract import candidate_log_dtypes
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import candidate_log, midnight_of
from ukdsl_assets.simulation.ads.world import World

TASK = "click"
ARMS = {"none": 1, "five": 5}
SHOWN, UNSHOWN = "shown", "not shown"


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Serve `days` days, train a teacher of each arm on what they showed, and label the last day's ranked rows."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    cascade = cascade.model_copy(update={"tasks": tuple(task for task in cascade.tasks if task.name == TASK)})
    days, world = settings["days"], World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    shown: list[pl.DataFrame] = []
    for day in range(days):
        served = simulate_day(world, models, day, settings["requests"])
        ranked = ranked_rows(served, cascade)
        shown.append(ranked.filter("shown", ~pl.col("withheld")))
        models.train(served, scale)
        progress(day + 1, days)
    return {
        "labels": [row for arm, folds in ARMS.items() for row in judged(cascade, pl.concat(shown), ranked, arm, folds)]
    }


def ranked_rows(served: SimulatedDay, cascade: Cascade) -> pl.DataFrame:
    """What ranking scored on a day: the log, clicks of what was shown, and whether the request is withheld."""
    log = candidate_log(served, midnight_of(date(2026, 1, 1)), [*candidate_log_dtypes(cascade)])
    ranked = log.filter(deepest_stage="ranking")
    request = np.repeat(np.arange(len(served.shown)), served.shown.shape[1])
    slots = np.take_along_axis(np.take_along_axis(served.slots, served.ranked, axis=1), served.shown, axis=1)
    clicked = pl.DataFrame(
        {
            "request_id": log["request_id"].unique().sort().gather(request),
            "candidate_id": pl.Series(served.ads.ad[slots.ravel()], dtype=log["candidate_id"].dtype),
            TASK: served.outcomes.clicked.ravel().astype(np.float32),
        }
    )
    ranked = ranked.join(clicked, on=["request_id", "candidate_id"], how="left", maintain_order="left")
    return ranked.with_columns(withheld(ranked["request_id"], cascade.withheld_share)).sort(
        "request_id", "candidate_id"
    )


def judged(cascade: Cascade, train: pl.DataFrame, ranked: pl.DataFrame, arm: str, folds: int) -> list[dict[str, Any]]:
    """A row for each part of the last day's ranked rows: its labels against the truth, and against the clicks."""
    teacher = TrainedTeacher(name="trees", kind="trained", stage="ranking", folds=folds)
    labels = predict_teacher(fit_teacher(cascade, teacher, train, threads=1), ranked, threads=1)
    rows = ranked.with_columns(said=labels[label_column(TASK)])
    table = []
    for requests, held in (("trained on", False), ("withheld", True)):
        for part, chosen in ((SHOWN, pl.col("shown")), (UNSHOWN, ~pl.col("shown"))):
            of = rows.filter(chosen, pl.col("withheld") == held)
            said, truth = of["said"].to_numpy(), of[truth_column(TASK)].to_numpy()
            clicks = of[TASK].to_numpy()
            table.append(
                {
                    "folds": arm,
                    "requests": requests,
                    "rows": part,
                    "calibration, truth": calibration(said, truth),
                    "NE, truth": normalized_entropy(said, truth),
                    "NE, click": normalized_entropy(said, clicks) if part == SHOWN else None,
                }
            )
    return table


STUDY = Study(
    name="cross-fitting",
    question="Do a trained teacher's labels suffer from its having seen the clicks of the rows that it labels?",
    data="Simulated cascade, {requests:,} requests a day; LightGBM of stage ranking, trained on the impressions of "
    "{days} days that are not withheld; labels of the last day's ranked rows",
    version=1,
    measure=measure,
    defaults={"requests": 6_000, "days": 7},
    meanings={"requests": "requests a day", "days": "days that the teacher is trained on, of which it labels the last"},
    tables=(
        TableOf(
            "labels",
            "Labels by the trees of all requests (folds: none) and by trees that have not seen the request (five): "
            "calibration and normalized entropy against the true probability, and normalized entropy against the click",
            keys=("folds", "requests", "rows"),
            figures={"calibration, truth": ".4f", "NE, truth": ".4f", "NE, click": ".4f"},
        ),
    ),
)
