"""Off-policy estimates on simulated item pages, where what a policy truly earns is known: bias, error and coverage."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.off_policy.explored import Explored
from ukdsl_assets.off_policy.means import mean_of
from ukdsl_assets.off_policy.policies import top as top_slate
from ukdsl_assets.off_policy.table import OWN, SAME, Outcome, estimated
from ukdsl_assets.simulation.item_page import (
    DEVICE_FACTOR,
    ELIGIBLE,
    SLOT_EFFECT,
    SLOTS,
    ItemPageWorld,
    PageViews,
    probabilities,
    top,
)

REWARDS = ("click", "purchase")
VALUE = "value"
# An estimate and its interval's ends.
Triple = tuple[float, float, float]
# The days whose pages the truth is of, and the first of those that production serves, follow the logged ones.
JUDGED_DAY, OWN_DAYS = 100, 200
# A ranker orders by the true logit of a click and noise of this size; as a model it is off by as much again on average.
NOISE, OFF = 0.5, 0.2
FIGURES = {"bias": "+.2%", "RMSE": ".2%", "coverage": ".1%", "half width": ".2%"}


class Logged(NamedTuple):
    """A log of explored pages: its candidates, and rewards, and what a model expects by slot, by task."""

    explored: Explored
    views: PageViews
    rewards: dict[str, np.ndarray]
    models: dict[str, np.ndarray]


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """`logs` logs of one world of each size, and on each the estimates of a ranker's and of production's policy.

    Figures are relative to what the ranker's policy truly earns on other pages of the world. Without a finite estimate
    a log counts in no figure, and `undefined` says how many these are.
    """
    world, sizes = ItemPageWorld(settings["seed"]), (settings["few_pages"], settings["pages"])
    truth, theirs = true_values(world, settings["judged_pages"])
    found: dict[tuple[int, str, str, str], list[Triple]] = {}
    for log in range(settings["logs"]):
        for place, pages in enumerate(sizes):
            day = len(sizes) * log + place
            own = own_pages(world, day, settings["own_pages"])
            for (task, what, estimator), estimate in estimates(world, day, pages, own).items():
                true = truth[task] if what == VALUE else truth[task] - theirs[task]
                low, high = ((end - true) / truth[task] for end in estimate[1:])
                error = (estimate[0] - true) / truth[task]
                found.setdefault((pages, task, what, estimator), []).append((error, low, high))
        progress(log + 1, settings["logs"])
    lines: Rows = {f"{task}s": [] for task in REWARDS}
    for (pages, task, what, estimator), triples in found.items():
        names = {"explored pages": f"{pages:,}", "estimate of": what, "estimator": estimator}
        lines[f"{task}s"].append({**names, **_figures(np.array(triples))})
    return lines


def estimates(
    world: ItemPageWorld, day: int, pages: int, own: Mapping[str, np.ndarray]
) -> dict[tuple[str, str, str], Triple]:
    """(reward, what is estimated, estimator) -> the estimate and its interval's ends, on one log."""
    logged = logged_pages(world, day, pages)
    explored = logged.explored
    ranked = top_slate(ranker(world, logged.views).ravel(), explored.request, explored.slots)
    static = world.static_configuration(logged.views).astype(np.float64).ravel()
    outcomes = {task: Outcome(logged.rewards[task], logged.models[task], mean_of(own[task]), 1.0) for task in REWARDS}
    found = {}
    for production in (top_slate(static, explored.request, explored.slots), None):
        table = estimated(OffPolicy(slot="slot"), explored, ranked, production, outcomes)
        for row in table.iter_rows(named=True):
            columns = {VALUE: "value", f"difference, {row['production_of']}": "difference"}
            for what, column in columns.items():
                ends = row[column], row[f"{column}_low"], row[f"{column}_high"]
                found[row["reward"], what, row["estimator"]] = ends
    return found


def _figures(triples: np.ndarray) -> dict[str, float | None]:
    """Errors of estimates and of the ends of their intervals, [logs, 3], relative to the truth."""
    error, low, high = triples[np.isfinite(triples).all(1)].T
    undefined = 1 - len(error) / len(triples)
    if not len(error):
        return {"undefined": undefined} | dict.fromkeys(FIGURES)
    return {
        "bias": float(error.mean()),
        "RMSE": math.sqrt(float((error**2).mean())),
        "coverage": float(((low <= 0) & (high >= 0)).mean()),
        "half width": float(((high - low) / 2).mean()),
        "undefined": undefined,
    }


def ranker(world: ItemPageWorld, views: PageViews) -> np.ndarray:
    """Scores of the policy that is estimated, float64 [R, 12]: a function of the page view and the module alone."""
    noise = np.random.default_rng([world.seed, len(views.number), int(views.microsecond.sum() % 2**32)])
    return views.click + NOISE * noise.standard_normal(views.click.shape)


def true_values(world: ItemPageWorld, pages: int) -> tuple[dict[str, float], dict[str, float]]:
    """Expected clicks and purchases of a page under the ranker's policy and production's, by true probabilities."""
    views = world.page_views(JUDGED_DAY, pages)
    values = []
    for scores in (ranker(world, views), world.static_configuration(views)):
        click, purchase = probabilities(views, top(scores))
        values.append({"click": float(click.sum(1).mean()), "purchase": float((click * purchase).sum(1).mean())})
    return values[0], values[1]


def logged_pages(world: ItemPageWorld, log: int, pages: int) -> Logged:
    """Pages that all show six of their twelve modules in random order, and what became of them."""
    served = world.serve(log, pages, world.static_configuration, explored_share=1.0)
    views, shape = served.views, served.views.modules.shape
    slot = np.zeros(shape, np.int64)
    np.put_along_axis(slot, served.shown, np.arange(1, SLOTS + 1)[None, :], axis=1)
    rewards = {}
    for task, happened in (("click", served.clicked), ("purchase", served.purchased)):
        of_modules = np.zeros(shape)
        np.put_along_axis(of_modules, served.shown, happened.astype(np.float64), axis=1)
        rewards[task] = of_modules.ravel()
    # What the ranker would say in each slot: it knows how slots count, and is off by its noise and a constant.
    effect = SLOT_EFFECT * DEVICE_FACTOR[views.device][:, None]
    click = sigmoid(ranker(world, views)[:, :, None] + OFF + effect[:, None, :]).reshape(-1, SLOTS)
    given = sigmoid(0.7 * views.purchase.astype(np.float64) - OFF).reshape(-1, 1)
    explored = Explored(
        request=np.repeat(np.arange(pages), ELIGIBLE),
        slot=slot.ravel(),
        propensity=np.where(slot.ravel() > 0, SLOTS / ELIGIBLE, np.nan),
        by_slot=True,
    )
    return Logged(explored, views, rewards, {"click": click, "purchase": click * given})


def own_pages(world: ItemPageWorld, log: int, pages: int) -> dict[str, np.ndarray]:
    """What each of the pages that production serves itself earned, float64 [pages] by task."""
    served = world.serve(OWN_DAYS + log, pages, world.static_configuration, explored_share=0.0)
    happened = {"click": served.clicked, "purchase": served.purchased}
    return {task: each.sum(1).astype(np.float64) for task, each in happened.items()}


def _aims() -> tuple[Aim, ...]:
    """Coverage of the estimators that are usable here; others are shown beside them."""
    return tuple(
        Aim(
            f"{task}s, {what}, {estimator}, {pages} pages: intervals cover 93 to 97%",
            f"{task}s",
            {"explored pages": pages, "estimate of": what, "estimator": estimator},
            "coverage",
            low=0.93,
            high=0.97,
        )
        for task in REWARDS
        for pages in ("500", "2,500")
        for what in (VALUE, f"difference, {SAME}", f"difference, {OWN}")
        for estimator in ("snips", "dr", "sndr")
    )


STUDY = Study(
    name="off-policy",
    question="Do off-policy estimates and their 95% intervals hold what a policy truly earns?",
    data="Simulated item page; {logs} logs a world of {few_pages:,} and of {pages:,} pages in random order; a ranker's "
    "policy and the static configuration, which serves {own_pages:,} other pages; truth: true probabilities on "
    "{judged_pages:,} further pages; figures are relative to what the ranker's policy truly earns",
    version=1,
    measure=measure,
    defaults={"few_pages": 500, "pages": 2_500, "own_pages": 10_000, "judged_pages": 20_000, "logs": 5},
    meanings={
        "few_pages": "explored pages of a small log, such as those of a day of 10,000 pages",
        "pages": "explored pages of a log, such as those of five days",
        "own_pages": "pages of a log that production serves itself",
        "judged_pages": "pages by whose true probabilities a policy's value is known",
        "logs": "logs a world of each size, each of other pages",
    },
    seeds=200,
    tables=tuple(
        TableOf(
            f"{task}s",
            f"Estimates of {task}s a page: bias, root mean squared error within a world, how often the 95% interval "
            "holds the truth, half its width, and how many logs give no estimate",
            keys=("explored pages", "estimate of", "estimator"),
            figures={**FIGURES, "undefined": ".1%"},
        )
        for task in REWARDS
    ),
    aims=_aims(),
)
