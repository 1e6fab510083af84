"""`GET /openapi.json`: every route for every cascade and student that is served, with the features that each reads."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ukdsl_assets.declaration.block import MOST_ID
from ukdsl_assets.serving.http.page_inputs import input_of
from ukdsl_assets.serving.http.problems import MEDIA_TYPE, Problem
from ukdsl_assets.serving.http.service import Service
from ukdsl_assets.serving.http.wire import ARROW, JSON, Alive, EventsTaken, Ranked, Readiness, Scored
from ukdsl_assets.serving.onnx_metadata import Input

_REF = "#/components/schemas/{model}"
_MODELS: tuple[type[BaseModel], ...] = (Alive, EventsTaken, Problem, Ranked, Readiness, Scored)
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_BODY_PROBLEMS = {
    400: "The body is no JSON, or no Arrow stream.",
    408: "The body did not come in time.",
    413: "The body is too large, or has too many rows.",
    415: "The body is of another type.",
    422: "The body does not fit.",
    503: "No answer now; come again after `Retry-After` seconds.",
}
_UNKNOWN = {404: "No such cascade or student is served here."}


async def description(service: Service, request: Request) -> Response:
    """What this server answers now: a new model may read other features."""
    return Response(to_json(described(service)), media_type=JSON)


def described(service: Service) -> dict[str, Any]:
    """The description as OpenAPI 3.1 has it."""
    paths: dict[str, Any] = {
        "/health": {"get": _get("Whether the server runs", {200: _reply(Alive)})},
        "/ready": {
            "get": _get(
                "Whether every student has a model that answers",
                {200: _reply(Readiness, "Each has one."), 503: _reply(Readiness, "One has none.")},
            )
        },
        "/metrics": {"get": _get("What Prometheus scrapes", {200: _text("The text format of Prometheus.")})},
    }
    for cascade, student in service.models.keys:
        paths[f"/score/{cascade}/{student}"] = {"post": _score(service, cascade, student)}
    for cascade in service.cascades:
        paths[f"/rank/{cascade}"] = {"post": _rank(service, cascade)}
        paths[f"/events/{cascade}"] = {"post": _events(service, cascade)}
    _, schemas = models_json_schema([(model, "serialization") for model in _MODELS], ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ukdsl serve", "version": version("ukdsl-assets")},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _score(service: Service, cascade: str, student: str) -> dict[str, Any]:
    model = service.models.current.get((cascade, student))
    declared = service.cascades[cascade]
    inputs: Sequence[Input] = (
        model.student.metadata.inputs
        if model is not None
        else [input_of(each) for each in declared.features_of(declared.student(student)) if each.served_as is None]
    )
    rows = {"type": "array", "items": _object(_values(inputs)), "maxItems": service.limits.rows}
    body = {JSON: {"schema": _object({"rows": rows})}, ARROW: {"schema": _binary()}}
    replies = {200: _reply(Scored)}
    replies[200]["content"][ARROW] = {"schema": _binary()}
    return {
        "operationId": f"score_{cascade}_{student}",
        "summary": f"Probabilities of {student}, of rows",
        "requestBody": {"required": True, "content": body},
        "responses": _responses(replies, _BODY_PROBLEMS | _UNKNOWN),
    }


def _rank(service: Service, cascade: str) -> dict[str, Any]:
    inputs, of = service.pages[cascade], service.requests[cascade]
    by_side: dict[str, list[Input]] = {"request": [], "candidate": []}
    for feature in inputs.features:
        by_side[feature.side].append(input_of(feature))
    page = TypeAdapter(of.page_type).json_schema(ref_template=_REF)
    properties = {name: _without_refs(value, page.get("$defs", {})) for name, value in page["properties"].items()}
    candidate = _object(
        {
            "candidate_id": properties["candidates"]["items"]["properties"]["candidate_id"],
            **_values(by_side["candidate"]),
        }
    )
    properties["request"] = _object(_values(by_side["request"]))
    properties["candidates"] = {"type": "array", "items": candidate, "maxItems": service.limits.rows}
    required = ["candidates", *(["request"] if by_side["request"] else [])]
    return {
        "operationId": f"rank_{cascade}",
        "summary": f"A page of {cascade}, in order",
        "requestBody": {"required": True, "content": {JSON: {"schema": _object(properties, required)}}},
        "responses": _responses({200: _reply(Ranked)}, _BODY_PROBLEMS | _UNKNOWN),
    }


def _events(service: Service, cascade: str) -> dict[str, Any]:
    schema = TypeAdapter(service.requests[cascade].events_type).json_schema(ref_template=_REF)
    return {
        "operationId": f"events_{cascade}",
        "summary": "What users did with pages, for the logs",
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": _without_refs({k: v for k, v in schema.items() if k != "$defs"}, schema.get("$defs", {}))
                }
            },
        },
        "responses": _responses(
            {202: _reply(EventsTaken)},
            _BODY_PROBLEMS | {404: "No such cascade is served here, or no logs are written."},
        ),
    }


def _values(inputs: Iterable[Input]) -> dict[str, Any]:
    return {each.name: _value(each) for each in inputs}


def _value(feature: Input) -> dict[str, Any]:
    """The schema of a feature's value, as the model checks it."""
    of_dtype: dict[str, dict[str, Any]] = {
        "int64": {"type": "integer", "minimum": -MOST_ID - 1, "maximum": MOST_ID},
        "string": {"type": "string"},
        "float32": {"type": "number", "minimum": -_LARGEST_FLOAT, "maximum": _LARGEST_FLOAT},
    }
    one = of_dtype[feature.dtype]
    if feature.kind == "vector":
        one = {"type": "array", "items": one, "minItems": feature.width, "maxItems": feature.width}
    elif feature.kind == "multi_valued":
        one = {"type": "array", "items": one, "maxItems": feature.most_values}
    one["description"] = f"{feature.kind}, of the {feature.side}"
    return {"anyOf": [one, {"type": "null"}]} if feature.missing == "allowed" else one


def _object(properties: Mapping[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    wanted = list(properties) if required is None else list(required)
    return {"type": "object", "properties": dict(properties), "required": wanted}


def _binary() -> dict[str, Any]:
    return {
        "type": "string",
        "format": "binary",
        "description": "A stream of Arrow's IPC format, a column each feature or head.",
    }


def _get(summary: str, replies: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses(replies, {})}


def _reply(model: type[BaseModel], words: str | None = None) -> dict[str, Any]:
    told = words or (model.__doc__ or "").splitlines()[0]
    return {"description": told, "content": {JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}}}}


def _text(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _responses(replies: Mapping[int, Any], problems: Mapping[int, str]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    told = {str(status): {"description": words, "content": content} for status, words in problems.items()}
    return {**{str(status): reply for status, reply in replies.items()}, **told}


def _without_refs(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with its definitions in place, since each cascade has its own of the same name."""
    if isinstance(schema, list):
        return [_without_refs(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_refs(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _without_refs(value, definitions) for name, value in schema.items()}
