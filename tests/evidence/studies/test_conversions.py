"""A small world through the whole study of conversions, and what its arms do to rows."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fixtures.worlds import SEED, WORLD, barely_warmed_up
from ukdsl_assets.declaration.columns import GIVEN_PROBABILITY
from ukdsl_assets.evidence.studies.conversions import PLACES, STUDY, TEACHER, measure
from ukdsl_assets.evidence.units import settings_of
from ukdsl_assets.evidence.worlds.conversion_arms import ARMS, doubly_robust, entire_space
from ukdsl_assets.evidence.worlds.conversion_rows import click_and_conversion, conversion_rows, known_delays
from ukdsl_assets.evidence.worlds.simulated_days import declared
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.simulation.ads.day import simulate_day
from ukdsl_assets.simulation.ads.production import ProductionModels

pytestmark = pytest.mark.slow
GIVEN: dict[str, Any] = {"requests": 300, "days": 2, "judged": 1}
GIVEN["arms"] = ["baseline", "rows alike", "rows by clicks", "doubly robust by clicks (ESCM2-DR), one head"]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    models = ProductionModels(SEED, -1)
    cascade, click = declared()
    served = simulate_day(WORLD, models, 0, 1000)
    return click_and_conversion(served, cascade, click, known_delays(WORLD, models, 1000))


def test_every_arm_has_a_line_for_each_use_and_the_teacher_agrees_with_itself(tmp_path: Path) -> None:
    barely_warmed_up(tmp_path)
    found = measure(settings_of(STUDY, SEED, GIVEN), tmp_path, lambda *step: None)
    for table in ("calibration", "ne", "alike"):
        assert [row["arm"] for row in found[table]] == [*GIVEN["arms"], TEACHER]
        assert all(f"{domain}, {reference}" in row for row in found[table] for domain, reference in PLACES)
    teacher = found["calibration"][-1]
    assert teacher["CD, teacher"] == pytest.approx(1)
    assert teacher["GIVEN, teacher"] == pytest.approx(1)
    assert all(found["ne"][0][f"{domain}, {against}"] == 0 for domain, against in PLACES if against != "label")
    assert found["alike"][1]["GIVEN, truth"] == 0
    # What serves differs by what rows weigh.
    alike, by_clicks = (row["GIVEN, teacher"] for row in found["calibration"][1:3])
    assert alike != by_clicks


def test_conversions_are_learnt_from_clicked_impressions_and_all_considered_rows(rows: pl.DataFrame) -> None:
    learnt = conversion_rows(rows)
    shown, considered = learnt.filter(domain="IMP"), learnt.filter(domain="CD")
    assert len(shown) == rows.filter(domain="IMP")["clicked"].sum()
    assert len(considered) == 1000 * 24
    assert considered["target"].equals(rows.filter(domain="CD")["conversion_teacher"])
    assert considered[GIVEN_PROBABILITY].equals(rows.filter(domain="CD")["teacher"])
    assert (shown["label_factor"] > 1).all()
    assert set(shown["target"]) <= {0, 1}


def test_objectives_over_the_entire_space_have_all_impressions_and_the_rate_of_their_conversions(
    rows: pl.DataFrame,
) -> None:
    shown = rows.filter(domain="IMP")
    seen = (shown["converted"] * shown["label_factor"]).sum()
    product = entire_space(rows).filter(domain="IMP")
    assert len(product) == len(shown) == 6000
    # Weight times target is the label itself.
    assert (product["weight"] * corrected_target(product)).sum() == pytest.approx(seen, rel=1e-4)
    robust = doubly_robust(rows).filter(domain="IMP")
    clicked = (shown["clicked"] / shown["teacher"].clip(0.01)).to_numpy()
    missed = (shown["converted"] * shown["label_factor"] - shown["conversion_teacher"]).to_numpy()
    expected = shown["conversion_teacher"].to_numpy() + clicked * missed
    assert corrected_target(robust) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_arms_differ_from_the_shipped_student_in_what_they_say() -> None:
    conversion = declared()[0].student("pre_ranking_conversion")
    assert ARMS["rows by clicks"].of(conversion) == conversion
    assert ARMS["rows alike"].of(conversion).loss.considered_rows == "alike"
