"""What each arm earns when it serves: each runs its own copy of the cascade, which learns from what the arm caused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.arms import Learner, recipes
from ukdsl_assets.evidence.worlds.serving import Production, RankingServes, StudentServes, TruthServes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared, scale_of, warmed_up
from ukdsl_assets.simulation.ads.day import (
    PRE_RANKED,
    RANKED,
    SHOWN,
    SimulatedDay,
    keep_top,
    known_to_auction,
    simulate_day,
)
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

BASELINE, CONTROL = "baseline", "equal-effort control"
ARMS = [BASELINE, CONTROL, "two heads", "two heads, listwise"]
# Who else serves: production's own pre-ranking, and two that no early stage can reach.
CEILINGS = ["ceiling: ranking scores everything", "ceiling: true click probability at pre-ranking"]
OTHERS = ["production's pre-ranking", *CEILINGS]


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """All arms learn from production's days first; then each serves `days` days of its own, from the same start, of
    which the last `judged` count: at first, ranking still has to learn what is handed on to it now."""
    import torch

    torch.set_num_threads(1)
    cascade, student = declared()
    world, requests_before, scale = World(settings["seed"]), settings["requests_before"], scale_of(settings["requests"])
    production = warmed_up(world, scratch)
    learners = {recipe.name: Learner(recipe, cascade, student) for recipe in recipes(settings["arms"])}
    serve = [*learners, *settings["others"]]
    before, days = settings["days_before"], settings["days"]
    steps, done = before + days * len(serve), 0
    for day in range(before):
        served = simulate_day(world, production, day, requests_before)
        rows = augmented(served, cascade, student).filter(~pl.col("withheld"))
        for learner in learners.values():
            learner.train(rows)
        production.train(served, scale_of(requests_before))
        done += 1
        progress(done, steps)

    outcomes: dict[str, list[dict[str, float]]] = {name: [] for name in serve}
    for name in serve:
        models, arm = production.copy(), learners.get(name)
        serving = StudentServes(models, arm, cascade, student) if arm else _other(name, models, world)
        for day in range(before, before + days):
            served = simulate_day(world, serving, day, settings["requests"])
            if day >= before + days - settings["judged"]:
                outcomes[name].append(outcome(world, served))
            if arm is not None:
                arm.train(augmented(served, cascade, student).filter(~pl.col("withheld")))
            models.train(served, scale)
            done += 1
            progress(done, steps)
    means = {
        name: {key: float(np.mean([day[key] for day in of_days])) for key in of_days[0]}
        for name, of_days in outcomes.items()
    }
    lines = [_line(name, means) for name in serve]
    return {"earned": lines, "kept": lines}


def outcome(world: World, served: SimulatedDay) -> dict[str, float]:
    """A day's figures, of true probabilities, so that the luck of clicks is in none of them.

    Revenue and clicks are expectations a request. Revenue is what the auction sells: the sum over the shown of bid *
    the factor that only the auction knows * probability. At bids alone, without the factor, better candidates can even
    earn less, since the auction then gives way on them for a higher factor. Recall: of the best k of the 300 candidates
    by bid * true probability, the share that the stage kept. Calibration: mean prediction over mean truth on the 24
    that pre-ranking handed on, of pre-ranking (its own selection) and of ranking.
    """
    truth = served.true_click
    assert truth is not None
    worth = served.ads.bid[served.slots] * truth
    shown = np.take_along_axis(served.ranked, served.shown, axis=1)
    own = np.zeros_like(truth)
    np.put_along_axis(own, served.pre_ranked, served.pre_ranking_click, axis=1)
    factor = known_to_auction(world, served.day, served.requests, served.ads, served.shown_slots)
    kept = np.take_along_axis(truth, served.ranked, axis=1).mean()
    return {
        "revenue": float((np.take_along_axis(worth, shown, axis=1) * factor).sum(1).mean()),
        "at bids alone": float(np.take_along_axis(worth, shown, axis=1).sum(1).mean()),
        "clicks": float(np.take_along_axis(truth, shown, axis=1).sum(1).mean()),
        "best 80 kept": recall(worth, served.pre_ranked, PRE_RANKED),
        "best 24 kept": recall(worth, served.ranked, RANKED),
        "best 6 shown": recall(worth, shown, SHOWN),
        "own selection": float(np.take_along_axis(own, served.ranked, axis=1).mean() / kept),
        "ranking on it": float(served.ranking_click.mean() / kept),
    }


def recall(worth: np.ndarray, kept: np.ndarray, count: int) -> float:
    """Share of each row's `count` highest values that was kept; worth: float32 [R, K] >= 0, kept: int [R, N] places."""
    best = np.zeros(worth.shape, dtype=bool)
    np.put_along_axis(best, keep_top(worth, count), True, axis=1)
    return float(np.take_along_axis(best, kept, axis=1).sum() / (count * len(worth)))


def _other(name: str, models: ProductionModels, world: World) -> Production:
    production, everything, truth = OTHERS
    return {
        production: lambda: Production(models),
        everything: lambda: RankingServes(models, ("retrieval", "pre_ranking")),
        truth: lambda: TruthServes(models, world),
    }[name]()


def _line(name: str, means: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    mine = means[name]
    changes = {
        f"{what} vs {against}": mine[what] / means[other][what] - 1
        for against, other in (("baseline", BASELINE), ("control", CONTROL), ("production", OTHERS[0]))
        for what in ("revenue", "at bids alone", "clicks")
        if other in means
    }
    return {"arm": name, **mine, **changes}


STUDY = Study(
    name="closed-loop",
    question="What does distilling pre-ranking earn?",
    data="Simulated cascade; all arms are trained on {days_before} days of {requests_before:,} requests that "
    "production serves, then each serves pre-ranking in its own copy of the cascade for {days} days of {requests:,} "
    "requests, in which every model goes on learning from that copy; figures are of the last {judged} days and of "
    "true probabilities; head: the last",
    version=2,
    measure=measure,
    defaults={
        "requests_before": 10_000,
        "days_before": 10,
        "requests": 5_000,
        "days": 6,
        "judged": 4,
        "arms": ARMS,
        "others": OTHERS,
    },
    meanings={
        "requests_before": "requests a day while production serves",
        "days_before": "days that every arm learns from before it serves",
        "requests": "requests a day while an arm serves",
        "days": "days that each arm serves",
        "judged": "last of them, which count",
        "arms": "ways to train what serves, of evidence/arms.py",
        "others": "what else serves: production's own pre-ranking, and ceilings",
    },
    tables=(
        TableOf(
            "earned",
            "Change of a request's expected revenue (bid * auction's factor * true probability of the shown), of the "
            "same at bids alone, and of clicks, paired by world",
            keys=("arm",),
            figures={
                "revenue vs baseline": "+.2%",
                "revenue vs control": "+.2%",
                "revenue vs production": "+.2%",
                "at bids alone vs baseline": "+.2%",
                "clicks vs baseline": "+.2%",
            },
        ),
        TableOf(
            "kept",
            "What each stage keeps of the best of all 300 by bid * true probability, and calibration on the 24 that "
            "pre-ranking handed on",
            keys=("arm",),
            figures={
                "best 80 kept": ".1%",
                "best 24 kept": ".1%",
                "best 6 shown": ".1%",
                "own selection": ".3f",
                "ranking on it": ".3f",
                "revenue": ".4f",
            },
        ),
    ),
    aims=tuple(
        Aim(f"{arm}: +1% revenue or better than {other}", "earned", {"arm": arm}, f"revenue vs {other}", low=0.01)
        for arm in ("two heads", "two heads, listwise")
        for other in ("baseline", "control", "production")
    ),
)
