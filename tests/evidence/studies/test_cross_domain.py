"""The frames of the cross-domain studies against the sources they stand for, and all arms on a tiny pair."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.studies.cross_domain import (
    ARMS,
    NONE,
    STUDY,
    SourceModels,
    recalibrated_by_labels,
    students,
    surface_rows,
)
from ukdsl_assets.evidence.studies.cross_domain_simulated import STUDY as SIMULATED
from ukdsl_assets.evidence.worlds.cross_domain_rows import KEYS, Surface, labelled_candidates, resampled, shown_rows
from ukdsl_assets.learning.metrics.calibration import calibration
from ukdsl_assets.logs.contract import candidate_log_dtypes
from ukdsl_assets.simulation.ads.day import SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import candidate_log, event_log, midnight_of
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.world import World

pytestmark = pytest.mark.slow
ADS = read_cascade(SHIPPED / "simulated_ads.yaml")
SMALL = read_cascade(SHIPPED / "simulated_small_surface.yaml")
MIDNIGHT = midnight_of(ADS.first_day)


@pytest.fixture(scope="module")
def served() -> SimulatedDay:
    return simulate_day(World(100), ProductionModels(100, -1), 0, 400)


def test_shown_rows_are_those_of_the_log_with_their_labels(served: SimulatedDay) -> None:
    log = candidate_log(served, MIDNIGHT, candidate_log_dtypes(ADS))
    expected = labelled_candidates(ADS, log, event_log(served, MIDNIGHT, MIDNIGHT + timedelta(days=30))).filter("shown")
    seen = shown_rows(served)
    assert_frame_equal(seen, expected.select(seen.columns))
    assert 0 < seen["click"].sum() < len(seen)
    assert seen.filter(click=1)["conversion"].null_count() == 0
    assert seen.filter(click=0)["conversion"].null_count() == seen.filter(click=0).height


def test_users_are_drawn_with_all_their_rows_and_alike_on_every_surface() -> None:
    users = np.repeat(np.arange(500), 3)
    rows = pl.DataFrame({"request_id": np.arange(1500) // 2, "candidate_id": np.arange(1500), "user_id": users})
    drawn = resampled(rows, 7)
    counts = drawn.group_by("user_id").len()
    assert (counts["len"] % 3 == 0).all()
    assert len(drawn) == pytest.approx(1500, rel=0.15)
    assert not drawn.select(KEYS).is_duplicated().any()
    other = resampled(rows.filter(pl.col("user_id") % 2 == 0), 7)
    assert_frame_equal(
        other.select("user_id").sort("user_id"),
        drawn.filter(pl.col("user_id") % 2 == 0).select("user_id").sort("user_id"),
    )
    assert not resampled(rows, 8).equals(drawn)


@pytest.fixture(scope="module")
def surface(served: SimulatedDay) -> Surface:
    """The small surface's columns of the same day, halves to train on and to judge."""
    assert SMALL.source.surface is not None  # type: ignore[union-attr]
    names = {name: SMALL.source.surface.columns.get(name, name) for name in candidate_log_dtypes(SMALL)}  # type: ignore[union-attr]
    log = candidate_log(served, MIDNIGHT, names.values()).rename({there: here for here, there in names.items()})
    rows = labelled_candidates(SMALL, log, event_log(served, MIDNIGHT, MIDNIGHT + timedelta(days=30)))
    ranked = rows.filter(deepest_stage="ranking")
    half = pl.col("request_id") % 2 == 0
    return Surface(SMALL, ranked.filter(half), ranked.filter(~half))


def test_every_arm_is_compared_with_the_baseline_on_labels_and_on_the_truth(
    served: SimulatedDay, surface: Surface
) -> None:
    settings = {**SIMULATED.defaults, "epochs": 1, "requests_per_batch": 64}
    teacher = SourceModels(ADS, shown_rows(served), trees=5)
    tables = surface_rows("tiny", teacher, surface, settings)
    assert [row["task"] for row in tables["teachers"]] == ["click", "conversion"]
    names = [student.name for student in students(SMALL, settings)]
    for table in ("impressions", "considered"):
        lines = [(row["student"], row["arm"]) for row in tables[table]]
        assert lines == [(name, arm) for name in names for arm in (NONE, *ARMS)]
        baselines = {row["student"]: row["NE"] for row in tables[table] if row["arm"] == NONE}
        for row in tables[table]:
            assert ("NE change" in row) == (row["arm"] != NONE)
            if row["arm"] != NONE:
                assert row["NE change"] == pytest.approx(row["NE"] / baselines[row["student"]] - 1)
                assert row["NE"] != baselines[row["student"]]


def test_a_recalibrated_teacher_has_the_level_of_the_surfaces_labels(surface: Surface) -> None:
    student = students(SMALL, SIMULATED.defaults)[0]
    said = (pl.col("truth").fill_null(0.02) * 3).clip(0, 0.9).cast(pl.Float32)
    rows = recalibrated_by_labels(student, surface.train.with_columns(click_prediction=said)).filter("shown")
    assert calibration(rows["click_prediction"].to_numpy(), rows["click"].to_numpy()) == pytest.approx(1, abs=1e-3)


def test_aims_name_lines_that_the_studies_have() -> None:
    for study in (STUDY, SIMULATED):
        assert {aim.line["arm"] for aim in study.aims} <= set(ARMS)
        assert all(aim.figure in study.tables[1].figures for aim in study.aims)
