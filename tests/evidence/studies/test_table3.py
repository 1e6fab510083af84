"""Rows of the last stage as the graph's tables hold them, and the arms' tables of a tiny world."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.sql_tables import DAY, run_all
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import LoggedTeacher
from ukdsl_assets.evidence.studies.table3 import ARMS, BASELINE, BOTH, STUDY, TEACHER, tables_of
from ukdsl_assets.evidence.worlds.ranked_days import KEYS, augmented, ranked
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

pytestmark = pytest.mark.slow
CASCADE = read_cascade(SHIPPED / "simulated_last_stage.yaml")
STUDENT = CASCADE.student("ranking_click")


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return ranked(simulate_day(World(3), ProductionModels(3, -1), 0, 200), CASCADE)


def test_labels_are_of_shown_rows_and_a_conversions_of_clicked_ones(rows: pl.DataFrame) -> None:
    assert rows.height == 200 * 24
    assert rows.filter("shown").height == 200 * 6
    assert rows.filter(pl.col("click").is_not_null() != pl.col("shown")).is_empty()
    clicked = pl.col("click").fill_null(0) == 1
    assert rows.filter(pl.col("conversion").is_not_null() != clicked).is_empty()
    assert rows.filter(clicked).height > 10


def test_augmented_rows_are_those_of_the_sql_model(tmp_path: Path) -> None:
    # Of random logs, with the logged teacher's labels in the place of a foundation teacher's.
    logs = make_logs(CASCADE, DAY, 60)
    declared = STUDENT.model_copy(update={"teacher": "logged"})
    logged = LoggedTeacher(name="logged", kind="logged", stage="ranking")
    cascade = CASCADE.model_copy(update={"teachers": (logged,), "students": (declared,)})
    tables = run_all(tmp_path, logs, cascade, cascade.students[0])
    every = pl.concat([tables["impressions"], tables["considerations"]], how="diagonal_relaxed")
    every = every.filter(deepest_stage="ranking").sort(KEYS)
    labels = every.select(*KEYS, click_prediction="ranking_click_prediction")
    with_truth = every.with_columns(audit_true_click=pl.lit(0.5, pl.Float32))
    made = augmented(with_truth, labels, STUDENT)
    expected = tables["teacher_augmented"]
    columns = [*KEYS, "domain", "target"]
    assert made.select(columns).equals(expected.select(columns))


def test_each_arm_is_compared_with_the_baseline_and_both_tasks_with_each_alone(rows: pl.DataFrame) -> None:
    labels = rows.select(*KEYS, click_prediction="ranking_click_prediction")
    held = augmented(rows, labels, STUDENT)
    truth = held["truth"].to_numpy()
    constant = np.full_like(truth, 0.03)
    better = {name: truth if name in (BOTH, TEACHER) else constant for name in [*ARMS, TEACHER]}
    predictions = {(name, "impression"): p for name, p in better.items()}
    judged = evaluate(held, {("baseline", "impression"): constant, **predictions}).filter(pl.col("arm") != "baseline")
    made = tables_of(judged, dict.fromkeys([*ARMS, TEACHER], 1.0))
    assert made.keys() == {table.name for table in STUDY.tables}
    change = {row["arm"]: row["IMP, truth"] for row in made["ne"]}
    assert change[BASELINE] == 0 > change[BOTH]
    against = {row["arms"]: row["IMP, truth"] for row in made["both"]}
    assert against[f"{BOTH} against dependent task only"] == pytest.approx(change[BOTH])
    for aim in STUDY.aims:
        (line,) = [row for row in made[aim.table] if aim.line.items() <= row.items()]
        assert line.keys() >= {aim.figure}
