"""The experiment on the item page: its rows are what the world does, and a small study is the same again."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.evidence.figures import LIFT_BY_LEVEL, write_figures
from ukdsl_assets.evidence.studies import item_page_experiment as study
from ukdsl_assets.evidence.summary import result_of
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.evidence.worlds.item_page_experiment import pages_without_experiment, run_experiment
from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, probabilities, top

WORLD = ItemPageWorld(100)
EXPERIMENT = Experiment("test", {"static": 0.5, "other": 0.5})
PAGES = 1500


def static(views: PageViews, day: int) -> np.ndarray:
    return top(WORLD.static_configuration(views))


def best(views: PageViews, day: int) -> np.ndarray:
    return top(views.click)


def test_each_visitor_sees_the_pages_of_one_arm_and_the_truth_is_of_all_pages() -> None:
    held = run_experiment(WORLD, EXPERIMENT, {"static": static, "other": best}, range(2, 4), PAGES)
    rows = held.rows
    assert len(rows) == 2 * PAGES
    assert rows.group_by("visitor").agg(pl.col("arm").n_unique())["arm"].max() == 1
    assert rows["arm"].equals(EXPERIMENT.arms_of(rows["visitor"]))
    views = [WORLD.page_views(day, PAGES) for day in (2, 3)]
    for arm, order in (("static", static), ("other", best)):
        click = [probabilities(each, order(each, 0))[0].sum(1).mean() for each in views]
        assert held.truth[arm]["click"] == pytest.approx(np.mean(click), rel=1e-6)
    # An arm's pages are what the world does with its order on a day that it serves alone.
    alone = pages_without_experiment(WORLD, static, range(2, 4), PAGES)
    of_static = rows["arm"] == "static"
    assert rows.drop("arm").filter(of_static).equals(alone.filter(of_static))
    assert not rows.drop("arm").filter(~of_static).equals(alone.filter(~of_static))


@pytest.mark.slow
def test_a_small_study_is_the_same_again_and_has_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "LEVELS", (0.5,))
    small = {"days": 1, "pages": 400, "before": 1, "planned": 2, "visits": 1200}
    settings = settings_of(study.STUDY, 100, small)
    told: list[tuple[int, int]] = []
    rows = study.measure(settings, tmp_path, lambda done, steps: told.append((done, steps)))
    assert told == [(1, 1)]
    told_of = [(line["personalisation"], line["per page"]) for line in rows["lift"]]
    assert told_of == [("0.50", "click"), ("0.50", "purchase")]
    for line in rows["lift"]:
        assert line["low"] < line["lift"] < line["high"]
        assert np.isfinite([line["true lift"], line["one order"]]).all()
    result = result_of(study.STUDY, [Unit(settings, rows, 1.0, 1.0)], "ukdsl evidence item-page-experiment")
    first, second = (write_figures([result], tmp_path / name) for name in ("first", "second"))
    assert [path.name for path in first] == [LIFT_BY_LEVEL]
    assert first[0].read_bytes() == second[0].read_bytes()
