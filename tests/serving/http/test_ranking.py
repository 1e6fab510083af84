"""`/rank`: the page of the models' values, and the static order where they cannot say."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fixtures.http_server import Served, serving, until
from tests.fixtures.served_pages import CASCADE, NAME, STUDENTS, page_bodies
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import page_rules, value_of
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.models import Model
from ukdsl_assets.serving.http.page_inputs import PageInputs
from ukdsl_assets.serving.onnx_file import OnnxStudent, Scores

RULES = page_rules(CASCADE)
BODIES = page_bodies(60)


class LateStudent(OnnxStudent):
    """One that takes its time."""

    def score(self, columns: Mapping[str, NDArray[Any]]) -> Scores:
        time.sleep(0.5)
        return super().score(columns)


class WrongStudent(OnnxStudent):
    """One whose numbers are none."""

    def score(self, columns: Mapping[str, NDArray[Any]]) -> Scores:
        heads = {head: np.full_like(each, np.nan) for head, each in super().score(columns).heads.items()}
        return Scores(heads, super().score(columns).unknown_ids)


def replaced(served: Served, kind: type[OnnxStudent]) -> None:
    """Have module_click answer otherwise; the follower leaves what has the released version."""
    key = (NAME, "module_click")
    held = served.service.models.current[key]
    student = kind(held.student._session, held.student.metadata)
    served.service.models.swap(key, Model(student, held.monitor))


def expected_order(served: Served, body: dict[str, Any]) -> list[int]:
    """By both files and the rules, without the server."""
    predictions = {}
    for student in STUDENTS:
        model = served.service.models.current[(NAME, student)].student
        scores = model.score(model.columns_of(body["candidates"], body["request"]))
        predictions[student] = scores.heads["consideration"]
    features = {"module_kind": [each["module_kind"] for each in body["candidates"]]}
    page = build_page(RULES, value_of(RULES, predictions), features, body["request_id"])
    return [body["candidates"][place]["candidate_id"] for place in page.order]


def test_a_page_is_what_values_and_rules_make_of_it(served: Served) -> None:
    explored = 0
    for body in BODIES:
        reply = served.rank(body).json
        assert [each["candidate_id"] for each in reply["order"]] == expected_order(served, body)
        assert [each["slot"] for each in reply["order"]] == [1, 2, 3, 4, 5, 6]
        assert (reply["request_id"], reply["fallback"], reply["why"]) == (body["request_id"], False, None)
        explored += reply["explored"]
    # One page in twenty.
    assert explored > 0


def test_a_page_names_the_version_of_each_student(served: Served) -> None:
    versions = served.rank(BODIES[0]).json["versions"]

    assert versions == {student: served.service.models.current[(NAME, student)].version for student in STUDENTS}


def test_identifiers_and_moments_that_are_left_out_are_filled_in(served: Served) -> None:
    body = {name: part for name, part in BODIES[0].items() if name != "request_id"}

    first, second = (served.rank(body).json for _ in range(2))

    assert first["request_id"] != second["request_id"]
    assert first["requested_at"] < second["requested_at"]


@pytest.mark.parametrize(
    ("change", "where", "seen"),
    [
        ({"request_id": "seven"}, "body.request_id", "seven"),
        ({"requested_at": "2026-01-01T10:00:00"}, "body.requested_at", "2026-01-01T10:00:00"),
        ({"candidates": BODIES[0]["candidates"] * 2}, "body.candidates", "2 2 times"),
        ({"candidates": [{"candidate_id": 1}]}, "body.candidates", "nothing"),
        ({"request": {}}, "request", "nothing"),
        ({"request": None}, "body.request", "null"),
        ({"request": BODIES[0]["request"] | {"device": "phone"}}, "request: column `device`", "phone"),
    ],
)
def test_a_page_that_does_not_fit_is_refused(served: Served, change: dict[str, Any], where: str, seen: str) -> None:
    reply = served.rank(BODIES[0] | change)

    assert reply.status == 422
    assert where in reply.json["where"]
    assert seen in reply.json["seen"]


def test_a_page_without_candidates_is_empty(served: Served) -> None:
    reply = served.rank(BODIES[0] | {"candidates": []}).json

    assert (reply["order"], reply["fallback"]) == ([], False)


@pytest.fixture
def changing(exported: Path) -> Iterator[Served]:
    """A server of one test, with little patience."""
    with serving(exported, Limits(page_seconds=0.2, request_seconds=0.2, concurrency=4, threads=2)) as server:
        yield server


def assert_static(served: Served, body: dict[str, Any], why: str) -> None:
    """The order in which candidates were given, as far as the rules allow, told as such."""
    reply = served.rank(body).json
    features = {"module_kind": [each["module_kind"] for each in body["candidates"]]}
    page = build_page(RULES, -np.arange(12.0), features, body["request_id"])
    assert [each["candidate_id"] for each in reply["order"]] == [
        body["candidates"][place]["candidate_id"] for place in page.order
    ]
    assert (reply["fallback"], reply["why"], reply["versions"]) == (True, why, {})
    assert reply["explored"] == page.explored
    assert {each["value"] for each in reply["order"]} == {None}


def test_without_a_model_a_page_is_in_the_static_order(tmp_path: Path) -> None:
    with serving(tmp_path, loaded=False) as served:
        until(lambda: served.service.models.standing[(NAME, "module_click")].state == "nothing released")
        for body in BODIES:
            assert_static(served, body, "no model")
        # Days begin without a model, and are learnt from all the same.
        assert any(served.rank(body).json["explored"] for body in BODIES)
        assert served.post(f"/score/{NAME}/module_click", {"rows": []}).status == 503
        ready = served.get("/ready")
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert ready.json["students"][f"{NAME}/module_click"]["state"] == "nothing released"


def test_who_asks_for_the_static_order_gets_it(served: Served) -> None:
    asked = next(body for body in BODIES if not served.rank(body).json["explored"])
    assert_static(served, {**asked, "static": True}, "asked for")
    # The same page without the word is the models'.
    assert served.rank(asked).json["fallback"] is False


def test_pages_in_random_order_need_no_model(served: Served) -> None:
    replies = {body["request_id"]: served.rank({**body, "static": True}).json for body in page_bodies(200)}
    by_models = {body["request_id"]: served.rank(body).json for body in page_bodies(200)}
    explored = [number for number, reply in replies.items() if reply["explored"]]
    assert explored == [number for number, reply in by_models.items() if reply["explored"]]
    assert 0 < len(explored) < 40
    for number in explored:
        shown = [[each["candidate_id"] for each in reply["order"]] for reply in (replies[number], by_models[number])]
        assert shown[0] == shown[1]


def test_a_late_model_costs_a_page_its_order_and_not_its_answer(changing: Served) -> None:
    replaced(changing, LateStudent)

    began = time.monotonic()
    assert_static(changing, BODIES[0], "late")

    assert time.monotonic() - began < 0.45
    reply = changing.post(f"/score/{NAME}/module_click", {"rows": []})
    assert (reply.status, reply.json["what"], reply.headers["retry-after"]) == (503, "the model is late", "1")
    assert (
        'ukdsl_fallback_total{cascade="simulated_item_page",why="late"} 1.0'
        in changing.get("/metrics").content.decode()
    )


def test_where_all_places_are_taken_a_page_is_answered_at_once(changing: Served) -> None:
    replaced(changing, LateStudent)
    for _ in range(4):
        # Two are scored and two wait; all of them are late.
        changing.service._places.acquire()

    assert_static(changing, BODIES[0], "busy")

    reply = changing.post(f"/score/{NAME}/module_click", {"rows": []})
    assert (reply.status, reply.json["what"]) == (503, "all places are taken")


def test_a_late_model_gives_its_place_back(changing: Served) -> None:
    replaced(changing, LateStudent)
    for _ in range(6):
        assert changing.rank(BODIES[0]).json["why"] in ("late", "busy")
    replaced(changing, OnnxStudent)

    until(lambda: changing.rank(BODIES[0]).json["why"] is None)


def test_a_model_whose_numbers_are_none_is_not_followed(changing: Served) -> None:
    replaced(changing, WrongStudent)

    assert_static(changing, BODIES[0], "model refused")


def test_values_that_are_drawn_about_predicted_ones_are_not_drawn_about_none() -> None:
    thompson = {**CASCADE.model_dump()["page"], "exploration": {"kind": "thompson", "scale": 0.5}}
    inputs = PageInputs(Cascade.model_validate(CASCADE.model_dump() | {"page": thompson}), with_logs=False)

    assert (inputs.rules_for(12).exploration is None, inputs.static_rules_for(12).exploration) == (False, None)


def test_a_cascade_without_a_page_shows_all_candidates_by_its_first_student() -> None:
    inputs = PageInputs(Cascade.model_validate(CASCADE.model_dump() | {"page": None}), with_logs=False)

    assert (inputs.students, inputs.rules_for(7).slots, inputs.checked) == (("module_click",), 7, ())
