"""Real-time order of an item page's modules: what students earn over the static configuration they learn from."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.module_rankers import (
    TASKS,
    ModuleRanker,
    StudentRanker,
    augmented,
    click_rates,
    labelled_modules,
    students_of,
    trained_teacher,
)
from ukdsl_assets.learning.metrics.auc import auc
from ukdsl_assets.learning.metrics.calibration import calibration
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.logs.sources.simulated_item_page import view_features
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, probabilities, top

STATIC, RATES = "static configuration", "click rates by category"
WITHOUT_SLOT, LABELS, DISTILLED = "labels alone, without the slot", "labels alone", "distilled"
TEACHER, TRUTH = "foundation teacher (not served)", "ceiling: true probability"
# What orders by one score, whatever is to be gained.
OF_CLICKS_ALONE = (STATIC, RATES)
FIGURES = dict.fromkeys(("clicks vs static", "purchases vs static", "clicks vs labels", "purchases vs labels"), "+.2%")


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Everything learns from `days` days of the static configuration; then each orders the pages of `judged` more.

    After that, each student serves `own` days, of which it learns as it did before, and the days after are judged.
    """
    import torch

    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml")
    world, pages, days, own = ItemPageWorld(settings["seed"]), settings["pages"], settings["days"], settings["own"]
    learners = {
        WITHOUT_SLOT: StudentRanker(cascade, "baseline", students_of(cascade, with_slot=False)),
        LABELS: StudentRanker(cascade, "baseline", students_of(cascade, with_slot=True)),
        DISTILLED: StudentRanker(cascade, "distilled", students_of(cascade, with_slot=True)),
    }
    steps = days + own * len(learners)
    impressions = []
    for day in range(days):
        candidates = labelled_modules(world.serve(day, pages, world.static_configuration), day)
        impressions.append(candidates.filter("shown"))
        teaching = trained_teacher(cascade, impressions)
        rows = augmented(cascade, candidates, teaching)
        for learner in learners.values():
            learner.train(rows)
        progress(day + 1, steps)
    rates = click_rates(pl.concat(impressions))
    rankers: dict[str, ModuleRanker] = {
        STATIC: lambda rows, views, task: world.static_configuration(views),
        RATES: lambda rows, views, task: rates[views.category[:, None], views.modules - 1],
        **learners,
        TEACHER: teaching,
        TRUTH: lambda rows, views, task: sigmoid(views.click if task == "click" else views.purchase),
    }
    views, scores = _scored(world, rankers, range(days, days + settings["judged"]), pages)
    rows_of = {"earned": earned(views, scores), "judged": click_figures(world, views, scores)}
    for place, learner in enumerate(learners.values()):
        own_impressions, teacher = list(impressions), teaching
        for day in range(days, days + own):
            served = world.serve(day, pages, partial(_ordered_by, learner, day))
            candidates = labelled_modules(served, day)
            own_impressions.append(candidates.filter("shown"))
            if learner.arm == "distilled":
                teacher = trained_teacher(cascade, own_impressions)
            learner.train(augmented(cascade, candidates, teacher))
            progress(days + place * own + day - days + 1, steps)
    serving = {name: rankers[name] for name in (STATIC, *learners, TRUTH)}
    after = _scored(world, serving, range(days + own, days + own + settings["judged"]), pages)
    return {**rows_of, "after serving": earned(*after)}


def _scored(
    world: ItemPageWorld, rankers: Mapping[str, ModuleRanker], days: range, pages: int
) -> tuple[list[PageViews], dict[str, list[dict[str, np.ndarray]]]]:
    """The page views of the days, and each ranker's scores of them by task."""
    views = [world.page_views(day, pages) for day in days]
    rows = [view_features(page_views, day) for page_views, day in zip(views, days, strict=True)]
    scores = {
        name: [
            {task: ranker(frame, page_views, task) for task in TASKS}
            for frame, page_views in zip(rows, views, strict=True)
        ]
        for name, ranker in rankers.items()
    }
    return views, scores


def _ordered_by(learner: StudentRanker, day: int, views: PageViews) -> np.ndarray:
    return learner(view_features(views, day), views, "click")


def earned(views: list[PageViews], scores: Mapping[str, list[dict[str, np.ndarray]]]) -> list[dict[str, Any]]:
    """Expected clicks and purchases of a page, of true probabilities in the slots, and changes against two arms.

    Pages are ordered by the probability of a click, or of a purchase (click, then purchase given a click).
    """
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for name, of_days in scores.items():
        for task in TASKS[:1] if name in OF_CLICKS_ALONE else TASKS:
            outcomes = []
            for page_views, score in zip(views, of_days, strict=True):
                shown = top(score["click"] * score["purchase"] if task == "purchase" else score["click"])
                click, purchase = probabilities(page_views, shown)
                outcomes.append((click.sum(1).mean(), (click * purchase).sum(1).mean()))
            clicks, purchases = np.mean(outcomes, axis=0)
            figures[name, task] = {"clicks": float(clicks), "purchases": float(purchases)}
    lines = []
    for (name, task), mine in figures.items():
        against = {"static": figures[STATIC, "click"], "labels": figures[LABELS, task]}
        changes = {
            f"{what} vs {other}": mine[what] / base[what] - 1 for other, base in against.items() for what in mine
        }
        lines.append({"arm": name, "ordered by": task, **mine, **changes})
    return lines


def click_figures(
    world: ItemPageWorld, views: list[PageViews], scores: Mapping[str, list[dict[str, np.ndarray]]]
) -> list[dict[str, Any]]:
    """Click predictions against the truth in the first slot, on all modules and on those that are not shown."""
    lines = []
    for name, of_days in scores.items():
        if name in (*OF_CLICKS_ALONE, TRUTH):
            continue
        truth, prediction, hidden = [], [], []
        for page_views, score in zip(views, of_days, strict=True):
            shown = top(world.static_configuration(page_views))
            unseen = np.ones(page_views.modules.shape, bool)
            np.put_along_axis(unseen, shown, False, axis=1)
            truth.append(sigmoid(page_views.click).ravel())
            prediction.append(score["click"].ravel())
            hidden.append(unseen.ravel())
        p, y, out = (np.concatenate(parts) for parts in (prediction, truth, hidden))
        lines.append(
            {
                "arm": name,
                "calibration": calibration(p, y),
                "calibration, not shown": calibration(p[out], y[out]),
                "AUC": auc(p, y),
                "AUC, not shown": auc(p[out], y[out]),
            }
        )
    return lines


def _aim(claim: str, arm: str, order: str, figure: str, low: float | None = None, high: float | None = None) -> Aim:
    return Aim(claim, "earned", {"arm": arm, "ordered by": order}, figure, low, high)


STUDY = Study(
    name="item-page",
    question="What does ordering the modules of an item page by page view earn?",
    data="Simulated item page; all learn from {days} days of {pages:,} pages of the static configuration, one in "
    "twenty in random order, and order the pages of the {judged} days after; then each student serves {own} days, "
    "learns from them, and is judged on the {judged} days after; figures are of true probabilities; head: the last, "
    "at the first slot",
    version=2,
    measure=measure,
    defaults={"pages": 10_000, "days": 8, "judged": 3, "own": 4},
    meanings={
        "pages": "page views a day",
        "days": "days of logs that everything learns from",
        "judged": "days after them whose pages each arm orders",
        "own": "days that each student serves, and learns from, after that",
    },
    tables=(
        TableOf(
            "earned",
            "Change of a page's expected clicks and purchases against the static configuration, and against labels "
            "alone, paired by world",
            keys=("arm", "ordered by"),
            figures=FIGURES,
            beside=(
                {
                    "arm": "paper, online test",
                    "ordered by": "",
                    "clicks vs static": "+2.48%",
                    "purchases vs static": "+7.34%",
                },
            ),
        ),
        TableOf(
            "after serving",
            "The same on the days after each student has served, by the probability of a click, and learnt from its "
            "own logs",
            keys=("arm", "ordered by"),
            figures=FIGURES,
        ),
        TableOf(
            "judged",
            "Click predictions against the truth, on all twelve modules of a page and on the six that the static "
            "configuration does not show",
            keys=("arm",),
            figures={
                "calibration": ".3f",
                "calibration, not shown": ".3f",
                "AUC": ".4f",
                "AUC, not shown": ".4f",
            },
        ),
    ),
    aims=(
        _aim("distilled: more clicks than the static configuration", DISTILLED, "click", "clicks vs static", low=0.0),
        _aim("distilled: more purchases than it", DISTILLED, "purchase", "purchases vs static", low=0.0),
        _aim("distilled: no fewer clicks than labels alone", DISTILLED, "click", "clicks vs labels", low=0.0),
        _aim("without the slot: fewer clicks than with it", WITHOUT_SLOT, "click", "clicks vs labels", high=0.0),
        Aim("distilled: calibrated to 10%", "judged", {"arm": DISTILLED}, "calibration", low=0.9, high=1.1),
    ),
)
