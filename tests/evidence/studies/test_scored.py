"""A small world through the whole study of what pre-ranking scores."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.worlds import SEED, barely_warmed_up
from ukdsl_assets.evidence.studies.scored import (
    NEXT,
    PRODUCTION,
    SAME,
    STUDY,
    TEACHER,
    TODAY,
    WITHOUT,
    measure,
)
from ukdsl_assets.evidence.summary import result_of
from ukdsl_assets.evidence.units import Unit, settings_of

pytestmark = pytest.mark.slow
GIVEN: dict[str, Any] = {"requests": 250, "days": 2, "judged": 1, "percents": [0, 2], "naive": [2]}
Found = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Found:
    scratch: Path = tmp_path_factory.mktemp("scratch")
    barely_warmed_up(scratch)
    return measure(settings_of(STUDY, SEED, GIVEN), scratch, lambda *_: None)


def line(rows: Found, table: str, arm: str, when: str) -> dict[str, Any]:
    (found,) = (row for row in rows[table] if (row["arm"], row["when"]) == (arm, when))
    return found


def test_the_teacher_agrees_with_itself_everywhere_and_production_picks_what_went_on(rows: Found) -> None:
    for when in (SAME, NEXT):
        teacher, production = (line(rows, "level", arm, when) for arm in (TEACHER, PRODUCTION))
        assert all(teacher[f"{place}, teacher"] == 1 for place in ("SCORED", "OWN", "CD", "REJECTED"))
        assert production["OWN, truth"] == production["CD, truth"]


def test_changes_are_against_production_no_probes_and_two_heads(rows: Found) -> None:
    own, without, production = (line(rows, "choice", arm, NEXT) for arm in ("2% of probes", WITHOUT, PRODUCTION))
    assert own["recall less production's"] == pytest.approx(own["recall"] - production["recall"])
    assert own["value less no probes's"] == pytest.approx(own["value"] - without["value"])
    assert without["NE against no probes"] == 0
    assert line(rows, "today", TODAY, SAME)["IMP NE against two heads"] == 0


def test_probes_bring_the_level_on_all_that_was_scored_nearer_to_the_teachers(rows: Found) -> None:
    with_probes, without = (line(rows, "level", arm, SAME)["SCORED, teacher"] for arm in ("2% of probes", WITHOUT))
    assert abs(with_probes - 1) < abs(without - 1)


def test_the_cost_is_that_of_the_rejected_rows_that_are_labelled(rows: Found) -> None:
    costs = {row["arm"]: row for row in rows["cost"]}
    assert costs["2% of probes"]["ranking calls"] == pytest.approx(0.02 * 56 / 24)
    extra = costs["2% of probes"]["rows a day"] - costs[WITHOUT]["rows a day"]
    # Four fifths of the requests are trained on.
    assert extra == pytest.approx(0.8 * costs["2% of probes"]["probes a day"], rel=0.3)
    assert costs[WITHOUT]["ranking calls"] == 0


def test_every_aim_has_its_figure(rows: Found) -> None:
    result = result_of(STUDY, [Unit(settings_of(STUDY, SEED, GIVEN), rows, 1, 1)], "ukdsl evidence scored")
    assert [aim["claim"] for aim in result["aims"]] == [aim.claim for aim in STUDY.aims]
