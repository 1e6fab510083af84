"""A page as it is asked for: its body read and checked, and what was left out filled in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import randbits
from typing import Any, NamedTuple
from uuid import uuid4

from ukdsl_assets.errors import RequestError, ScoringError
from ukdsl_assets.serving.http.log_rows import Identifier
from ukdsl_assets.serving.http.page_inputs import PageInputs
from ukdsl_assets.serving.http.receiving import check_count, of_scoring, parsed
from ukdsl_assets.serving.http.service import Service
from ukdsl_assets.serving.onnx_values import column_of_values

_FIX = 'send {"request": {...}, "candidates": [{"candidate_id": ..., ...}, ...]}, as /openapi.json describes it'


class Asked(NamedTuple):
    """A page as it was asked for; candidates have their ids and features."""

    request_id: Identifier
    requested_at: datetime
    request: Mapping[str, Any]
    candidates: Sequence[Mapping[str, Any]]
    static: bool


def asked_of(service: Service, inputs: PageInputs, body: bytes) -> Asked:
    """The page of a body, its rules' features and those of the logs checked.

    Raises:
        RequestError: it is no such page.
    """
    page = parsed(service.requests[inputs.cascade.name].page, body, _FIX)
    candidates = page["candidates"]
    check_count(len(candidates), service.limits, "body.candidates")
    ids = [candidate["candidate_id"] for candidate in candidates]
    if len(set(ids)) < len(ids):
        (twice, times), *_ = Counter(ids).most_common(1)
        expected, fix = "each candidate once", "leave its repetition out"
        raise RequestError(
            422,
            "a candidate stands twice",
            where="body.candidates",
            seen=f"{twice!r} {times} times",
            expected=expected,
            fix=fix,
        )
    request = page.get("request", {})
    _check(inputs, request, candidates)
    request_id = page.get("request_id")
    if request_id is None:
        request_id = randbits(62) if inputs.cascade.identifiers == "integer" else uuid4().hex
    requested_at = page.get("requested_at")
    moment = datetime.now(UTC) if requested_at is None else requested_at.astimezone(UTC)
    return Asked(request_id, moment, request, candidates, page.get("static", False))


def _check(inputs: PageInputs, request: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> None:
    for each in inputs.checked:
        of, where = ([request], "body.request") if each.side == "request" else (candidates, "body.candidates")
        try:
            values = [row[each.name] for row in of]
        except KeyError:
            number = next(place for place, row in enumerate(of) if each.name not in row)
            place = where if each.side == "request" else f"{where}[{number}]"
            fix = f"send `{each.name}`" + (", or null where it is missing" if each.missing == "allowed" else "")
            raise RequestError(
                422,
                "a feature is missing",
                where=place,
                seen="nothing",
                expected=f"`{each.name}`, {each.expected}",
                fix=fix,
            ) from None
        try:
            column_of_values(values, each, "request" if each.side == "request" else "row")
        except ScoringError as error:
            raise of_scoring(error, where) from error
