"""Orders of an item page's modules, and a small world through the study."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.evidence.studies.item_page import DISTILLED, STATIC, STUDY, TRUTH, earned, measure
from ukdsl_assets.evidence.units import settings_of
from ukdsl_assets.evidence.worlds.module_rankers import PRIOR_CLICKS, click_rates, labelled_modules
from ukdsl_assets.simulation.item_page import ItemPageWorld, probabilities

pytestmark = pytest.mark.slow
WORLD = ItemPageWorld(100)


def test_labels_are_of_what_was_shown_and_purchases_of_what_was_clicked() -> None:
    served = WORLD.serve(0, 300, WORLD.static_configuration)
    rows = labelled_modules(served, 0)
    assert rows.filter(pl.col("click").is_not_null()).equals(rows.filter("shown"))
    assert rows["click"].sum() == served.clicked.sum()
    assert rows.filter(pl.col("purchase").is_not_null()).equals(rows.filter(click=1))
    assert rows["purchase"].sum() == served.purchased.sum()


def test_click_rates_are_those_counted_row_by_row() -> None:
    rows = labelled_modules(WORLD.serve(0, 400, WORLD.static_configuration), 0).filter("shown")
    of_slot = {slot: rows.filter(slot=slot)["click"].mean() for slot in range(1, 7)}
    clicks, expected = np.zeros((24, 16)), np.zeros((24, 16))
    for row in rows.iter_rows(named=True):
        clicks[row["item_category"], row["module"] - 1] += row["click"]
        expected[row["item_category"], row["module"] - 1] += of_slot[row["slot"]]
    rate = clicks.sum(0) / expected.sum(0)
    found = click_rates(rows)
    np.testing.assert_allclose(found, (clicks + PRIOR_CLICKS * rate) / (expected + PRIOR_CLICKS))


def test_what_is_earned_is_expected_in_the_slots_of_each_order() -> None:
    views = [WORLD.page_views(day, 200) for day in (0, 1)]
    shapes = [each.modules.shape for each in views]
    truth = [{"click": 1 / (1 + np.exp(-each.click)), "purchase": 1 / (1 + np.exp(-each.purchase))} for each in views]
    first = [{"click": -np.tile(np.arange(12.0), (shape[0], 1)), "purchase": np.ones(shape)} for shape in shapes]
    lines = earned(views, {STATIC: first, "labels alone": first, TRUTH: truth})
    by = {(line["arm"], line["ordered by"]): line for line in lines}
    assert by.keys() == {(STATIC, "click"), *(("labels alone", t) for t in ("click", "purchase"))} | {
        (TRUTH, "click"),
        (TRUTH, "purchase"),
    }
    clicks = [probabilities(each, np.tile(np.arange(6), (200, 1)))[0].sum(1).mean() for each in views]
    assert by[STATIC, "click"]["clicks"] == pytest.approx(np.mean(clicks))
    assert by["labels alone", "click"]["clicks vs static"] == 0
    # Nothing earns more of what it is ordered by than the truth.
    assert by[TRUTH, "click"]["clicks"] >= by[TRUTH, "purchase"]["clicks"] > by[STATIC, "click"]["clicks"]
    assert by[TRUTH, "purchase"]["purchases"] >= by[TRUTH, "click"]["purchases"] > by[STATIC, "click"]["purchases"]


def test_a_small_world_through_the_study_is_the_same_again(tmp_path: Path) -> None:
    settings = settings_of(STUDY, 100, {"pages": 400, "days": 2, "judged": 1, "own": 1})
    told: list[tuple[int, int]] = []
    rows = measure(settings, tmp_path, lambda done, steps: told.append((done, steps)))
    assert told == [(step, 5) for step in range(1, 6)]
    assert rows == measure(settings, tmp_path, lambda done, steps: None)
    for table in STUDY.tables:
        lines = rows[table.name]
        assert all(np.isfinite(line[name]) for line in lines for name in table.figures)
        assert DISTILLED in {line["arm"] for line in lines}
    for aim in STUDY.aims:
        assert [line for line in rows[aim.table] if aim.line.items() <= line.items()]
