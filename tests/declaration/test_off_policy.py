"""What `off_policy` and `release.off_policy` may say, and what they must go together with."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.shop import DECLARATION, TASKS, declare
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import DeclarationError

LAST = {"name": "ranking_click", "stage": "ranking", "task": "click", "teacher": "foundation", "architecture": "mlp"}
SLOT = {"name": "slot", "kind": "categorical", "side": "candidate", "served_as": 1}
WHOLE: dict[str, Any] = {
    "features": [*DECLARATION["features"], SLOT],
    "teachers": [*DECLARATION["teachers"], {"name": "foundation", "kind": "foundation", "stage": "ranking"}],
    "students": [*DECLARATION["students"], LAST],
}


def declared(folder: Path, **changes: Any) -> Cascade:
    return declare(folder, **(WHOLE | changes))


def test_students_of_the_last_stage_are_estimated_where_it_is_declared(tmp_path: Path) -> None:
    assert declared(tmp_path).estimated_students == ()
    cascade = declared(tmp_path, off_policy={"slot": "slot"})
    assert [each.name for each in cascade.estimated_students] == ["ranking_click"]
    assert cascade.off_policy is not None
    assert (cascade.off_policy.estimator, cascade.off_policy.clip) == ("sndr", None)
    # What nobody asked for is in no dump, so that nothing is computed anew for it.
    assert "off_policy" not in declared(tmp_path).model_dump()
    assert "off_policy" not in cascade.students[0].release.model_dump()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"off_policy": {"slot": "price"}}, "off_policy.slot: unknown name `price`, expected one of slot"),
        ({"off_policy": {"slot": "slott"}}, "did you mean `slot`"),
        (
            {
                "off_policy": {"slot": "slot"},
                "features": [*DECLARATION["features"], SLOT | {"values": "string", "served_as": "top"}],
            },
            "`slot` has values of type string, expected integer",
        ),
        ({"off_policy": {"estimator": "pi"}}, "off_policy.estimator: pi needs slots"),
        ({"off_policy": {"estimator": "best"}}, "off_policy.estimator"),
        ({"off_policy": {"clip": 0.5}}, "off_policy.clip"),
        ({"off_policy": {}, "students": DECLARATION["students"]}, "no student is of ranking, the last stage"),
        (
            {"students": [LAST | {"release": {"off_policy": "above_production"}}]},
            "students.ranking_click.release.off_policy: nothing is estimated; declare the cascade's `off_policy`",
        ),
        (
            {
                "off_policy": {},
                "students": [
                    *({**each, "release": {"off_policy": "above_production"}} for each in DECLARATION["students"]),
                    LAST,
                ],
            },
            "only students of ranking, the last stage, are estimated, saw stage pre_ranking",
        ),
        (
            {
                "off_policy": {},
                "tasks": TASKS,
                "students": [
                    LAST
                    | {"task": "order", "delayed_feedback": "correct", "release": {"off_policy": "above_production"}}
                ],
            },
            "labels of task `order` keep arriving",
        ),
        ({"students": [LAST | {"release": {"off_policy": "above"}}]}, "release.off_policy"),
    ],
)
def test_what_does_not_go_together_is_told_by_key(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declared(tmp_path, **changes)
    assert told in str(error.value)
