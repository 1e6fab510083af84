"""The verdicts on all that a stage scores, from tables in which one figure is off."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT
from ukdsl_assets.declaration.columns import CD, EXPLORED, EXPLORED_TRAILING, IMP, OWN, REJECTED, SCORED
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.explored import pooled
from ukdsl_assets.learning.evaluation.gates import judge_student, refusals
from ukdsl_assets.learning.evaluation.scored_gates import RULES, judge_scored
from ukdsl_assets.learning.evaluation.table import LATER_FIGURES, evaluate

HEADS = (("baseline", "impression"), ("distilled", "impression"), ("distilled", "consideration"))
LATE = CASCADE.student("pre_ranking_conversion")


def table_of(
    requests: int = 120, prediction: float = 0.5, rate: float = 0.5, rejected: bool = True, truth: float | None = None
) -> pl.DataFrame:
    """Two explored rows a request, of which `rate` are clicked, one considered and one rejected; a teacher says 0.5."""
    request = np.arange(requests)
    clicked = (np.arange(2 * requests) % 100 < 100 * rate).astype(np.float32)
    domains = {IMP: (np.repeat(request, 2), clicked), CD: (request, np.full(requests, 0.5, np.float32))}
    if rejected:
        domains[REJECTED] = domains[SCORED] = domains[CD]
    rows = pl.concat(
        pl.DataFrame({"request_id": of, "target": y, "weight": np.ones(len(y), np.float32)}).with_columns(
            domain=pl.lit(domain),
            explored=pl.lit(domain == IMP),
            propensity=pl.lit(0.25, pl.Float32),
            _beyond=pl.lit(True),
            truth=pl.lit(truth, pl.Float32),
        )
        for domain, (of, y) in domains.items()
    )
    table = evaluate(rows, dict.fromkeys(HEADS, np.full(len(rows), prediction, np.float32)))
    return pl.concat([table, pooled(table)], how="diagonal")


def judged(table: pl.DataFrame, student: Any = STUDENT) -> dict[str, GateResult]:
    return {each.name: each for each in judge_scored(CASCADE, student, table)}


def changed(domain: str, **figures: float) -> pl.DataFrame:
    return table_of().with_columns(
        pl.when(domain=domain).then(pl.lit(value)).otherwise(name).alias(name) for name, value in figures.items()
    )


def test_a_good_student_passes_every_gate_and_each_has_a_rule() -> None:
    results = judged(table_of())
    assert list(results) == list(RULES)
    assert all(each.passed and each.judged for each in results.values())
    assert refusals(judge_student(CASCADE, STUDENT, table_of())) == []
    assert set(RULES) <= {each.name for each in judge_student(CASCADE, STUDENT, table_of())}


@pytest.mark.parametrize(
    ("domain", "name"), [(OWN, "calibrated_on_own_choice"), (SCORED, "calibrated_on_scored")], ids=["own", "scored"]
)
def test_a_calibration_is_off_beyond_two_standard_errors(domain: str, name: str) -> None:
    assert not judged(changed(domain, calibration=1.2, calibration_error=0.02))[name].passed
    assert judged(changed(domain, calibration=1.2, calibration_error=0.03))[name].passed
    assert not judged(changed(domain, calibration=0.8, calibration_error=0.02))[name].passed
    assert not judged(changed(domain, calibration=math.nan))[name].passed
    # An error as wide as the bounds judges nothing.
    wide = judged(changed(domain, calibration=1.0, calibration_error=0.08))[name]
    assert (wide.passed, wide.judged, wide.blocks) == (False, False, False)


def test_its_own_choice_blocks_and_all_that_was_scored_only_where_a_head_learns_it() -> None:
    assert judged(changed(OWN, calibration=1.3, calibration_error=0.01))["calibrated_on_own_choice"].blocks
    verdict = judged(changed(SCORED, calibration=1.3, calibration_error=0.01))["calibrated_on_scored"]
    assert (verdict.passed, verdict.blocks) == (False, False)


def test_entropy_on_all_that_was_scored_is_held_to_the_bound_of_the_other_domains() -> None:
    bound = CASCADE.gates.normalized_entropy
    name = "normalized_entropy_on_scored_kept"
    assert judged(changed(SCORED, ne_change=bound - 0.011, ne_change_error=0.005))[name].passed
    assert judged(changed(SCORED, ne_change=bound + 0.021, ne_change_error=0.01))[name].blocks
    unsure = judged(changed(SCORED, ne_change=bound, ne_change_error=0.02))[name]
    assert (unsure.passed, unsure.judged, unsure.blocks) == (False, False, False)


def test_without_labels_of_rejected_rows_the_message_says_what_would_bring_them() -> None:
    table = table_of(rejected=False)
    blind, late = CASCADE.model_copy(update={"has_probes": False}), STUDENT.model_copy(update={"stage": "retrieval"})
    for cascade, student, why in (
        (CASCADE, STUDENT, "the cascade has probes, and no day that is judged has one"),
        (blind, STUDENT, "log probes (has_probes) to judge"),
        (CASCADE, late, "probes have that of a logged teacher of the next stage alone"),
    ):
        for told in judge_scored(cascade, student, table)[:3]:
            assert why in told.message
            assert f"stage {student.stage} rejected" in told.message


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (table_of(rejected=False), "no day that is judged has one; see whether probes with deepest_stage pre_ranking"),
        (table_of(14), "withheld rows with a teacher's label of 30 needed"),
    ],
    ids=["no probes", "few rows"],
)
def test_where_the_teacher_says_too_little_nothing_is_judged_and_nothing_refused(table: pl.DataFrame, why: str) -> None:
    for name in list(RULES)[:3]:
        told = judged(table)[name]
        assert (told.passed, told.judged, told.blocks) == (False, False, False)
        assert told.message.startswith("not judged: ")
        assert why in told.message


def test_a_student_that_says_too_much_of_explored_rows_is_refused_and_the_trailing_days_decide() -> None:
    verdict = judged(table_of(prediction=0.5, rate=0.2))["calibrated_on_exploration"]
    assert verdict.blocks
    assert "explored rows: calibration 2.00" in verdict.message
    assert "on 240 rows (240 effective) of 1 day(s)" in verdict.message
    assert "meets 0.8 to 1.25 (gates.student_exploration)" in verdict.message
    day = table_of(prediction=0.5, rate=0.2).filter(pl.col("domain") != EXPLORED_TRAILING)
    good = table_of().filter(domain=EXPLORED_TRAILING)
    assert judged(pl.concat([day, good]))["calibrated_on_exploration"].passed
    assert judged(day)["calibrated_on_exploration"].blocks
    late = judge_scored(CASCADE, LATE, table_of(prediction=0.5, rate=0.2))[-1]
    assert (late.passed, late.blocks) == (False, False)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (table_of(60), "60 effective requests of 100 needed"),
        (table_of(prediction=0.05, rate=0.05), "12 effective positive labels of 20 needed"),
        (table_of(rate=0.0, prediction=0.05), "12 effective positive labels of 20 needed"),
        (table_of(rate=0.0), "no positive label"),
        (
            table_of().filter(~pl.col("domain").is_in([EXPLORED, EXPLORED_TRAILING])),
            "no withheld explored row with a label",
        ),
    ],
)
def test_exploration_is_not_judged_on_few_and_says_of_what(table: pl.DataFrame, why: str) -> None:
    verdict = judged(table)["calibrated_on_exploration"]
    assert (verdict.passed, verdict.judged, verdict.blocks) == (False, False, False)
    assert verdict.message.startswith(f"not judged: {why}")


def test_no_gate_reads_the_truth() -> None:
    seen = [judge_scored(CASCADE, STUDENT, table_of(truth=truth)) for truth in (None, 0.01)]
    assert seen[0] == seen[1]


def test_a_table_of_before_these_domains_is_judged_as_then() -> None:
    old = table_of().filter(pl.col("domain").is_in([IMP, CD])).drop(*LATER_FIGURES)
    results = judge_student(CASCADE, STUDENT, old)
    assert refusals(results) == []
    assert all(each.message.startswith("not judged") for each in results if each.name in RULES)
