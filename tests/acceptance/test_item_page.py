"""The simulated item page through the whole graph: what only shown modules have, and whom labels are about."""

from datetime import date

import dagster as dg
import polars as pl
import pytest

from tests.fixtures.graph import checks, failures, run_day, shipped, small
from ukdsl_assets.declaration.corrections import BETTER_THAN_CONSTANT, ON_EXPLORATION
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.champion_gates import RULES as CHAMPION_RULES
from ukdsl_assets.learning.evaluation.gates import RULES
from ukdsl_assets.learning.evaluation.product_gates import product_rules
from ukdsl_assets.off_policy.gates import RULES as OFF_POLICY_RULES
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow
DAY = date(2026, 1, 1)
CASCADE = shipped("simulated_item_page")
STUDENT = ("simulated_item_page", "module_click")
GATES = {
    "evaluation": RULES,
    "champion": CHAMPION_RULES,
    "off_policy": OFF_POLICY_RULES,
    "release": ("all_gates_passed",),
}
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
        (f"simulated_item_page/{student.name}_{asset}", check)
        for student in CASCADE.students
        for asset, names in GATES.items()
        for check in names
    }
    assert may_fail <= verdicts.keys()
    # On few explored rows and conversions nothing is judged.
    audit = "simulated_item_page/foundation_audit"
    may_fail |= {(audit, f"{task.name}_agrees_on_exploration") for task in CASCADE.tasks}
    may_fail |= {
        (f"simulated_item_page/{student.name}_evaluation", check)
        for student in CASCADE.students
        for check in product_rules(CASCADE, student)
    }
    assert {check for check, passed in verdicts.items() if not passed} <= may_fail


def test_a_student_is_released_exactly_where_no_gate_refuses_it_or_leaves_it_unjudged(ran: Ran) -> None:
    verdicts, store = checks(ran[1]), CheckpointStore(ran[0].checkpoints)
    for student in CASCADE.students:
        asset = f"simulated_item_page/{student.name}"
        (decision,) = store.release_history(("simulated_item_page", student.name))
        reasons = decision["entry"].get("reasons", [])
        assert verdicts[f"{asset}_release", "all_gates_passed"] == (decision["outcome"] == "released") == (not reasons)
        failed = {gate for (_, gate), passed in verdicts.items() if not passed}
        # Those of the teacher are judged by the release alone.
        assert {reason.split(": ")[0] for reason in reasons} <= failed | {ON_EXPLORATION, BETTER_THAN_CONSTANT}


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
