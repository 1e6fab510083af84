"""What a teacher's audit means for a release: on rows that nothing has seen, as the student has the teacher."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from tests.fixtures.rows import CASCADE
from tests.fixtures.shifted_predictions import drawn
from ukdsl_assets.declaration.corrections import (
    ABOVE_PRODUCTION,
    BETTER_THAN_CONSTANT,
    GATES_OF_A_RELEASE,
    ON_EXPLORATION,
    KnownRate,
)
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.champion_gates import RULES as CHAMPION_RULES
from ukdsl_assets.learning.evaluation.gates import RULES, accepted, refusals
from ukdsl_assets.learning.evaluation.product_gates import product_rules
from ukdsl_assets.learning.evaluation.scored_gates import RULES as SCORED_RULES
from ukdsl_assets.learning.metrics.weighted import shifted
from ukdsl_assets.learning.teachers.exploration import SCHEMA, audit_on_exploration, row_that_judges
from ukdsl_assets.learning.teachers.verdicts import constant_verdict, exploration_verdict, judge_teacher_of

DAY = date(2026, 1, 5)
TEACHER = CASCADE.teacher("pre_ranking_logged")
STUDENT = CASCADE.student("retrieval_click").model_copy(update={"correction": "none", "accept": ()})
CORRECTED = STUDENT.model_copy(update={"correction": "exploration"})
RATE = KnownRate(rate=0.05, of="a random bucket")


def explored(seed: int, shift: float, requests: int = 3000) -> pl.DataFrame:
    prediction, label, weight, request = drawn(seed, shift, requests)
    columns = {"request_id": request, "propensity": 1 / weight, "click": label, "click_prediction": prediction}
    return pl.DataFrame({"day": pl.Series([DAY] * label.size), **columns})


def audit(shift: float, seed: int = 1, judged: int = 1500) -> pl.DataFrame:
    """A teacher whose logits are `shift` too high on all rows that exploration shows."""
    rows = explored(seed + 10**6, shift, judged)
    shown = rows.with_columns(propensity=pl.lit(1.0))
    return audit_on_exploration(CASCADE, TEACHER, explored(seed, shift), DAY, rows, shown, {("click", RATE): -1.0})


def test_a_teacher_is_judged_on_unseen_rows_as_the_student_has_it() -> None:
    table = audit(1.2)
    plain, corrected = (exploration_verdict(CASCADE, each, table) for each in (STUDENT, CORRECTED))
    assert (plain.name, plain.passed, plain.blocks) == (ON_EXPLORATION, False, True)
    assert "rows that no training and no correction has seen" in plain.message
    assert "accept: [teacher_agrees_on_exploration]" in plain.message
    assert corrected.passed
    assert "corrected by exploration (-1.199)" in corrected.message
    by_rate = exploration_verdict(CASCADE, STUDENT.model_copy(update={"correction": RATE}), table)
    assert "corrected by 0.05 of a random bucket (-1.000)" in by_rate.message
    # A correction that is of other rows than those that judge is no correction of these.
    wrong = audit_on_exploration(CASCADE, TEACHER, explored(1, -1.2), DAY, explored(2, 1.2))
    assert exploration_verdict(CASCADE, CORRECTED, wrong).blocks


def test_the_corrected_rows_are_those_that_judge_with_the_shift_added() -> None:
    rows = explored(4, 0.7)
    table = audit_on_exploration(CASCADE, TEACHER, explored(3, 0.7), DAY, rows)
    row = row_that_judges(table, CORRECTED)
    assert row is not None
    assert row["correction"] == table.filter(period="trailing")["correction"][0]
    weight = 1 / rows["propensity"].to_numpy()
    moved = shifted(rows["click_prediction"].to_numpy(), row["correction"])
    expected = np.average(moved, weights=weight) / np.average(rows["click"].to_numpy(), weights=weight)
    assert row["calibration"] == pytest.approx(expected)


@pytest.mark.slow
def test_the_interval_of_a_corrected_teacher_covers_what_it_is_of() -> None:
    """Intervals of 95% cover the corrected teacher's own calibration, and nearly as many cover 1."""
    own, one = [], []
    for seed in range(60):
        table = audit(0.5, seed, 500)
        row = row_that_judges(table, CORRECTED)
        assert row is not None
        truth = expit(np.random.default_rng(10**7).normal(-3, 0.8, 100_000))
        calibration = float(shifted(truth, 0.5 + row["correction"]).mean() / truth.mean())
        own.append(row["calibration_low"] < calibration < row["calibration_high"])
        one.append(row["calibration_low"] < 1 < row["calibration_high"])
    assert 0.88 < np.mean(own) <= 1
    assert 0.83 < np.mean(one) <= 1


def test_few_rows_and_tables_without_the_rows_judge_nothing() -> None:
    few = exploration_verdict(CASCADE, STUDENT, audit(1.2, judged=50))
    old = audit(1.2).drop("corrected_by", "elsewhere", "ne", "ne_error").filter(pl.col("period") == "trailing")
    for verdict in (few, *judge_teacher_of(CASCADE, STUDENT, old), *judge_teacher_of(CASCADE, STUDENT, None)):
        assert (verdict.passed, verdict.blocks, verdict.judged) == (False, False, False)
        assert verdict.message.partition("not judged: ")[1]
    assert "make the day again" in exploration_verdict(CASCADE, STUDENT, old).message
    assert row_that_judges(pl.DataFrame(schema=SCHEMA), CORRECTED) is None


def test_a_gate_that_is_accepted_by_name_refuses_nothing_and_is_told() -> None:
    verdicts = judge_teacher_of(CASCADE, STUDENT, audit(1.2))
    assert [reason.split(":")[0] for reason in refusals(verdicts)] == [ON_EXPLORATION]
    assert accepted(verdicts, ()) == []
    assert refusals(verdicts, [ON_EXPLORATION]) == []
    assert accepted(verdicts, [ON_EXPLORATION]) == refusals(verdicts)
    # Another name is no leave.
    assert refusals(verdicts, [BETTER_THAN_CONSTANT]) == refusals(verdicts)


# What a teacher says of rows whose true logits are x -> whether it is better than the constant; None is not judged.
TEACHERS = {
    "the truth": (lambda x: x, 20_000, True),
    "half of what there is to know": (lambda x: 0.5 * x - 1.4, 20_000, True),
    "a constant": (lambda x: np.full_like(x, -2.8), 20_000, False),
    "nearly a constant": (lambda x: -2.8 + 0.01 * np.random.default_rng(1).normal(size=x.size), 20_000, False),
    "noise": (lambda x: -2.8 + 0.5 * np.random.default_rng(1).normal(size=x.size), 20_000, False),
    "the wrong way round": (lambda x: -5.6 - x, 20_000, False),
    "the truth of few rows": (lambda x: x, 150, None),
    "noise on hardly enough rows": (lambda x: -2.8 + 0.5 * np.random.default_rng(1).normal(size=x.size), 400, None),
    "the truth, far too high": (lambda x: x + 3, 20_000, True),
}


@pytest.mark.parametrize(("says", "rows", "better"), TEACHERS.values(), ids=TEACHERS)
def test_a_teacher_no_better_than_a_constant_refuses_the_release(says: object, rows: int, better: bool | None) -> None:
    verdict = against(says, rows)
    assert (verdict.judged, verdict.passed) == (better is not None, better is True)
    assert verdict.blocks == (better is False)
    assert len(refusals([verdict])) == (better is False)


def against(says: object, rows: int) -> GateResult:
    rng = np.random.default_rng(7)
    x = rng.normal(-2.8, 0.7, rows)
    columns = {"click": (rng.random(rows) < expit(x)).astype(float), "click_prediction": expit(says(x))}  # type: ignore[operator]
    shown = pl.DataFrame({"day": [DAY] * rows, "request_id": np.arange(rows) // 3, "propensity": 1.0, **columns})
    return constant_verdict(CASCADE, STUDENT, audit_on_exploration(CASCADE, TEACHER, shown.clear(), DAY, None, shown))


def test_each_gate_of_a_release_can_be_accepted_by_its_name() -> None:
    of_teacher = [verdict.name for verdict in judge_teacher_of(CASCADE, STUDENT, None)]
    of_student = {*RULES, *product_rules(CASCADE, CASCADE.student("pre_ranking_conversion")), *SCORED_RULES}
    assert {*GATES_OF_A_RELEASE} == {*of_teacher, *of_student, *CHAMPION_RULES, ABOVE_PRODUCTION}


def test_delayed_labels_only_tell() -> None:
    tasks = tuple(task.model_copy(update={"delayed": True}) for task in CASCADE.tasks)
    cascade = CASCADE.model_copy(update={"tasks": tasks})
    verdict = exploration_verdict(cascade, STUDENT, audit(1.2))
    assert (verdict.passed, verdict.blocks) == (False, False)
    assert verdict.message.endswith("labels of this task are delayed and cannot block")
