"""Gates on a student whose task is given another."""

from typing import Any

import polars as pl
import pytest

from tests.fixtures.rows import CASCADE
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.gates import RULES, judge_student
from ukdsl_assets.learning.evaluation.product_gates import CALIBRATED, KEPT, product_rules
from ukdsl_assets.learning.evaluation.scored_gates import RULES as SCORED_RULES
from ukdsl_assets.learning.metrics.least_positives import TO_RELEASE

STUDENT = CASCADE.student("pre_ranking_conversion")
GOOD: dict[str, Any] = {"rows": 5000, "calibration": 1.0, "calibration_error": 0.01, "ne_change": -0.01}
GOOD |= {"ne_change_error": 0.001, "mean_reference": 0.1, "positives": None}
TASKS = CASCADE.tasks
AT_ONCE = CASCADE.model_copy(update={"tasks": (TASKS[0], TASKS[1].model_copy(update={"delayed": False}))})


def judged(cascade: Cascade = CASCADE, **changed: dict[str, Any]) -> dict[str, GateResult]:
    """The gates where all is well but what is changed of rows named DOMAIN_reference; None leaves them out."""
    places = [("IMP", "label"), ("CD", "teacher"), ("GIVEN", "teacher"), ("PRODUCT", "label")]
    rows = []
    for domain, reference in places:
        change = changed.get(domain, {})
        if change is None:
            continue
        for head in STUDENT.served_heads:
            positives = {"positives": 200} if reference == "label" else {}
            row = {"arm": "distilled", "head": head, "domain": domain, "reference": reference}
            rows.append(row | GOOD | positives | change)
    return {each.name: each for each in judge_student(cascade, STUDENT, pl.DataFrame(rows, infer_schema_length=None))}


def test_all_rules_are_judged_and_a_good_student_passes() -> None:
    found = judged()
    assert set(found) == {*RULES, *product_rules(CASCADE, STUDENT), *SCORED_RULES}
    assert all(each.passed for each in found.values() if each.name not in SCORED_RULES)
    assert product_rules(CASCADE, CASCADE.student("pre_ranking_click")) == {}


@pytest.mark.parametrize(("cascade", "severity"), [(CASCADE, "WARN"), (AT_ONCE, "ERROR")])
@pytest.mark.parametrize("calibration", [0.7, 1.5])
def test_a_product_that_is_off_is_told_and_blocks_where_labels_come_at_once(
    cascade: Cascade, severity: str, calibration: float
) -> None:
    gate = judged(cascade, PRODUCT={"calibration": calibration})[CALIBRATED]
    assert not gate.passed
    assert gate.severity == severity
    assert f"{calibration:.3f}" in gate.message
    assert "5,000 withheld impressions" in gate.message
    assert judged(cascade, PRODUCT={"calibration": calibration, "calibration_error": 0.3})[CALIBRATED].passed


def test_a_product_worse_than_the_baselines_is_refused() -> None:
    assert judged(PRODUCT={"ne_change": 0.03})[KEPT].blocks
    assert judged(PRODUCT={"ne_change": 0.05, "ne_change_error": 0.01})[KEPT].blocks
    # What is not certain only tells where labels are delayed.
    unsure = judged(PRODUCT={"ne_change": 0.01, "ne_change_error": 0.02})[KEPT]
    assert (unsure.passed, unsure.judged, unsure.blocks) == (False, False, False)
    assert judged(AT_ONCE, PRODUCT={"ne_change": 0.01, "ne_change_error": 0.02})[KEPT].blocks


def test_few_conversions_judge_no_product() -> None:
    found = judged(PRODUCT={"positives": TO_RELEASE - 1, "calibration": 9.0, "ne_change": 9.0})
    for name in (CALIBRATED, KEPT):
        assert (found[name].passed, found[name].judged) == (False, False)
        assert found[name].severity == "WARN"
        assert found[name].message.startswith(f"not judged: {TO_RELEASE - 1} positive labels of {TO_RELEASE} needed")
    absent = judged(PRODUCT=None)[CALIBRATED]  # type: ignore[arg-type]
    assert not absent.judged
    assert "not judged: no impression with a prediction of click" in absent.message


def test_considered_rows_by_what_is_given_decide_and_not_the_unweighted() -> None:
    name, kept = "calibrated_on_consideration", "normalized_entropy_on_consideration_kept"
    found = judged(CD={"calibration": 1.48, "ne_change": 0.3})
    assert found[name].passed
    assert found[kept].passed
    assert "weighted by p(click) (unweighted, of rows without a click too: 1.480)" in found[name].message
    found = judged(GIVEN={"calibration": 1.48, "ne_change": 0.3})
    assert found[name].blocks
    assert found[kept].blocks
    without = judged(GIVEN=None, CD={"calibration": 1.48})  # type: ignore[arg-type]
    assert without[name].blocks


def test_considered_rows_are_judged_by_the_head_that_learnt_from_them() -> None:
    three = STUDENT.model_copy(update={"heads": ("impression", "consideration", "scored")})
    rows = [
        {"arm": "distilled", "head": head, "domain": domain, "reference": "teacher", **GOOD, "calibration": calibration}
        for domain in ("CD", "GIVEN")
        for head, calibration in (("consideration", 1.0), ("scored", 1.3))
    ]
    labels = {"arm": "distilled", "head": "impression", "domain": "IMP", "reference": "label", **GOOD, "positives": 200}
    found = judge_student(CASCADE, three, pl.DataFrame([*rows, labels], infer_schema_length=None))
    (considered,) = (each for each in found if each.name == "calibrated_on_consideration")
    assert considered.passed
