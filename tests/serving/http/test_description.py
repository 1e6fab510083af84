"""The description of the API, and the server held to it by requests that are drawn from it."""

from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.fixtures.http_server import Served
from tests.fixtures.served_pages import NAME, page_bodies, rows_of
from ukdsl_assets.serving.http.app import ROUTES

BODY = page_bodies(1)[0]


@pytest.fixture(scope="module")
def described(served: Served) -> dict[str, Any]:
    api: dict[str, Any] = served.get("/openapi.json").json
    return api


def schema_of(described: dict[str, Any], path: str, status: str | None = None) -> dict[str, Any]:
    """Of a path's body, or of a reply."""
    operation = described["paths"][path]["post"]
    content = operation["requestBody"]["content"] if status is None else operation["responses"][status]["content"]
    return {**next(iter(content.values()))["schema"], "components": described["components"]}


def test_every_route_is_described_for_every_cascade_and_student(served: Served, described: dict[str, Any]) -> None:
    templates = {path for _, path, _ in ROUTES if path != "/openapi.json"}
    filled = {
        template.replace("{cascade}", cascade).replace("{student}", student)
        for template in templates
        for cascade, student in served.service.models.keys
    }

    assert described["paths"].keys() == filled


@pytest.mark.parametrize(
    ("path", "body"),
    [(f"/score/{NAME}/module_click", {"rows": rows_of(BODY)}), (f"/rank/{NAME}", BODY), (f"/rank/{NAME}", {})],
)
def test_bodies_and_replies_are_as_described(
    served: Served, described: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    fits = jsonschema.Draft202012Validator(schema_of(described, path)).is_valid(body)
    reply = served.post(path, body)

    assert (reply.status == 200) == fits
    jsonschema.Draft202012Validator(schema_of(described, path, str(reply.status))).validate(reply.json)


def drawn(served: Served, examples: int) -> None:
    """Requests that the description allows, and ones that it does not, to every path."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    api = schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json")
    checks = [
        schemathesis.checks.not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    held = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    for found, mode in product(api.get_all_operations(), modes):
        operation = found.ok()
        if operation.method.upper() == "GET" and mode != modes[0]:
            # There is nothing to get wrong.
            continue
        strategy = operation.as_strategy(generation_mode=mode)

        @held
        @given(case=strategy)
        def run(case: Any) -> None:
            case.call_and_validate(checks=checks)

        run()


@pytest.mark.slow
def test_drawn_requests_get_documented_answers(served: Served) -> None:
    drawn(served, 10)


def test_the_exported_lake_is_not_changed_by_serving(exported: Path) -> None:
    assert len(list((exported / "exports").rglob("*.onnx"))) == 4
