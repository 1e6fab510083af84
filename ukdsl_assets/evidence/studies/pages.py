"""Pages by a student's values and declared rules, against the static configuration, and what clicks buy purchases."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.page import Exploration, RandomOrderExploration, ThompsonExploration
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.module_rankers import (
    TASKS,
    StudentRanker,
    augmented,
    labelled_modules,
    students_of,
    trained_teacher,
)
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.logs.sources.simulated_item_page import PAGES_A_DAY, view_features
from ukdsl_assets.pages.batch import build_pages
from ukdsl_assets.pages.rules import PageRules, page_rules, value_of
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, probabilities, top

STATIC, STATIC_RULES = "before: static configuration", "static configuration, with rules"
FREE, DECLARED, TRUTH = "student, no rules", "after: student, with rules", "ceiling: true probabilities, with rules"
# Weight of a purchase where a click has 1; the last has purchases alone.
WEIGHTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, np.inf)
# Epsilon-greedy shows what random order does; it is logged otherwise.
POLICIES: dict[str, Exploration] = {
    "random order, 5% of pages": RandomOrderExploration(kind="random_order", share=0.05),
    "Thompson, scale .3": ThompsonExploration(kind="thompson", scale=0.3),
}
Predictions = dict[str, NDArray[np.float64]]
Earned = tuple[float, float]
FIGURES = {"clicks vs static": "+.2%", "purchases vs static": "+.2%"}


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """The students learn from `days` days of the static configuration; pages of the `judged` days after are built."""
    import torch

    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml")
    world, pages, days = ItemPageWorld(settings["seed"]), settings["pages"], settings["days"]
    learner = StudentRanker(cascade, "distilled", students_of(cascade, with_slot=True))
    impressions, steps = [], days + settings["judged"]
    for day in range(days):
        candidates = labelled_modules(world.serve(day, pages, world.static_configuration), day)
        impressions.append(candidates.filter("shown"))
        learner.train(augmented(cascade, candidates, trained_teacher(cascade, impressions)))
        progress(day + 1, steps)
    names = {student.task: student.name for student in cascade.students}
    declared = replace(page_rules(cascade), exploration=None)
    of_days: list[tuple[dict[str, Earned], dict[tuple[str, str], Earned], float]] = []
    for day in range(days, days + settings["judged"]):
        views = world.page_views(day, pages)
        rows = view_features(views, day)
        predicted = {names[task]: learner(rows, views, task).astype(np.float64) for task in TASKS}
        true = {names["click"]: sigmoid(views.click), names["purchase"]: sigmoid(views.purchase)}
        value = value_of(declared, predicted)
        static = world.static_configuration(views).astype(np.float64)
        shown = _built(declared, value, views, day)
        lines = {
            STATIC: _earned(views, top(static)),
            STATIC_RULES: _earned(views, _built(declared, static, views, day)),
            FREE: _earned(views, top(value)),
            DECLARED: _earned(views, shown),
            **{
                f"{DECLARED}, {name}": _earned(views, _built(replace(declared, exploration=policy), value, views, day))
                for name, policy in POLICIES.items()
            },
            TRUTH: _earned(views, _built(declared, value_of(declared, true), views, day)),
        }
        curve = {}
        for weight in WEIGHTS:
            weighted = value_of(weighing(declared, weight), predicted)
            curve["no", told(weight)] = _earned(views, top(weighted))
            curve["yes", told(weight)] = _earned(views, _built(declared, weighted, views, day))
        changed = float((shown != top(value)).any(axis=1).mean())
        of_days.append((lines, curve, changed))
        progress(days + len(of_days), steps)
    base = _mean([lines[STATIC] for lines, _, _ in of_days])
    earned = [
        {"page": page, **_changes(_mean([lines[page] for lines, _, _ in of_days]), base)} for page in of_days[0][0]
    ]
    for line in earned:
        if line["page"] == DECLARED:
            line["changed by rules"] = float(np.mean([changed for _, _, changed in of_days]))
    along = [
        {"rules": key[0], "weight": key[1], **_changes(_mean([curve[key] for _, curve, _ in of_days]), base)}
        for key in of_days[0][1]
    ]
    return {"earned": earned, "curve": along}


def weighing(rules: PageRules, weight: float) -> PageRules:
    """The rules with a weight of purchases where a click has 1; infinity: purchases alone."""
    click, purchase = sorted(rules.terms, key=lambda term: len(term[1]))
    terms = ((0.0 if np.isinf(weight) else 1.0, click[1]), (1.0 if np.isinf(weight) else weight, purchase[1]))
    return replace(rules, terms=terms)


def told(weight: float) -> str:
    """The weight as the tables say it."""
    return "purchases alone" if np.isinf(weight) else f"{weight:g}"


def _built(rules: PageRules, value: NDArray[np.float64], views: PageViews, day: int) -> NDArray[np.int64]:
    ids = day * PAGES_A_DAY + views.number
    return build_pages(rules, value, {"module_kind": views.kind}, ids).order


def _earned(views: PageViews, shown: NDArray[np.int64]) -> Earned:
    """Expected clicks and purchases of a page, by true probabilities in the slots."""
    click, purchase = probabilities(views, shown)
    return float(click.sum(1).mean()), float((click * purchase).sum(1).mean())


def _mean(of_days: list[Earned]) -> Earned:
    clicks, purchases = zip(*of_days, strict=True)
    return float(np.mean(clicks)), float(np.mean(purchases))


def _changes(mine: Earned, base: Earned) -> dict[str, Any]:
    return {name: now / then - 1 for name, now, then in zip(FIGURES, mine, base, strict=True)}


def _aim(claim: str, figure: str, low: float, page: str = DECLARED) -> Aim:
    return Aim(claim, "earned", {"page": page}, figure, low=low)


STUDY = Study(
    name="pages",
    question="What do pages by a student's values and declared rules earn, and what do clicks buy purchases for?",
    data="Simulated item page; students learn from {days} days of {pages:,} pages of the static configuration, one in "
    "twenty in random order, and build the pages of the {judged} days after by the rules of the shipped declaration "
    "(at most two modules of a kind, none of a kind below the other; a purchase weighs 5 clicks); figures are of true "
    "probabilities of clicks and purchases in the slots, all pages; head: the last, at the first slot",
    version=1,
    measure=measure,
    defaults={"pages": 10_000, "days": 8, "judged": 2},
    meanings={
        "pages": "page views a day",
        "days": "days of logs that the students learn from",
        "judged": "days after them whose pages are built",
    },
    tables=(
        TableOf(
            "earned",
            "Change of a page's expected clicks and purchases against the static configuration, paired by world",
            keys=("page",),
            figures={**FIGURES, "changed by rules": ".1%"},
        ),
        TableOf(
            "curve",
            "The same by the weight of a purchase where a click has 1, without and with the rules",
            keys=("rules", "weight"),
            figures=FIGURES,
        ),
    ),
    aims=(
        _aim("the declared page: clicks above the static configuration by +2.48%", "clicks vs static", 0.0248),
        _aim("its purchases above by +7.34%", "purchases vs static", 0.0734),
    ),
)
