"""Numbers that cannot work are refused at the declaration, whatever key they are the value of."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fixtures.shop import DECLARATION
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.json_schema import cascade_schema
from ukdsl_assets.declaration.parts import Feature, Gates, Stage, Task
from ukdsl_assets.declaration.sources import KuaiRandSource, SimulatedSource, SimulatedSurface
from ukdsl_assets.declaration.students import LossWeights, Student
from ukdsl_assets.declaration.teachers import CrossDomainTeacher, FoundationTeacher, TrainedTeacher

NAN, INFINITY = float("nan"), float("inf")
STUDENT = {"name": "s", "stage": "a", "task": "t", "teacher": "r"}
TEACHER = {"name": "r", "stage": "a"}
NUMBER = {"name": "x", "kind": "numeric", "side": "request"}
FOREIGN = {"kind": "cross_domain", "cascade": "other", "model": "m", "tasks": {"t": "t"}, "defaults": {"x": NAN}}


def test_every_whole_number_of_a_declaration_has_both_bounds() -> None:
    # Scenarios of KuaiRand are names that happen to be numbers.
    boundless = [place for place in _whole_numbers(cascade_schema(), "") if not place.endswith("/tabs/anyOf/0/items")]
    assert boundless == []


def _whole_numbers(node: Any, place: str) -> Iterator[str]:
    """Places of integers in a JSON Schema that lack a bound."""
    if isinstance(node, list | dict):
        if isinstance(node, dict) and node.get("type") == "integer" and not {"minimum", "maximum"} <= node.keys():
            yield place
        for key, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _whole_numbers(each, f"{place}/{key}")


@pytest.mark.parametrize(
    ("block", "content", "key"),
    [
        (Student, STUDENT | {"seed": -1}, "seed"),
        (Student, STUDENT | {"seed": 2**31}, "seed"),
        (Student, STUDENT | {"window_days": 10**9}, "window_days"),
        (Student, STUDENT | {"learning_rate": INFINITY}, "learning_rate"),
        (Student, STUDENT | {"architecture": {"kind": "mlp", "hidden": [10**9]}}, "hidden"),
        (Student, STUDENT | {"architecture": {"kind": "lightgbm", "leaves": 10**6}}, "leaves"),
        (Student, STUDENT | {"selection": {"budget": 1, "window_days": 10**9}}, "window_days"),
        (Student, STUDENT | {"selection": {"cost_budget": NAN}}, "cost_budget"),
        (LossWeights, {"consideration": INFINITY}, "consideration"),
        (LossWeights, {"temperature": 1e-30}, "temperature"),
        (TrainedTeacher, TEACHER | {"kind": "trained", "seed": -1}, "seed"),
        (TrainedTeacher, TEACHER | {"kind": "trained", "trees": 2**40}, "trees"),
        (FoundationTeacher, TEACHER | {"kind": "foundation", "seed": -1}, "seed"),
        (CrossDomainTeacher, TEACHER | FOREIGN, "defaults"),
        (SimulatedSource, {"kind": "simulated", "seed": -1}, "seed"),
        (SimulatedSurface, {"name": "x", "click_shift": INFINITY}, "click_shift"),
        (KuaiRandSource, {"kind": "kuairand", "session_gap": "-PT5M"}, "session_gap"),
        (Task, {"name": "t", "event": "e", "attribution_window": "P999999D"}, "attribution_window"),
        (Stage, {"name": "a", "consideration_rate": 1e-12}, "consideration_rate"),
        (Feature, NUMBER | {"cost": INFINITY}, "cost"),
        (Feature, NUMBER | {"kind": "categorical", "side": "candidate", "served_as": 2**63}, "served_as"),
        (Gates, {"student_calibration": [NAN, NAN]}, "student_calibration"),
        (Gates, {"volume": [0, INFINITY]}, "volume"),
        (Gates, {"normalized_entropy": NAN}, "normalized_entropy"),
        (Cascade, DECLARATION | {"withheld_share": 1e-9}, "withheld_share"),
        (Cascade, DECLARATION | {"first_day": date(1, 1, 1)}, "first_day"),
        (Cascade, DECLARATION | {"last_day": date(9999, 12, 31)}, "last_day"),
        (Cascade, DECLARATION | {"exploration_days": 10**9}, "exploration_days"),
    ],
)
def test_what_cannot_work_is_refused_by_its_key(block: Any, content: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        block.model_validate({"source": {"kind": "parquet", "path": "x"}, **content} if block is Cascade else content)
    assert [error["loc"] for error in refused.value.errors() if key in error["loc"]]


def test_the_outermost_values_are_taken() -> None:
    task = Task.model_validate({"name": "t", "event": "e", "attribution_window": "P3650D"})
    assert task.attribution_window == timedelta(days=3650)
    assert Student.model_validate(STUDENT | {"seed": 0, "window_days": 3650}).window_days == 3650
    assert Student.model_validate(STUDENT | {"seed": 2**31 - 1}).seed == 2**31 - 1
