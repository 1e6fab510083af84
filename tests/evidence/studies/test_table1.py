"""A small world through the whole study of Table 1."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.fixtures.worlds import SEED, WORLD, barely_warmed_up
from ukdsl_assets.declaration.columns import REJECTED
from ukdsl_assets.evidence.figures import OVER_PREDICTION, write_figures
from ukdsl_assets.evidence.studies.table1 import STUDY, measure, probed_rows
from ukdsl_assets.evidence.studies.table1_tables import COMPARED, CPU_CONTROL, LOGGED
from ukdsl_assets.evidence.summary import result_of, text_rows
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.evidence.worlds.judgement import NEXT_DAY, PLACES, SAME_DAY, WHENS
from ukdsl_assets.evidence.worlds.scored_days import scored
from ukdsl_assets.evidence.worlds.simulated_days import augmented, declared
from ukdsl_assets.simulation.ads.day import simulate_day

pytestmark = pytest.mark.slow
GIVEN: dict[str, Any] = {
    "requests": 300,
    "days": 3,
    "judged": 2,
    "arms": [
        "baseline",
        "equal-effort control",
        CPU_CONTROL,
        "Platt layer",
        "two heads, listwise",
        "teacher of 3 checkpoints",
    ],
}
Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    scratch: Path = tmp_path_factory.mktemp("scratch")
    barely_warmed_up(scratch)
    steps: list[tuple[int, int]] = []
    found = measure(settings_of(STUDY, SEED, GIVEN), scratch, lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    return found


@pytest.fixture(scope="module")
def result(rows: Tables) -> dict[str, Any]:
    return result_of(STUDY, [Unit(settings_of(STUDY, SEED, GIVEN), rows, 1, 1)], "ukdsl evidence table1")


def line(rows: list[dict[str, Any]], arm: str, **where: str) -> dict[str, Any]:
    (found,) = (row for row in rows if row["arm"] == arm and where.items() <= row.items())
    return found


def test_changes_are_against_the_baseline_and_against_the_controls(rows: Tables) -> None:
    for table, other in (("control", "equal-effort control"), ("cpu_control", CPU_CONTROL)):
        for domain, reference in COMPARED:
            column = f"{domain}, {reference}"
            assert line(rows["ne"], "baseline")[column] == 0
            assert line(rows[table], other)[column] == 0
            change = line(rows["ne"], "two heads, listwise")[column], line(rows["ne"], other)[column]
            against = line(rows[table], "two heads, listwise")[column]
            assert against == pytest.approx((1 + change[0]) / (1 + change[1]) - 1)


def test_every_arm_is_judged_at_both_moments_at_every_place(rows: Tables) -> None:
    keys = [(row["arm"], row["when"], (row["domain"], row["reference"])) for row in rows["figures"]]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(arm, when, place) for arm in (*GIVEN["arms"], *LOGGED) for when in WHENS for place in PLACES}
    counts = {row["domain"]: row["rows"] for row in rows["figures"]}
    assert counts["SCORED"] * 24 == counts["CD"] * 80 == counts["OWN"] * 80
    assert counts["IMP"] * 4 == counts["CD"]
    for when in WHENS:
        base = line(rows["figures"], "baseline", when=when, domain="SCORED", reference="truth")
        mine = line(rows["figures"], "two heads, listwise", when=when, domain="SCORED", reference="truth")
        assert base["ne_change"] == 0
        assert mine["ne_change"] == pytest.approx(mine["ne"] / base["ne"] - 1)


def test_what_was_logged_is_the_same_at_both_moments_and_what_is_trained_is_not(rows: Tables) -> None:
    for arm, differs in ((next(iter(LOGGED)), False), ("two heads, listwise", True)):
        same, following = (
            line(rows["figures"], arm, when=when, domain="IMP", reference="label")["calibration"] for when in WHENS
        )
        assert (same != following) == differs


def test_shown_rows_and_those_that_the_next_stage_scored_are_judged_as_the_evaluation_judges_them(rows: Tables) -> None:
    two = line(rows["calibration"], "two heads, listwise")
    assert two["heads (IMP, CD)"] == "impression, consideration"
    for head, data, against in (("impression", "IMP", "label"), ("consideration", "CD", "truth")):
        of_head = line(rows["heads"], "two heads, listwise", head=head, data=data, against=against)
        assert two[f"{data}, {against}"] == pytest.approx(of_head["calibration"])
        mine = line(rows["figures"], "two heads, listwise", when=SAME_DAY, domain=data, reference=against)
        assert mine["ne"] == pytest.approx(of_head["ne"])


def test_the_teacher_agrees_with_itself_and_the_platt_layer_keeps_the_controls_impressions(rows: Tables) -> None:
    teacher = line(rows["calibration"], "ranking as logged (the teacher)")
    assert teacher["CD, teacher"] == 1
    assert line(rows["figures"], teacher["arm"], when=NEXT_DAY, domain="SCORED", reference="teacher")[
        "calibration"
    ] == pytest.approx(1)
    control, layer = (line(rows["calibration"], arm) for arm in ("equal-effort control", "Platt layer"))
    assert control["IMP, label"] == layer["IMP, label"]
    # Fitted on the days' other requests, of which so few agree with these to a tenth only.
    assert layer["CD, teacher"] == pytest.approx(1, abs=0.1)


def test_the_parts_of_over_prediction_add_up(rows: Tables) -> None:
    assert {row["arm"] for row in rows["parts"]} == {*GIVEN["arms"], *LOGGED}
    for row in rows["parts"]:
        whole = row["shown rows"] + row["used on what was not shown"] + row["winner's curse, net"]
        assert whole == pytest.approx(row["its own choice"])
        assert row["its own choice"] == line(rows["next_day"], row["arm"])["OWN, truth"]


def test_every_table_has_a_line_for_each_arm(result: dict[str, Any]) -> None:
    for table in result["tables"]:
        cells = list(text_rows(table))
        assert {cell[0] for cell in cells} >= {*GIVEN["arms"], "pre-ranking as logged"}
        assert all(len(cell) == len(table["keys"]) + len(table["figures"]) for cell in cells)


def test_probes_join_the_training_rows_of_the_arms_that_ask_for_them(tmp_path: Path) -> None:
    models = barely_warmed_up(tmp_path)
    served = simulate_day(WORLD, models, 0, 40)
    cascade, student = declared()
    everything, trained = scored(served, models, cascade, student), augmented(served, cascade, student)
    assert probed_rows(trained, everything, 0.0) is trained
    assert probed_rows(trained, None, 0.0) is trained
    rows = probed_rows(trained, everything, 0.1)
    assert len(rows.filter(domain=REJECTED)) == pytest.approx(40 * 56 * 0.1, abs=60)
    assert rows.filter(pl.col("domain") != REJECTED).equals(trained)


def test_the_picture_of_the_parts_is_written_and_the_same_twice(result: dict[str, Any], tmp_path: Path) -> None:
    first, second = (write_figures([result], tmp_path / name) for name in ("first", "second"))
    assert [path.name for path in first] == [OVER_PREDICTION]
    assert first[0].read_bytes() == second[0].read_bytes()
    nothing = {**result, "tables": [{**table, "lines": []} for table in result["tables"]]}
    assert write_figures([nothing], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
