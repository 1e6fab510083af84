"""In-memory rows are the rows of the graph's tables."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tests.fixtures.sql_tables import ADS, DAY, run_all
from tests.fixtures.worlds import SEED, WORLD, barely_warmed_up
from ukdsl_assets.declaration.columns import truth_column
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared, warmed_up
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.logs import candidate_log, event_log, midnight_of
from ukdsl_assets.simulation.ads.production import ProductionModels


def test_rows_are_those_that_the_sql_models_make_of_the_logs(tmp_path: Path) -> None:
    cascade, student = declared()
    served = simulate_day(WORLD, ProductionModels(SEED, -1), 0, 150)
    midnight = midnight_of(DAY)
    logs = DayOfLogs(
        candidate_log(served, midnight, candidate_log_dtypes(ADS)),
        event_log(served, midnight, midnight + timedelta(days=2)),
    )
    expected = run_all(tmp_path, logs, cascade, student)["teacher_augmented"]
    rows = augmented(served, cascade, student)
    same = [name for name in rows.columns if name in expected.columns]
    assert set(expected.columns) - set(same) == {"requested_at", "propensity", "teacher_version"}
    same.remove("teacher")  # there the name of who says so
    assert rows.select(same).equals(expected.select(same))
    logged = expected.select("request_id", "candidate_id").join(
        logs.candidate_log, on=["request_id", "candidate_id"], how="left", maintain_order="left"
    )
    assert rows["truth"].equals(logged[truth_column("click")], null_equal=True)
    assert rows["teacher"].equals(logged["ranking_click_prediction"])
    assert rows["own"].equals(logged["pre_ranking_click_prediction"])


def test_the_warm_up_is_taken_from_where_it_was_kept(tmp_path: Path) -> None:
    kept = barely_warmed_up(tmp_path)
    served, again = (simulate_day(WORLD, each, 0, 40) for each in (kept, warmed_up(WORLD, tmp_path)))
    assert np.array_equal(served.ranking_click, again.ranking_click)


def test_another_teacher_goes_along_with_its_rows() -> None:
    cascade, student = declared()
    served = simulate_day(WORLD, ProductionModels(SEED, -1), 0, 50)
    rows = augmented(served, cascade, student, averaged=served.ranking_click * 2)
    assert rows.select((pl.col("averaged") == pl.col("teacher") * 2).all()).item()
