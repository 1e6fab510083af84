"""The simulated item page through the whole graph: what only shown modules have, and whom labels are about."""

from datetime import date

import dagster as dg
import polars as pl
import pytest

from tests.fixtures.graph import checks, failures, run_day, shipped, small
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.gates import RULES
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)
CASCADE = shipped("simulated_item_page")
STUDENT = ("simulated_item_page", "module_click")
Ran = tuple[Settings, dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    settings = small(tmp_path_factory.mktemp("lake"), shards=2)
    return settings, run_day(settings, CASCADE, DAY)


def test_a_day_succeeds_and_its_log_and_tables_pass_their_checks(ran: Ran) -> None:
    assert not failures(ran[1])
    verdicts = checks(ran[1])
    # A small day teaches little: its students may be refused, its tables may not.
    may_fail = {
        (f"simulated_item_page/{student.name}/{asset}", check)
        for student in CASCADE.students
        for asset, names in {"evaluation": RULES, "release": ("all_gates_passed",)}.items()
        for check in names
    }
    assert may_fail <= verdicts.keys()
    assert {check for check, passed in verdicts.items() if not passed} <= may_fail


def test_a_student_is_released_exactly_where_its_gates_passed(ran: Ran) -> None:
    verdicts = checks(ran[1])
    for student in CASCADE.students:
        asset = f"simulated_item_page/{student.name}"
        passed = all(verdicts[f"{asset}/evaluation", gate] for gate in RULES)
        assert verdicts[f"{asset}/release", "all_gates_passed"] == passed


def test_labels_of_shown_modules_keep_their_slot_and_the_teachers_have_none(ran: Ran) -> None:
    lake = Lake(ran[0].tables)
    rows = lake.scan((*STUDENT, "teacher_augmented"), [DAY]).collect()
    impressions = lake.scan(("simulated_item_page", "impressions"), [DAY]).collect()
    keys = ["request_id", "candidate_id"]
    labelled = rows.filter(domain="IMP").select(*keys, "slot").sort(keys)
    assert labelled.equals(impressions.select(*keys, "slot").sort(keys))
    assert set(labelled["slot"]) == {1, 2, 3, 4, 5, 6}
    taught = rows.filter(domain="CD")
    assert len(taught) == 500 * 12
    assert taught["slot"].is_null().all()


def test_a_teacher_that_speaks_of_the_first_slot_is_judged_by_labels_there(ran: Ran) -> None:
    impressions = Lake(ran[0].tables).scan(("simulated_item_page", "impressions"), [DAY]).collect()
    held = impressions.filter(withheld(impressions["request_id"], CASCADE.withheld_share))
    (said,) = (
        each
        for each in ran[1].get_asset_check_evaluations()
        if each.check_name == "click_calibrated_on_withheld_impressions"
    )
    seen = said.metadata["rows"].value
    assert seen == held.filter(pl.col("slot") == 1).height
