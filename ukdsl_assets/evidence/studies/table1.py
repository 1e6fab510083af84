"""Table 1 of the paper over many simulated worlds: what each way of training does to calibration and NE."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import REJECTED
from ukdsl_assets.evidence.studies.table1_tables import BASELINE, CONTROL, CPU_CONTROL, LOGGED, TABLES, tables_of
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress
from ukdsl_assets.evidence.worlds.arms import IMPRESSION, Learner, recipes
from ukdsl_assets.evidence.worlds.judgement import NEXT_DAY, SAME_DAY, Judgement, rows_judged
from ukdsl_assets.evidence.worlds.scored_days import probes, scored, with_probes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared, scale_of, warmed_up
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day, some_requests
from ukdsl_assets.simulation.ads.logs import REQUESTS_A_DAY
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

ARMS = [
    BASELINE,
    CONTROL,
    CPU_CONTROL,
    "one head, weight 0.3",
    "one head, weight 3",
    "Platt layer",
    "two heads",
    "two heads, listwise",
    "two heads, listwise 5",
]


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
    judgement = Judgement()
    for day, (served, models, averaged) in enumerate(served_days(settings, scratch, longest)):
        rows = augmented(served, cascade, student, averaged)
        ids = pl.Series(served.day * REQUESTS_A_DAY + served.requests.number)
        kept = withheld(ids, cascade.withheld_share).to_numpy()
        judged = day >= first_judged
        if judged:
            everything = scored(some_requests(served, kept), models, cascade, student)
            today = rows_judged(rows.filter("withheld"), everything)
            for name, column in LOGGED.items():
                own = today[column].to_numpy()
                # What was logged was predicted by models of the day before.
                judgement.add(name, NEXT_DAY, today, own, own)
            # No arm has learnt anything before the first day.
            for learner in learners if day else ():
                _judge(judgement, NEXT_DAY, learner, today)
        trained = rows.filter(~pl.col("withheld"))
        probed = None
        if any(learner.recipe.probe_rate for learner in learners):
            probed = scored(some_requests(served, ~kept), models, cascade, student)
        for learner in learners:
            learner.train(probed_rows(trained, probed, learner.recipe.probe_rate))
        progress(day + 1, days)
        if judged:
            labelled = (today["domain"] != REJECTED).to_numpy()
            held.append(today.filter(pl.Series(labelled)))
            for learner in learners:
                for head, prediction in _judge(judgement, SAME_DAY, learner, today).items():
                    predictions.setdefault((learner.recipe.name, head), []).append(prediction[labelled])
            for name, column in LOGGED.items():
                own = today[column].to_numpy()
                judgement.add(name, SAME_DAY, today, own, own)
                predictions.setdefault((name, IMPRESSION), []).append(own[labelled])
    table = evaluate(pl.concat(held), {key: np.concatenate(parts) for key, parts in predictions.items()})
    seconds = {learner.recipe.name: learner.seconds / days for learner in learners}
    return tables_of(judgement.figures(BASELINE), table, seconds)


def probed_rows(trained: pl.DataFrame, everything: pl.DataFrame | None, rate: float) -> pl.DataFrame:
    """Training rows, and among them the probes of a share of what was rejected.

    Args:
        trained: of `augmented`. everything: of `scored`, of the same requests; None where the rate is 0.
    """
    if everything is None or not rate:
        return trained
    # Older checkpoints of the teacher were not asked for rejected rows.
    return with_probes(trained, probes(everything, rate).with_columns(averaged=pl.col("teacher")))


def _judge(judgement: Judgement, when: str, learner: Learner, rows: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Judge impressions by the arm's first head, and all else by its last, which serves; returns what each predicts."""
    heads = learner.predict(rows)
    predictions = list(heads.values())
    judgement.add(learner.recipe.name, when, rows, predictions[0], predictions[-1])
    return heads


def _averaged(served: SimulatedDay, older: Iterable[ProductionModels]) -> NDArray[np.float32]:
    """Mean click prediction of today's ranking model and older ones for the ranked candidates, float32 [R, 24]."""
    slots = np.take_along_axis(served.slots, served.ranked, axis=1)
    again = [models.ranking(served.requests, served.ads, slots, served.signals)[0] for models in older]
    return np.mean([served.ranking_click, *again], axis=0)


def served_days(
    settings: Mapping[str, Any], scratch: Path, checkpoints: int
) -> Iterator[tuple[SimulatedDay, ProductionModels, NDArray[np.float32] | None]]:
    """Days as production serves them, the models that served, and the teacher averaged over checkpoints.

    The models learn from a day when the next one is asked for.
    """
    world = World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    older: deque[ProductionModels] = deque(maxlen=max(checkpoints - 1, 0))
    for day in range(settings["days"]):
        served = simulate_day(world, models, day, settings["requests"])
        yield served, models, _averaged(served, older) if checkpoints > 1 else None
        if checkpoints > 1:
            older.append(models.copy())
        models.train(served, scale)


def _aims(arm: str) -> tuple[Aim, ...]:
    line = {"arm": arm}
    next_stage = f"{arm}, rows that the next stage scored"
    return (
        Aim(f"{next_stage}: calibration 1.00 +- .02, teacher", "calibration", line, "CD, teacher", 0.98, 1.02),
        Aim(f"{next_stage}: calibration 1.00 +- .03, truth", "calibration", line, "CD, truth", 0.97, 1.03),
        Aim(f"{next_stage}: NE -2% or better than the baseline", "ne", line, "CD, teacher", high=-0.02),
        Aim(f"{arm}, shown rows: NE below the baseline's", "ne", line, "IMP, label", high=0.0),
        Aim(f"{arm}, shown rows: NE below the equal-effort control's", "control", line, "IMP, label", high=0.0),
        Aim(f"{arm}, shown rows: NE below the equal-CPU control's", "cpu_control", line, "IMP, label", high=0.0),
        Aim(f"{arm}, all 80: NE below the baseline's on the next day", "ne_next_day", line, "SCORED, truth", high=0.0),
        Aim(f"{arm}, own choice: calibration 1.00 +- .02, next day", "next_day", line, "OWN, truth", 0.98, 1.02),
        Aim(f"{next_stage}: NE -2% or better than production's", "production", line, "CD, teacher", high=-0.02),
    )


STUDY = Study(
    name="table1",
    question="What does distillation do to calibration and NE of pre-ranking? (Table 1)",
    data="Simulated cascade, {requests:,} requests a day; every arm is trained for {days} days from a random start, "
    "warm-started daily, and judged on the withheld fifth of the requests of the last {judged} days; same day: by the "
    "model that was trained on that day's other requests, next day: by the one of the day before; IMP: shown rows, by "
    "head impression; CD: rows that the next stage scored, 24 a request; SCORED: all 80 that pre-ranking scored; OWN: "
    "the 24 of them with the highest bid times the arm's own prediction; all three by the head that serves; label: "
    "clicks, teacher: ranking's predictions, logged for CD and asked for on the rest, truth: the simulated "
    "probabilities",
    version=2,
    measure=measure,
    defaults={"requests": 10_000, "days": 14, "judged": 7, "arms": ARMS},
    meanings={
        "requests": "requests a day",
        "days": "days that every arm is trained for",
        "judged": "last days whose withheld requests count",
        "arms": "ways to train, of evidence/worlds/arms.py",
    },
    tables=TABLES,
    aims=(*_aims("two heads"), *_aims("two heads, listwise")),
)
