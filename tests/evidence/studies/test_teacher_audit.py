"""A small world through the whole study, and its rows against those of the graph's SQL."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.worlds import SEED, barely_warmed_up
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.studies.teacher_audit import STUDY, Followed, explored_predictions, measure, taught_rows
from ukdsl_assets.evidence.summary import result_of, text_rows
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.evidence.worlds.simulated_days import scale_of, warmed_up
from ukdsl_assets.logs.contract import candidate_log_dtypes
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import candidate_log, midnight_of
from ukdsl_assets.simulation.ads.world import World

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("scratch")
    barely_warmed_up(folder)
    return folder


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return read_cascade(SHIPPED / "simulated_ads.yaml")


@pytest.fixture(scope="module")
def served(scratch: Path) -> SimulatedDay:
    world = World(SEED)
    return simulate_day(world, warmed_up(world, scratch), 0, scale_of(400).requests)


@pytest.fixture(scope="module")
def log(served: SimulatedDay, cascade: Cascade) -> pl.DataFrame:
    return candidate_log(served, midnight_of(DAY), [*candidate_log_dtypes(cascade)])


@pytest.mark.parametrize("stage", ["pre_ranking", "ranking"])
def test_explored_rows_are_those_of_the_log(
    served: SimulatedDay, cascade: Cascade, log: pl.DataFrame, stage: str
) -> None:
    rows = explored_predictions(served, cascade, stage, DAY)
    assert 0 < rows["request_id"].n_unique() < served.explored.sum()
    said = log.filter("explored").select("request_id", prediction=f"{stage}_click_prediction")
    expected = said.filter(pl.col("request_id").is_in(rows["request_id"].implode()))
    for frame, column in ((rows, "click_prediction"), (expected, "prediction")):
        assert frame[column].null_count() == 0
    assert rows["click_prediction"].sort().equals(expected["prediction"].sort(), check_names=False)
    assert (rows["propensity"] == 0.25).all()


@pytest.mark.parametrize("student", ["retrieval_click", "pre_ranking_click"])
def test_taught_rows_stand_for_all_that_the_teachers_stage_scored(
    served: SimulatedDay, cascade: Cascade, log: pl.DataFrame, student: str
) -> None:
    declared = cascade.student(student)
    stage = cascade.teacher(declared.teacher).stage
    rows = taught_rows(served, cascade, declared, stage)
    considered, shown = rows.filter(domain="CD"), rows.filter(domain="IMP")
    keys, column = ["request_id", "candidate_id"], f"{stage}_click_prediction"
    scored = log.filter(pl.col(column).is_not_null()).select(*keys, column, "audit_true_click", "ad")
    assert considered.join(scored, on=keys, how="anti").is_empty()
    joined = considered.join(scored, on=keys, how="inner", suffix=" logged")
    assert joined["target"].equals(joined[column], check_names=False)
    assert joined["truth"].equals(joined["audit_true_click"], check_names=False)
    assert joined["ad"].equals(joined["ad logged"], check_names=False)
    assert considered["weight"].sum() == pytest.approx(len(scored), rel=0.02)
    assert shown.select(keys).sort(keys).equals(log.filter("shown").select(keys).sort(keys))
    assert np.isin(shown["target"].to_numpy(), (0, 1)).all()


@pytest.mark.parametrize("shift", [-0.4, 0.4])
def test_a_correction_moves_teacher_and_student_against_the_truth_as_it_moves_logits(
    served: SimulatedDay, cascade: Cascade, shift: float
) -> None:
    pair = Followed(cascade, cascade.student("pre_ranking_click"))
    pair.audit(served)
    assert pair.audit_row["not_corrected"]
    pair.audit_row = {**pair.audit_row, "correction": shift}
    pair.train(served, judged=True)
    teacher = pair.of_teacher()
    assert teacher["shift"] == shift
    assert np.log(teacher["after"] / teacher["before"]) == pytest.approx(shift, rel=0.1)
    logged, corrected = pair.of_student()
    assert np.sign(corrected["CD, truth"] - logged["CD, truth"]) == np.sign(shift)


def test_a_small_study_measures_both_teachers_and_both_students(scratch: Path) -> None:
    settings = settings_of(STUDY, SEED, {"requests": 400, "days": 3, "trained": 2, "judged": 1})
    steps: list[tuple[int, int]] = []
    rows: dict[str, list[dict[str, Any]]] = measure(settings, scratch, lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert [row["teacher"] for row in rows["teacher"]] == ["pre_ranking_logged", "ranking_logged"]
    for row in rows["teacher"]:
        # So few explored requests correct nothing.
        assert row["shift"] == 0
        assert row["after"] == pytest.approx(row["before"])
    assert [row["CD NE, truth"] for row in rows["student"] if row["teacher"] == "as logged"] == [0, 0]
    result = result_of(STUDY, [Unit(settings, rows, 1.0, 1.0)], "the command")
    assert [len(list(text_rows(table))) for table in result["tables"]] == [2, 4]
