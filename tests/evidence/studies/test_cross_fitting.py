"""A small world through the whole study; its rows are those of the log, with the clicks that the users gave."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.worlds import SEED, barely_warmed_up
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.studies.cross_fitting import STUDY, measure, ranked_rows
from ukdsl_assets.evidence.summary import result_of, text_rows
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.world import World

pytestmark = pytest.mark.slow


def test_rows_are_what_ranking_scored_and_clicks_are_of_what_was_shown(tmp_path: Path) -> None:
    served = simulate_day(World(SEED), barely_warmed_up(tmp_path), 0, 300)
    rows = ranked_rows(served, read_cascade(SHIPPED / "simulated_ads.yaml"))
    assert len(rows) == served.ranked.size
    assert rows["click"].is_null().equals(~rows["shown"], check_names=False)
    assert rows["click"].sum() == served.outcomes.clicked.sum()
    # In the log's order of requests: clicks of each stand with its own rows.
    by_request = rows.group_by("request_id").agg(pl.col("click").sum()).sort("request_id")["click"].to_numpy()
    assert np.array_equal(by_request, served.outcomes.clicked.sum(axis=1))


def test_a_small_study_judges_both_arms_on_all_four_parts(tmp_path: Path) -> None:
    barely_warmed_up(tmp_path)
    settings = settings_of(STUDY, SEED, {"requests": 400, "days": 2})
    rows = measure(settings, tmp_path, lambda done, of: None)
    assert len(rows["labels"]) == 8
    figures = {(row["folds"], row["requests"], row["rows"]): row for row in rows["labels"]}
    # Withheld requests are labelled by the same trees in both arms.
    for part in ("shown", "not shown"):
        none, five = (figures[arm, "withheld", part] for arm in ("none", "five"))
        assert none["NE, truth"] == five["NE, truth"]
        assert figures["none", "trained on", part]["NE, truth"] != figures["five", "trained on", part]["NE, truth"]
    result = result_of(STUDY, [Unit(settings, rows, 1.0, 1.0)], "the command")
    assert [len(list(text_rows(table))) for table in result["tables"]] == [8]
