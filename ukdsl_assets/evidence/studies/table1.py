"""Table 1 of the paper over many simulated worlds: what each way of training does to calibration and NE."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.arms import IMPRESSION, Learner, recipes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared, scale_of, warmed_up
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

BASELINE, CONTROL = "baseline", "equal-effort control"
ARMS = [
    BASELINE,
    CONTROL,
    "one head, weight 0.3",
    "one head, weight 3",
    "Platt layer",
    "two heads",
    "two heads, listwise",
    "two heads, listwise 5",
]
# Data and what predictions on it are compared with.
PLACES = ((IMP, "label"), (IMP, "truth"), (CD, "teacher"), (CD, "truth"))
# What stands beside the arms: the stages' own predictions of that day, logged before they had learnt from it.
PRODUCTION, TEACHER = "pre-ranking as logged", "ranking as logged (the teacher)"
LOGGED = {PRODUCTION: "own", TEACHER: "teacher"}


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Train every arm for `days` days on one world's cascade, judge all on the withheld requests of the last ones."""
    import torch

    torch.set_num_threads(1)
    cascade, student = declared()
    learners = [Learner(recipe, cascade, student) for recipe in recipes(settings["arms"])]
    longest = max(learner.recipe.teacher_days for learner in learners)
    days, first_judged = settings["days"], settings["days"] - settings["judged"]
    held: list[pl.DataFrame] = []
    predictions: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    for day, (served, averaged) in enumerate(served_days(settings, scratch, longest)):
        rows = augmented(served, cascade, student, averaged)
        trained = rows.filter(~pl.col("withheld"))
        for learner in learners:
            learner.train(trained)
        progress(day + 1, days)
        if day < first_judged:
            continue
        held.append(rows.filter("withheld"))
        for learner in learners:
            for head, prediction in learner.predict(held[-1]).items():
                predictions.setdefault((learner.recipe.name, head), []).append(prediction)
        for name, column in LOGGED.items():
            predictions.setdefault((name, IMPRESSION), []).append(held[-1][column].to_numpy())
    judged = evaluate(pl.concat(held), {key: np.concatenate(parts) for key, parts in predictions.items()})
    seconds = {learner.recipe.name: learner.seconds / days for learner in learners}
    return tables_of(judged, seconds)


def _averaged(served: SimulatedDay, older: Iterable[ProductionModels]) -> NDArray[np.float32]:
    """Mean click prediction of today's ranking model and older ones for the ranked candidates, float32 [R, 24]."""
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    again = [models.ranking(served.requests, served.ads, slots, served.signals)[0] for models in older]
    return np.mean([served.ranking_click, *again], axis=0)


def served_days(
    settings: Mapping[str, Any], scratch: Path, checkpoints: int
) -> Iterator[tuple[SimulatedDay, NDArray[np.float32] | None]]:
    """Days as production serves and learns from them, and the teacher's predictions averaged over checkpoints."""
    world = World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    older: deque[ProductionModels] = deque(maxlen=max(checkpoints - 1, 0))
    for day in range(settings["days"]):
        served = simulate_day(world, models, day, settings["requests"])
        yield served, _averaged(served, older) if checkpoints > 1 else None
        if checkpoints > 1:
            older.append(models.copy())
        models.train(served, scale)


def tables_of(judged: pl.DataFrame, seconds: Mapping[str, float]) -> Rows:
    """The evaluation of one world as rows of the study's tables; impressions are judged by an arm's first head, and
    considered rows by its last, which serves."""
    rows = judged.to_dicts()
    places = {(row["arm"], row["head"], row["domain"], row["reference"]): row for row in rows}
    tables: Rows = {"calibration": [], "ne": [], "control": [], "production": []}
    others = {"control": CONTROL, "production": PRODUCTION}
    for arm in judged["arm"].unique(maintain_order=True):
        heads = judged.filter(arm=arm)["head"].unique(maintain_order=True).to_list()
        named = {"arm": arm, "heads (IMP, CD)": f"{heads[0]}, {heads[-1]}"}
        mine = {
            (domain, reference): places[arm, heads[0] if domain == IMP else heads[-1], domain, reference]
            for domain, reference in PLACES
        }
        cost = {"CPU seconds a day": seconds.get(arm)}
        order = {"AUC in a request": mine[CD, "truth"]["request_auc"]}
        tables["calibration"].append(named | {_column(*at): row["calibration"] for at, row in mine.items()} | cost)
        tables["ne"].append(named | {_column(*at): row["ne_change"] for at, row in mine.items()} | order)
        for name, other in others.items():
            if (other, IMPRESSION, *PLACES[0]) in places:
                base = {at: places[other, IMPRESSION, *at]["ne"] for at in PLACES}
                tables[name].append(named | {_column(*at): row["ne"] / base[at] - 1 for at, row in mine.items()})
    figures = ("calibration", "ne", "ne_change", "auc", "request_auc")
    every_head = [
        {"arm": row["arm"], "head": row["head"], "data": row["domain"], "against": row["reference"]}
        | {name: row[name] for name in figures}
        for row in rows
    ]
    return {**tables, "heads": every_head}


def _column(domain: str, reference: str) -> str:
    return f"{domain}, {reference}"


def _aims(arm: str) -> tuple[Aim, ...]:
    line = {"arm": arm}
    return (
        Aim(f"{arm}: CD calibration 1.00 +- .02 against the teacher", "calibration", line, "CD, teacher", 0.98, 1.02),
        Aim(f"{arm}: CD calibration 1.00 +- .03 against the truth", "calibration", line, "CD, truth", 0.97, 1.03),
        Aim(f"{arm}: CD NE -2% or better than the baseline", "ne", line, "CD, teacher", high=-0.02),
        Aim(f"{arm}: IMP NE below the baseline's", "ne", line, "IMP, label", high=0.0),
        Aim(f"{arm}: IMP NE below the equal-effort control's", "control", line, "IMP, label", high=0.0),
        Aim(f"{arm}: CD NE -2% or better than production's", "production", line, "CD, teacher", high=-0.02),
    )


_KEYS = ("arm", "heads (IMP, CD)")
_PAPER = "paper, production: "
STUDY = Study(
    name="table1",
    question="What does distillation do to calibration and NE of pre-ranking? (Table 1)",
    data="Simulated cascade, {requests:,} requests a day; every arm is trained for {days} days from a random start, "
    "warm-started daily, and judged on the withheld fifth of the requests of the last {judged} days; label: clicks, "
    "teacher: ranking's logged predictions, truth: the simulated probabilities",
    version=1,
    measure=measure,
    defaults={"requests": 10_000, "days": 14, "judged": 7, "arms": ARMS},
    meanings={
        "requests": "requests a day",
        "days": "days that every arm is trained for",
        "judged": "last days whose withheld requests count",
        "arms": "ways to train, of evidence/arms.py",
    },
    tables=(
        TableOf(
            "calibration",
            "Calibration: mean prediction over mean reference, by data and reference",
            keys=_KEYS,
            figures={**{_column(*place): ".3f" for place in PLACES}, "CPU seconds a day": ".2f"},
            beside=(
                {"arm": _PAPER + "baseline", "IMP, label": "1.01", "CD, teacher": "1.27"},
                {"arm": _PAPER + "with distillation", "IMP, label": "1.03", "CD, teacher": "1.12"},
            ),
        ),
        TableOf(
            "ne",
            "NE relative to the baseline",
            keys=_KEYS,
            figures={**{_column(*place): "+.2%" for place in PLACES}, "AUC in a request": ".4f"},
            beside=({"arm": _PAPER + "with distillation", "IMP, label": "+0.01%", "CD, teacher": "-1.98%"},),
        ),
        TableOf("control", "NE relative to the equal-effort control", _KEYS, {_column(*p): "+.2%" for p in PLACES}),
        TableOf(
            "production",
            "NE relative to what production's pre-ranking logged, which has learnt since before the arms' first day",
            _KEYS,
            {_column(*p): "+.2%" for p in PLACES},
        ),
        TableOf(
            "heads",
            "Every head on both data sets; NE change relative to the baseline",
            keys=("arm", "head", "data", "against"),
            figures={"calibration": ".3f", "ne": ".4f", "ne_change": "+.2%", "auc": ".4f", "request_auc": ".4f"},
            folded=True,
        ),
    ),
    aims=(*_aims("two heads"), *_aims("two heads, listwise")),
)
