"""What changed since yesterday: decisions, verdicts of gates, figures beyond their error; else one sentence."""

from typing import Any

import polars as pl
import pytest

from tests.fixtures.evaluated import DAY, evaluation
from ukdsl_assets.gates import GateResult
from ukdsl_assets.reports.changes import DayBefore, figure_changes, gate_changes, row_changes, student_changes

FIGURES: dict[str, Any] = {"domain": "CD", "reference": "teacher", "rows": 1000}
FIGURES |= {"calibration": 1.0, "calibration_error": 0.03, "ne_change": -0.02, "ne_change_error": 0.001}


def gate(passed: bool, judged: bool = True) -> GateResult:
    return GateResult("calibrated_on_scored", passed, "1.3 +- 0.1, expected 0.85 to 1.15", judged=judged)


@pytest.mark.parametrize(("value", "count"), [(1.0, 0), (1.099, 0), (1.101, 1), (0.899, 1), (float("nan"), 0)])
def test_a_figure_moved_where_it_differs_by_more_than_two_standard_errors_of_the_difference(
    value: float, count: int
) -> None:
    # The error of the difference is 0.05.
    told = figure_changes(FIGURES, FIGURES | {"calibration": value, "calibration_error": 0.04})
    assert len(told) == count


def test_a_move_says_on_which_rows_by_whom_by_how_much_and_how_many() -> None:
    (told,) = figure_changes(FIGURES, FIGURES | {"ne_change": 0.01, "rows": 12_345})
    assert told == (
        "NE change on ranked rows, by the teacher, moved from -2.00% to +1.00%, by 21.2 standard errors "
        "(1,000 and 12,345 rows)."
    )


def test_days_without_errors_are_not_compared() -> None:
    assert figure_changes(FIGURES, FIGURES | {"calibration": 9.0, "calibration_error": None}) == []


def test_gates_are_told_that_newly_fail_or_pass_and_those_alone() -> None:
    failing = gate_changes([gate(True)], [gate(False)])
    assert failing == ["Gate “calibrated on scored” is now failed (was passed): 1.3 +- 0.1, expected 0.85 to 1.15."]
    assert gate_changes([gate(False)], [gate(True)]) == ["Gate “calibrated on scored” is now passed (was failed)."]
    assert "is now not judged (was passed)" in gate_changes([gate(True)], [gate(False, judged=False)])[0]
    assert gate_changes([gate(False)], [gate(False)]) == gate_changes([], [gate(False)]) == []


def test_a_student_of_whom_nothing_changed_has_one_sentence_and_a_decision_comes_first() -> None:
    before = DayBefore(DAY, evaluation(), "released", [gate(True)])
    (same,) = student_changes(before, "released", [gate(True)], [(FIGURES, FIGURES), (None, FIGURES)])
    assert same.startswith("Released, as the day before")
    told = student_changes(before, "not_judged", [gate(False)], [(FIGURES, FIGURES | {"calibration": 2.0})])
    assert told[0] == "Decision: Not judged; the day before: Released."
    assert [line.split()[0] for line in told] == ["Decision:", "Gate", "Calibration"]
    assert isinstance(before.evaluation, pl.DataFrame)


def test_rows_of_tables_are_told_with_their_change() -> None:
    assert row_changes({"candidate_log": 1000, "x": 5}, {"candidate_log": 900, "event_log": 7, "x": 5}) == [
        ("candidate_log", "1,000", "900", "\u221210.0%"),
        ("event_log", "0", "7", "\u2013"),
        ("x", "5", "5", "0%"),
    ]
