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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_none(value: float) -> None:
    assert finite(value) is None
    assert finite(0.0) == 0.0
    assert finite(-1.5) == -1.5
