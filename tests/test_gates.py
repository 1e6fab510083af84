"""A verdict: what blocks, and what JSON may hold of its figures."""

import math

import pytest

from ukdsl_assets.gates import GateResult, blocking, finite


def test_only_a_failed_rule_of_severity_error_blocks() -> None:
    failed = GateResult("failed", False, "")
    results = [
        GateResult("passed", True, ""),
        failed,
        GateResult("told", False, "", "WARN"),
        GateResult("fine", True, "", "WARN"),
    ]
    assert [result.blocks for result in results] == [False, True, False, False]
    assert blocking(results) == [failed]
    assert blocking([]) == []


def test_what_was_not_judged_has_not_passed_and_blocks_as_its_severity_says() -> None:
    told, blocks = (GateResult.not_judged("kept", "eight requests", severity) for severity in ("WARN", "ERROR"))
    assert (told.passed, told.blocks, told.message) == (False, False, "not judged: eight requests")
    assert (blocks.passed, blocks.blocks) == (False, True)
    assert {told.verdict, blocks.verdict} == {"not judged"}
    others = (GateResult("kept", *given) for given in ((True, ""), (False, ""), (False, "", "WARN")))
    assert [each.verdict for each in others] == ["passed", "failed", "warns only"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_none(value: float) -> None:
    assert finite(value) is None
    assert finite(0.0) == 0.0
    assert finite(-1.5) == -1.5
