"""An experiment on the simulated item page: visitors in two arms, each of whose pages somebody orders."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, probabilities

# (page views of a day, that day) -> what is shown: integers [R, 6], places among a page's twelve modules by slot. A
# student in this process, or a server that is asked for each page.
ServesPages = Callable[[PageViews, int], np.ndarray]
METRICS = ("click", "purchase")
_FIRST_DAY = date(2026, 1, 1)


class ExperimentDays(NamedTuple):
    """What an experiment leaves: a row a page, and the true ratios of each arm had it served every page.

    rows: visitor (String), arm (String), day (Date), pages (1), click and purchase (Float64, how many).
    truth: arm -> metric -> expected outcomes per page.
    """

    rows: pl.DataFrame
    truth: Mapping[str, Mapping[str, float]]


def run_experiment(
    world: ItemPageWorld, experiment: Experiment, arms: Mapping[str, ServesPages], days: range, pages: int
) -> ExperimentDays:
    """Run it over days of the world.

    Args:
        arms: who serves each arm of the experiment; one that is no arm of it is only judged by the truth. Each is asked
            for all pages, so that the truth is known; a visitor sees those of the arm alone.
        pages: page views a day.
    """
    rows, expected = [], {arm: np.zeros(len(METRICS)) for arm in arms}
    for day in days:
        views = world.page_views(day, pages)
        arm_of = experiment.arms_of(pl.Series("visitor", views.user))
        shown = {arm: serves(views, day) for arm, serves in arms.items()}
        for arm, order in shown.items():
            click, purchase = probabilities(views, order)
            expected[arm] += click.sum(), (click * purchase).sum()
        seen = np.select([(arm_of == arm).to_numpy()[:, None] for arm in shown], list(shown.values()))
        rows.append(_pages(world, day, views, seen, arm_of))
    total = pages * len(days)
    truth = {arm: dict(zip(METRICS, (sums / total).tolist(), strict=True)) for arm, sums in expected.items()}
    return ExperimentDays(pl.concat(rows), truth)


def pages_without_experiment(world: ItemPageWorld, serves: ServesPages, days: range, pages: int) -> pl.DataFrame:
    """Rows of days on which one served all: those of `ExperimentDays`, without the arm."""
    rows = []
    for day in days:
        views = world.page_views(day, pages)
        rows.append(_pages(world, day, views, serves(views, day), None))
    return pl.concat(rows)


def _pages(
    world: ItemPageWorld, day: int, views: PageViews, shown: np.ndarray, arm_of: pl.Series | None
) -> pl.DataFrame:
    served = world.respond(day, views, shown, np.zeros(len(shown), bool))
    return pl.DataFrame(
        {
            "visitor": pl.Series(views.user).cast(pl.String),
            **({} if arm_of is None else {"arm": arm_of}),
            "day": pl.repeat(_FIRST_DAY + timedelta(days=day), len(shown), dtype=pl.Date, eager=True),
            "pages": pl.repeat(1, len(shown), dtype=pl.Int64, eager=True),
            "click": served.clicked.sum(1).astype(np.float64),
            "purchase": served.purchased.sum(1).astype(np.float64),
        }
    )
