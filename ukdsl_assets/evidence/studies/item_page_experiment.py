"""A/B of the item page: what an experiment on the trained students' pages finds, by how personal the world is."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.item_page_experiment import (
    METRICS,
    ServesPages,
    pages_without_experiment,
    run_experiment,
)
from ukdsl_assets.evidence.worlds.module_rankers import (
    StudentRanker,
    augmented,
    labelled_modules,
    students_of,
    trained_teacher,
)
from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.experiments.plan import Plan
from ukdsl_assets.experiments.reading import Reading, read_experiment
from ukdsl_assets.learning.metrics.logits import sigmoid
from ukdsl_assets.logs.sources.simulated_item_page import view_features
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, top

CONTROL, TREATMENT = "static", "students"
# In no arm: what is to be had without a look at the page, from knowing each module's worth.
ONE_ORDER = "best one order"
LEVELS = (0.0, 0.25, 0.5, 1.0)
# The paper's online test, section 5: lift of clicks and of purchases.
PAPER = {"click": 0.0248, "purchase": 0.0734}


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """An experiment at each level of personalisation, each read at its planned looks."""
    import torch

    torch.set_num_threads(1)
    rows: Rows = {"lift": [], "sound": []}
    for place, level in enumerate(LEVELS):
        world = ItemPageWorld(settings["seed"], level)
        students = trained_students(world, settings["days"], settings["pages"])
        serves: dict[str, ServesPages] = {
            CONTROL: lambda views, day: top(world.static_configuration(views)),  # noqa: B023
            TREATMENT: partial(students_serve, students, settings["purchase_worth"]),
            ONE_ORDER: partial(one_order_serves, settings["purchase_worth"]),
        }
        first = settings["days"] + settings["before"]
        before = pages_without_experiment(world, serves[CONTROL], range(settings["days"], first), settings["visits"])
        experiment = Experiment(f"item_page_{settings['seed']}_{level:g}", {CONTROL: 0.5, TREATMENT: 0.5})
        plan = Plan.evenly(settings["planned"])
        days = range(first, first + plan.days)
        held = run_experiment(world, experiment, serves, days, settings["visits"])
        reading = read_experiment(held.rows, experiment, METRICS, plan, before.drop("day"))
        rows["lift"] += lift_lines(reading, held.truth, f"{level:.2f}")
        rows["sound"].append(sound_line(reading, f"{level:.2f}"))
        progress(place + 1, len(LEVELS))
    return rows


def trained_students(world: ItemPageWorld, days: int, pages: int) -> StudentRanker:
    """The distilled students after so many days of logs of the static configuration, as the graph trains them.

    The teacher is trained once, on all these days: it labels the days for the students, which take them in turn.
    """
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml")
    logs = [labelled_modules(world.serve(day, pages, world.static_configuration), day) for day in range(days)]
    teacher = trained_teacher(cascade, [candidates.filter("shown") for candidates in logs])
    students = StudentRanker(cascade, "distilled", students_of(cascade, with_slot=True))
    for candidates in logs:
        students.train(augmented(cascade, candidates, teacher))
    return students


def students_serve(students: StudentRanker, purchase_worth: float, views: PageViews, day: int) -> np.ndarray:
    """The order by expected clicks and purchases of each module, a purchase worth so many clicks; int64 [R, 6]."""
    rows = view_features(views, day)
    click, purchase = (students(rows, views, task) for task in METRICS)
    return top(click * (1 + purchase_worth * purchase))


def one_order_serves(purchase_worth: float, views: PageViews, day: int) -> np.ndarray:
    """The modules of each page by what each is worth on all of the day's pages, as only the truth knows; [R, 6]."""
    worth = sigmoid(views.click) * (1 + purchase_worth * sigmoid(views.purchase))
    module = views.modules.ravel()
    mean = np.bincount(module, worth.ravel()) / np.maximum(np.bincount(module), 1)
    return top(mean[views.modules])


def lift_lines(reading: Reading, truth: Mapping[str, Mapping[str, float]], level: str) -> list[dict[str, Any]]:
    """A line a metric: the lift as measured at the last look, its interval, the true one, and what was decided."""
    lines = []
    lifts = {
        arm: {metric: ratio / truth[CONTROL][metric] - 1 for metric, ratio in ratios.items()}
        for arm, ratios in truth.items()
    }
    for metric in reading.metrics:
        if metric.lift is None or metric.interval is None:
            continue
        (low, high), true = metric.interval, lifts[TREATMENT][metric.name]
        lines.append(
            {
                "personalisation": level,
                "per page": metric.name,
                "lift": metric.lift.lift,
                "low": low,
                "high": high,
                "true lift": true,
                "one order": lifts[ONE_ORDER][metric.name],
                "interval holds it": float(low <= true <= high),
                "found higher": float(metric.finding == "higher"),
                "found lower": float(metric.finding == "lower"),
                "CUPED took": metric.lift.variance_removed,
            }
        )
    return lines


def sound_line(reading: Reading, level: str) -> dict[str, Any]:
    """Whether the experiment was sound, and how early its first metric was decided."""
    first = reading.metrics[0]
    return {
        "personalisation": level,
        "visitors": sum(reading.visitors),
        "pages": sum(reading.pages),
        "ratio check passed": float(reading.ratio.passed),
        "decided after day": first.decided_after,
    }


def _aim(claim: str, metric: str, level: str, figure: str, low: float) -> Aim:
    return Aim(claim, "lift", {"personalisation": level, "per page": metric}, figure, low)


STUDY = Study(
    name="item-page-experiment",
    question="A/B of the item page: at which level of personalisation do students earn what the paper's test saw?",
    data="Simulated item page; students learn from {days} days of {pages:,} pages of the static configuration, then "
    "half of the visitors, by hash, see the order of the students (expected clicks and purchases, one purchase worth "
    "{purchase_worth:g} clicks) for {planned} days of {visits:,} pages, the others the static configuration; lift: of "
    "clicks and purchases as they happened, per page, errors over visitors by the delta method, with CUPED by the "
    "{before} days before, interval at the last of four planned looks; true lift: of true probabilities, had either "
    "served all these pages",
    version=1,
    measure=measure,
    defaults={"days": 3, "pages": 8_000, "before": 4, "planned": 8, "visits": 20_000, "purchase_worth": 5.0},
    meanings={
        "days": "days of logs that the students learn from",
        "pages": "page views on each of them",
        "before": "days after them, of the static configuration, that CUPED knows",
        "planned": "days that the experiment runs",
        "visits": "page views a day of these and of those before",
        "purchase_worth": "clicks that a purchase is worth in the students' order",
    },
    tables=(
        TableOf(
            "lift",
            "Lift of the students over the static configuration as the experiment measured it, the mean ends of its "
            "interval, the true lift, and that of the best one order for all pages; then in how many worlds the "
            "interval holds the true lift, and in how many a look found it",
            keys=("personalisation", "per page"),
            figures={
                "lift": "+.2%",
                "low": "+.2%",
                "high": "+.2%",
                "true lift": "+.2%",
                "one order": "+.2%",
                "interval holds it": ".0%",
                "found higher": ".0%",
                "found lower": ".0%",
                "CUPED took": ".1%",
            },
            beside=tuple(
                {"personalisation": "paper, online test", "per page": metric, "lift": f"{lift:+.2%}"}
                for metric, lift in PAPER.items()
            ),
        ),
        TableOf(
            "sound",
            "The experiments themselves",
            keys=("personalisation",),
            figures={"visitors": ",.0f", "pages": ",.0f", "ratio check passed": ".0%", "decided after day": ".1f"},
        ),
    ),
    aims=(
        _aim("at level 1.00: more clicks than the paper's +2.48%", "click", "1.00", "lift", PAPER["click"]),
        _aim("at level 1.00: more purchases than its +7.34%", "purchase", "1.00", "lift", PAPER["purchase"]),
        _aim("at level 1.00: intervals of clicks above 0", "click", "1.00", "low", 0.0),
        _aim("at level 1.00: intervals of purchases above 0", "purchase", "1.00", "low", 0.0),
        _aim("at level 0.50: more clicks than the paper's +2.48%", "click", "0.50", "lift", PAPER["click"]),
        _aim("at level 0.50: more purchases than its +7.34%", "purchase", "0.50", "lift", PAPER["purchase"]),
        _aim("at level 0.50: intervals of clicks above 0", "click", "0.50", "low", 0.0),
        _aim("at level 0.50: intervals of purchases above 0", "purchase", "0.50", "low", 0.0),
    ),
)
