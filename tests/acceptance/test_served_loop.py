"""Pages that the real server made become the logs of a day, and what the day releases makes the next day's pages."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks.serving.loop import declared, environment_of, logged_rows, released_now, run_day, server, wait
from benchmarks.serving.visitors import a_day
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import Settings
from ukdsl_assets.simulation.item_page import ItemPageWorld

pytestmark = pytest.mark.slow
PAGES, MODULES, SLOTS = 1_500, 12, 6


def test_a_day_of_served_pages_is_logged_made_released_and_served(tmp_path: Path) -> None:
    # Clicks alone: so few pages have too few purchases for a verdict.
    cascade, world = declared(tmp_path, value={"module_click": 1.0}), ItemPageWorld(41)
    environment = environment_of(tmp_path)
    day, nobody = cascade.first_day, [False] * PAGES
    with server(tmp_path, environment) as port:
        first = a_day(port, cascade, world, day, PAGES, nobody)
        assert (first.refused, set(first.rows["why"])) == (0, {"no model"})
        wait(lambda: logged_rows(port) >= PAGES * MODULES, "the logs")

        decisions = run_day(tmp_path, day, environment)
        assert decisions["module_click"] == "released"
        version = released_now(port, cascade)["module_click"]
        second = a_day(port, cascade, world, day + timedelta(days=1), 100, nobody)

    lake = Lake(Settings(lake=environment["UKDSL_LAKE"]).tables)
    candidates = lake.scan((cascade.name, "candidate_log"), [day]).collect()
    assert (len(candidates), candidates["shown"].sum()) == (PAGES * MODULES, PAGES * SLOTS)
    assert candidates.filter("explored")["request_id"].n_unique() == first.rows["explored"].sum() > 0
    impressions = lake.scan((cascade.name, "impressions"), [day]).select(pl.col("click", "purchase").sum()).collect()
    assert impressions.row(0) == (first.rows["click"].sum(), first.rows["purchase"].sum())
    # What was released in between makes every page of the next day.
    assert version is not None
    assert set(second.rows["module_click"]) == {version}
    assert set(second.rows["why"]) == {None}
