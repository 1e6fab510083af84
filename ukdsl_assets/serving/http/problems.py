"""What is answered in place of a result: problem details (RFC 9457) in what, where, seen, expected and fix."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails, to_json
from starlette.responses import Response

from ukdsl_assets.errors import RequestError

MEDIA_TYPE = "application/problem+json"
# Of a value that was refused a message shows so many characters.
_SHOWN = 80
# Seconds after which a request that found no room may come again.
RETRY_AFTER = "1"


class Problem(BaseModel):
    """Why a request got no result."""

    status: int = Field(description="The status of the reply.")
    what: str = Field(description="What went wrong.")
    where: str = Field(description="In which part of the request, or of the server.")
    seen: str = Field(description="What was there.")
    expected: str = Field(description="What should be there.")
    fix: str = Field(description="What to do about it.")


def reply(error: RequestError) -> Response:
    """The error as a response."""
    problem = Problem(
        status=error.status,
        what=error.what,
        where=error.where,
        seen=error.seen,
        expected=error.expected,
        fix=error.fix,
    )
    headers = {"Retry-After": RETRY_AFTER} if error.status == 503 else None
    return Response(to_json(problem), error.status, headers, MEDIA_TYPE)


def of_validation(error: ValidationError, fix: str) -> RequestError:
    """The first of the problems that a body has, and how many there are; 400 where it is no JSON at all."""
    details = error.errors(include_url=False, include_context=False)
    first = details[0]
    if first["type"] == "json_invalid":
        return RequestError(
            400, "the body is no JSON", where="body", seen=first["msg"], expected="JSON in UTF-8", fix="send JSON"
        )
    more = f" ({len(details) - 1:,} more problem(s) in the body)" if len(details) > 1 else ""
    return RequestError(
        422,
        f"the body does not fit{more}",
        where=_place(first),
        seen="nothing" if first["type"] == "missing" else _short(first["input"]),
        expected=_expected(first),
        fix=fix,
    )


def _place(details: ErrorDetails) -> str:
    """`candidates[3].relevance`."""
    told = "body"
    for part in details["loc"]:
        told += f"[{part}]" if isinstance(part, int) else f".{part}"
    return told


def _expected(details: ErrorDetails) -> str:
    told = details["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return "a value here" if details["type"] == "missing" else told


def _short(value: Any) -> str:
    """A value as JSON, or as Python writes it where JSON cannot; cut where it is long."""
    try:
        text = to_json(value).decode()
    except ValueError:
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
