"""Conversions as an auction uses them, over simulated worlds: times the chance of a click, and by clicks."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, GIVEN, IMP, PRODUCT
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.arms import PRODUCTION_RATE
from ukdsl_assets.evidence.worlds.conversion_arms import ARMS
from ukdsl_assets.evidence.worlds.conversion_rows import STUDENT, click_and_conversion, conversion_rows, known_delays
from ukdsl_assets.evidence.worlds.simulated_days import declared, scale_of, warmed_up
from ukdsl_assets.learning.evaluation.predictions import Predictions, whole
from ukdsl_assets.learning.evaluation.product import TRUE_GIVEN, given_rows, product_predictions, product_rows
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.world import World

TEACHER = "ranking as logged (the teacher)"
PLACES = (
    (CD, "teacher"),
    (CD, "truth"),
    (GIVEN, "teacher"),
    (GIVEN, "truth"),
    (PRODUCT, "label"),
    (PRODUCT, "truth"),
)
ALIKE, SHIPPED = "rows alike", "rows by clicks"
REPORTED = [
    "baseline",
    ALIKE,
    SHIPPED,
    "rows by clicks, one head",
    "labels by 1 / p(click) (ESCM2-IPS), one head",
    "entire space, rows by clicks, one head",
    "doubly robust by clicks (ESCM2-DR), one head",
]


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Train every arm for `days` days on one world's cascade, judge all on the withheld requests of the last ones."""
    import torch

    torch.set_num_threads(1)
    cascade, click = declared()
    conversion = cascade.student(STUDENT)
    world = World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    delays = known_delays(world, models, settings["requests"])
    arms = [ARMS[name] for name in settings["arms"]]
    clicks: dict[str, FittedStudent] = {}
    fitted: dict[str, FittedStudent] = {}
    held: list[pl.DataFrame] = []
    own: dict[tuple[str, str], list[NDArray[np.float32]]] = defaultdict(list)
    given: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for day in range(settings["days"]):
        served = simulate_day(world, models, day, settings["requests"])
        rows = click_and_conversion(served, cascade, click, delays)
        trained = rows.filter(~pl.col("withheld"))
        for name in ("baseline", "distilled"):
            student = click.model_copy(update={"learning_rate": PRODUCTION_RATE}) if name == "baseline" else click
            of_clicks = trained.drop("label_factor")
            clicks[name] = fit_student(
                Training.of(cascade, student, name, of_clicks, previous=clicks.get(name))
            ).student
        for arm in arms:
            training = Training.of(
                cascade, arm.of(conversion), arm.arm, arm.rows(trained), previous=fitted.get(arm.name)
            )
            fitted[arm.name] = fit_student(training).student
        models.train(served, scale)
        progress(day + 1, settings["days"])
        if day >= settings["days"] - settings["judged"]:
            held.append(rows.filter("withheld"))
            for arm in arms:
                for head, p in predict_student(fitted[arm.name], held[-1]).items():
                    own[arm.name, head].append(p)
                given[arm.name].append(predict_student(clicks[arm.arm], held[-1])["impression"])
            own[TEACHER, "impression"].append(held[-1]["conversion_teacher"].to_numpy())
            given[TEACHER].append(held[-1]["teacher"].to_numpy())
    predictions = {key: np.concatenate(parts) for key, parts in own.items()}
    return tables_of(judged(pl.concat(held), predictions, {arm: np.concatenate(p) for arm, p in given.items()}))


def judged(rows: pl.DataFrame, own: Predictions, given: Mapping[str, NDArray[np.float32]]) -> pl.DataFrame:
    """The evaluation of withheld rows of `click_and_conversion`: CD, GIVEN and PRODUCT.

    Args:
        own: conversions given a click, (arm, head) -> float32 [rows]; given: clicks, arm -> float32 [rows].
    """
    shown = (rows["domain"] == IMP).to_numpy()
    impressions = rows.filter(shown).select(
        "request_id",
        target=pl.col("converted") * pl.col("label_factor"),
        truth=pl.col("truth") * pl.col("true_conversion"),
    )
    of_products = {key: p[shown] for key, p in product_predictions(own, given).items()}
    considered = conversion_rows(rows).filter(domain=CD)
    considered = considered.with_columns(pl.col("truth").alias(TRUE_GIVEN), truth=pl.col("true_conversion"))
    of_considered = {key: p[~shown] for key, p in own.items()}
    return pl.concat(
        [
            evaluate(considered, of_considered).filter(domain=CD),
            given_rows(whole(considered, of_considered)),
            product_rows(whole(impressions, of_products)),
        ]
    )


def tables_of(judged: pl.DataFrame) -> Rows:
    """The evaluation of one world as rows of the study's tables, by the head that serves; every head in the last."""
    tables: Rows = {"calibration": [], "ne": [], "alike": [], "heads": []}
    alike = {(row["domain"], row["reference"]): row["ne"] for row in _serving(judged, ALIKE)}
    for arm in judged["arm"].unique(maintain_order=True):
        mine = {(row["domain"], row["reference"]): row for row in _serving(judged, arm)}
        named = {"arm": arm, "head": mine[PLACES[0]]["head"]}
        tables["calibration"].append(named | {_column(*at): row["calibration"] for at, row in mine.items()})
        tables["ne"].append(named | {_column(*at): row["ne_change"] for at, row in mine.items()})
        if alike:
            changes = {_column(*at): row["ne"] / alike[at] - 1 for at, row in mine.items()}
            tables["alike"].append(named | changes)
    figures = ("calibration", "ne", "ne_change", "auc", "request_auc")
    tables["heads"] = [
        {"arm": row["arm"], "head": row["head"], "data": row["domain"], "against": row["reference"]}
        | {name: row[name] for name in figures}
        for row in judged.to_dicts()
    ]
    return tables


def _serving(judged: pl.DataFrame, arm: str) -> list[dict[str, Any]]:
    """The rows of an arm's last head, which serves; none for an arm that was not trained."""
    mine = judged.filter(arm=arm)
    return mine.filter(head=mine["head"].unique(maintain_order=True)[-1]).to_dicts() if len(mine) else []


def _column(domain: str, reference: str) -> str:
    return f"{domain}, {reference}"


_SHIPPED = {"arm": SHIPPED}
_BY_USE = (GIVEN, "truth"), (PRODUCT, "truth"), (PRODUCT, "label")
# Set after world 100, before any other.
AIMS = (
    Aim("calibration by clicks 1.00 +- .02 against the teacher", "calibration", _SHIPPED, "GIVEN, teacher", 0.98, 1.02),
    Aim("calibration by clicks 1.00 +- .03 against the truth", "calibration", _SHIPPED, "GIVEN, truth", 0.97, 1.03),
    Aim("expected over true conversions 1.00 +- .05", "calibration", _SHIPPED, "PRODUCT, truth", 0.95, 1.05),
    Aim("expected over seen conversions 1.00 +- .05", "calibration", _SHIPPED, "PRODUCT, label", 0.95, 1.05),
    *(Aim(f"NE below the baseline's: {_column(*at)}", "ne", _SHIPPED, _column(*at), high=0.0) for at in _BY_USE),
    *(Aim(f"NE below that of rows alike: {_column(*at)}", "alike", _SHIPPED, _column(*at), high=0.0) for at in _BY_USE),
)
_KEYS = ("arm", "head")
STUDY = Study(
    name="conversions",
    question="What does distillation do to conversions as an auction uses them, and which objective does it best?",
    data="Simulated cascade, {requests:,} requests a day; students of pre-ranking for clicks and for conversions given "
    "a click are trained for {days} days from a random start, warm-started daily, and judged on the withheld fifth of "
    "the requests of the last {judged} days by the head that serves. CD: all rows that ranking scored; GIVEN: the "
    "same, weighted by the chance of a click (the teacher's, or the true one against the truth); PRODUCT: all shown "
    "rows, p(click) by head impression of the arm's click student times p(conversion | click). label: conversions seen "
    "by 05:00 the next day, corrected by delays of closed days; teacher: ranking's logged predictions; truth: the "
    "simulated probabilities",
    version=1,
    measure=measure,
    defaults={"requests": 10_000, "days": 10, "judged": 5, "arms": REPORTED},
    meanings={
        "requests": "requests a day",
        "days": "days that every arm is trained for",
        "judged": "last days whose withheld requests count",
        "arms": "ways to train, of evidence/worlds/conversion_arms.py",
    },
    tables=(
        TableOf(
            "calibration",
            "Calibration: mean prediction over mean reference, weighted, by rows and reference",
            keys=_KEYS,
            figures={_column(*place): ".3f" for place in PLACES},
        ),
        TableOf("ne", "NE relative to the baseline", keys=_KEYS, figures={_column(*place): "+.2%" for place in PLACES}),
        TableOf(
            "alike",
            "NE relative to considered rows that weigh alike",
            keys=_KEYS,
            figures={_column(*place): "+.2%" for place in PLACES},
        ),
        TableOf(
            "heads",
            "Every head; NE change relative to the baseline",
            keys=("arm", "head", "data", "against"),
            figures={"calibration": ".3f", "ne": ".4f", "ne_change": "+.2%", "auc": ".4f", "request_auc": ".4f"},
            folded=True,
        ),
    ),
    aims=AIMS,
)
