"""All that pre-ranking scores: what rare probes of rejected rows do to level, choice and cost, over worlds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, REJECTED
from ukdsl_assets.declaration.students import SCORED_HEAD, Student
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.arms import CONSIDERATION, IMPRESSION, Learner, Recipe
from ukdsl_assets.evidence.worlds.scored_days import choice, chosen, probes, scored, with_probes
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared, scale_of, warmed_up
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.simulation.ads.day import PRE_RANKED, RANKED, simulate_day
from ukdsl_assets.simulation.ads.world import World

PRODUCTION, TEACHER = "pre-ranking as logged", "ranking on all 80 (the teacher)"
LOGGED = {PRODUCTION: "own", TEACHER: "teacher"}
TODAY, WITHOUT = "two heads", "listwise, no probes"
NAIVE = "{rate:.2g}% of probes, full weight in the loss"
SAME, NEXT = "same day", "next day"
_LISTWISE = {"listwise": 0.5}
_HEADS = (IMPRESSION, CONSIDERATION, SCORED_HEAD)


@dataclass(frozen=True)
class ProbedArm:
    """A way to train, and the share of rejected rows that ranking labels for it.

    considered: whether probes stand among the considered rows, so that the loss takes their full weight.
    """

    recipe: Recipe
    rate: float = 0.0
    considered: bool = False

    def rows(self, trained: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
        """A day's training rows: those of `augmented`, and its probes among the rejected ones of `scored`."""
        if not self.rate:
            return trained
        probed = probes(every, self.rate)
        return with_probes(trained, probed.with_columns(domain=pl.lit(CD)) if self.considered else probed)


def probed_arms(percents: list[float], naive: list[float]) -> list[ProbedArm]:
    """The arms of the study: what was shipped before, then one for each rate.

    Args:
        percents: of the rejected rows that are probed, for head `scored`; 0 gives that head without any.
        naive: the same, for arms whose loss takes the probes' full weight.
    """
    arms = [ProbedArm(Recipe(TODAY, loss={"listwise": 0.0}))]
    arms += [
        ProbedArm(Recipe(_named(percent), student={"heads": _HEADS}, loss=_LISTWISE), percent / 100)
        for percent in percents
    ]
    full = [Recipe(NAIVE.format(rate=percent), loss=_LISTWISE) for percent in naive]
    return arms + [
        ProbedArm(recipe, percent / 100, considered=True) for recipe, percent in zip(full, naive, strict=True)
    ]


def _named(percent: float) -> str:
    return f"{percent:.2g}% of probes" if percent else WITHOUT


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Train every arm day by day on one world's cascade, judge all on what pre-ranking scored of withheld requests."""
    import torch

    torch.set_num_threads(1)
    cascade, student = declared()
    arms = probed_arms(settings["percents"], settings["naive"])
    learners = {arm.recipe.name: Learner(arm.recipe, cascade, student) for arm in arms}
    days, first_judged = settings["days"], settings["days"] - settings["judged"]
    held, shown = Held(), Held()
    read: dict[str, int] = dict.fromkeys(learners, 0)
    for day, (rows, every) in enumerate(_served_days(settings, scratch, cascade, student)):
        judged_rows = {"scored": every.filter("withheld"), "shown": rows.filter("withheld", domain=IMP)}
        if day >= first_judged > 0:
            _judge(held, shown, NEXT, judged_rows, learners)
        trained, labelled = rows.filter(~pl.col("withheld")), every.filter(~pl.col("withheld"))
        for arm in arms:
            mine = arm.rows(trained, labelled)
            read[arm.recipe.name] += len(mine)
            learners[arm.recipe.name].train(mine)
        if day >= first_judged:
            _judge(held, shown, SAME, judged_rows, learners)
        progress(day + 1, days)
    costs = [
        _cost(arm, read[arm.recipe.name] / days, learners[arm.recipe.name].seconds / days, settings["requests"])
        for arm in arms
    ]
    return tables_of(held, shown) | {"cost": costs}


class Held:
    """Withheld rows of the judged days and, by (when, arm, head), what was predicted for them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[pl.DataFrame]] = {}
        self.predictions: dict[tuple[str, str, str], list[NDArray[np.float32]]] = {}

    def add(self, when: str, rows: pl.DataFrame) -> None:
        """A day's rows; of their columns those that figures read."""
        self.rows.setdefault(when, []).append(rows.select("domain", "bid", "truth", "teacher", "own", "target"))

    def predicted(self, when: str, arm: str, heads: Mapping[str, NDArray[np.float32]]) -> None:
        """What an arm predicts for the rows that were added last."""
        for head, prediction in heads.items():
            self.predictions.setdefault((when, arm, head), []).append(prediction)

    def frame(self, when: str) -> pl.DataFrame:
        """All rows, in the order of days."""
        return pl.concat(self.rows[when])

    def of(self, when: str, arm: str) -> dict[str, NDArray[np.float32]]:
        """An arm's predictions for all rows by head, the serving one last."""
        return {
            head: np.concatenate(parts)
            for (at, name, head), parts in self.predictions.items()
            if (at, name) == (when, arm)
        }


def _judge(
    held: Held, shown: Held, when: str, rows: Mapping[str, pl.DataFrame], learners: Mapping[str, Learner]
) -> None:
    held.add(when, rows["scored"])
    shown.add(when, rows["shown"])
    for name, column in LOGGED.items():
        for place, at in ((held, "scored"), (shown, "shown")):
            place.predicted(when, name, {IMPRESSION: rows[at][column].to_numpy()})
    for name, learner in learners.items():
        held.predicted(when, name, learner.predict(rows["scored"]))
        shown.predicted(when, name, learner.predict(rows["shown"]))


def _served_days(
    settings: Mapping[str, Any], scratch: Path, cascade: Cascade, student: Student
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """`augmented` and `scored` of days as production serves them and learns from them."""
    world = World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    for day in range(settings["days"]):
        served = simulate_day(world, models, day, settings["requests"])
        yield augmented(served, cascade, student), scored(served, models, cascade, student)
        models.train(served, scale)


def _cost(arm: ProbedArm, rows: float, seconds: float, requests: int) -> dict[str, Any]:
    extra = arm.rate * (PRE_RANKED - RANKED)
    return {
        "arm": arm.recipe.name,
        "probes a request": extra,
        "ranking calls": extra / RANKED,
        "rows a day": rows,
        "probes a day": extra * requests,
        "CPU seconds a day": seconds,
    }


def tables_of(held: Held, shown: Held) -> Rows:
    """The rows of the study's tables.

    What serves (an arm's last head) is judged on all that pre-ranking scored, its first head on impressions, and the
    head that the teacher trains on what went on to ranking (one head serves for all where there is no other).
    """
    tables: Rows = {"level": [], "choice": [], "today": []}
    for when in held.rows:
        rows, impressions = held.frame(when), shown.frame(when)
        arms = dict.fromkeys(arm for at, arm, _ in held.predictions if at == when)
        figures = {arm: _figures(rows, impressions, held.of(when, arm), shown.of(when, arm)) for arm in arms}
        for arm, mine in figures.items():
            named = {"arm": arm, "when": when}
            teacher = figures[TEACHER]["level"]["SCORED, truth"]
            beyond = {"SCORED, truth, less the teacher's": mine["level"]["SCORED, truth"] - teacher}
            tables["level"].append(named | mine["level"] | beyond)
            tables["choice"].append(named | mine["choice"] | _changes(mine["choice"], figures))
            tables["today"].append(named | mine["today"] | _ne_changes(mine["today"], figures))
    return tables


def _figures(
    rows: pl.DataFrame,
    impressions: pl.DataFrame,
    heads: Mapping[str, NDArray[np.float32]],
    of_shown: Mapping[str, NDArray[np.float32]],
) -> dict[str, dict[str, float]]:
    serving, taught = list(heads.values())[-1], heads.get(CONSIDERATION, heads[IMPRESSION])
    truth, teacher, bid = (rows[name].to_numpy() for name in ("truth", "teacher", "bid"))
    own = chosen(bid * serving)
    considered = (rows["domain"] == CD).to_numpy()
    places = {"SCORED": np.ones(len(rows), bool), "OWN": own, CD: considered, REJECTED: ~considered}
    first = of_shown[IMPRESSION]
    recall, value = choice(own, bid * truth)
    return {
        "level": {
            f"{place}, {name}": calibration(serving[where], reference[where])
            for place, where in places.items()
            for name, reference in (("teacher", teacher), ("truth", truth))
        },
        "choice": {"recall": recall, "value": value, "NE, truth": normalized_entropy(serving, truth)},
        "today": {
            "IMP, label": calibration(first, impressions["target"]),
            "IMP NE": normalized_entropy(first, impressions["target"]),
            "CD, teacher": calibration(taught[considered], teacher[considered]),
            "CD NE": normalized_entropy(taught[considered], teacher[considered]),
        },
    }


def _changes(mine: Mapping[str, float], figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Recall and value less those of production and of the same training without probes; NE as a relative change."""
    changes: dict[str, float] = {}
    for name, other in (("production", PRODUCTION), ("no probes", WITHOUT)):
        if other in figures:
            theirs = figures[other]["choice"]
            changes |= {f"{each} less {name}'s": mine[each] - theirs[each] for each in ("recall", "value")}
            changes[f"NE against {name}"] = mine["NE, truth"] / theirs["NE, truth"] - 1
    return changes


def _ne_changes(
    mine: Mapping[str, float], figures: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, float]:
    theirs = figures[TODAY]["today"]
    return {f"{each} against two heads": mine[each] / theirs[each] - 1 for each in ("IMP NE", "CD NE")}


def _aims(arm: str) -> tuple[Aim, ...]:
    same, then = {"arm": arm, "when": SAME}, {"arm": arm, "when": NEXT}
    return (
        Aim(f"{arm}: SCORED calibration 1.00 +- .02 against the teacher", "level", same, "SCORED, teacher", 0.98, 1.02),
        Aim(
            f"{arm}: SCORED calibration against the truth within .02 of the teacher's",
            "level",
            same,
            "SCORED, truth, less the teacher's",
            -0.02,
            0.02,
        ),
        Aim(f"{arm}: OWN calibration 1.00 +- .02 against the truth", "level", same, "OWN, truth", 0.98, 1.02),
        Aim(f"{arm}, next day: recall above production's", "choice", then, "recall less production's", low=0.0),
        Aim(f"{arm}, next day: value above production's", "choice", then, "value less production's", low=0.0),
        # Nothing can be shown to be no worse without a margin; this is a tenth of a point.
        Aim(
            f"{arm}, next day: recall no worse than without probes (margin .001)",
            "choice",
            then,
            "recall less no probes's",
            low=-0.001,
        ),
        Aim(
            f"{arm}, next day: value no worse than without probes (margin .001)",
            "choice",
            then,
            "value less no probes's",
            low=-0.001,
        ),
        Aim(
            f"{arm}: IMP NE no worse than two heads' (margin .1%)",
            "today",
            same,
            "IMP NE against two heads",
            high=0.001,
        ),
        Aim(
            f"{arm}: CD NE no worse than two heads' (margin .1%)", "today", same, "CD NE against two heads", high=0.001
        ),
        Aim(f"{arm}: CD calibration of head consideration 1.00 +- .02", "today", same, "CD, teacher", 0.98, 1.02),
    )


_KEYS = ("arm", "when")
_PLACES = ("SCORED", "OWN", CD, REJECTED)
STUDY = Study(
    name="scored",
    question="What do rare probes of rejected candidates teach of all that pre-ranking scores, and what do they cost?",
    data="Simulated cascade, {requests:,} requests a day; every arm is trained for {days} days from a random start, "
    "warm-started daily; judged on all 80 rows that pre-ranking scored of the withheld fifth of the requests of the "
    "last {judged} days, by the student trained on that day (same day) and by that of the day before (next day); "
    "SCORED: all 80, OWN: the 24 that what serves would itself hand on by bid * prediction, CD: the 24 that production "
    "handed on, REJECTED: the 56 others; teacher: ranking's own predictions on all of them, truth: the simulated "
    "probabilities",
    version=1,
    measure=measure,
    defaults={"requests": 10_000, "days": 14, "judged": 7, "percents": [0, 0.5, 1, 2, 5], "naive": [2]},
    meanings={
        "requests": "requests a day",
        "days": "days that every arm is trained for",
        "judged": "last days whose withheld requests count",
        "percents": "of the rejected rows that ranking labels, for head `scored`",
        "naive": "the same, for arms whose loss takes such rows by their full weight",
    },
    tables=(
        TableOf(
            "level",
            "Calibration of what serves: mean prediction over mean reference",
            keys=_KEYS,
            figures={
                **{f"{place}, {name}": ".3f" for place in _PLACES for name in ("teacher", "truth")},
                "SCORED, truth, less the teacher's": "+.3f",
            },
        ),
        TableOf(
            "choice",
            "The best 24 of 80 by bid * truth: recall, and share of their value, of the 24 that what serves picks; NE "
            "on all 80 against the truth",
            keys=_KEYS,
            figures={
                "recall": ".4f",
                "value": ".4f",
                "recall less production's": "+.4f",
                "value less production's": "+.4f",
                "recall less no probes's": "+.4f",
                "value less no probes's": "+.4f",
                "NE, truth": ".4f",
                "NE against production": "+.2%",
                "NE against no probes": "+.2%",
            },
        ),
        TableOf(
            "today",
            "What was judged before: the first head on impressions against labels, the head that the teacher trains on "
            "what went on to ranking, against the teacher",
            keys=_KEYS,
            figures={
                "IMP, label": ".3f",
                "IMP NE": ".4f",
                "IMP NE against two heads": "+.2%",
                "CD, teacher": ".3f",
                "CD NE": ".4f",
                "CD NE against two heads": "+.2%",
            },
        ),
        TableOf(
            "cost",
            "What probes cost: further calls of ranking as a share of its own, rows and CPU seconds of training",
            keys=("arm",),
            figures={
                "probes a request": ".2f",
                "ranking calls": "+.1%",
                "probes a day": ",.0f",
                "rows a day": ",.0f",
                "CPU seconds a day": ".2f",
            },
        ),
    ),
    aims=_aims(_named(2)),
)
