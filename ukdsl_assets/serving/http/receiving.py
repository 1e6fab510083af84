"""What every route does first: a body within its limits and of a known type; and errors in the request's words."""

import asyncio
import re
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from ukdsl_assets.errors import RequestError, ScoringError
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.problems import of_validation

T = TypeVar("T")
# How a student's columns word a refusal: of a value, of one that is not there, of an Arrow column.
_WORDED = tuple(
    re.compile(f"(?P<where>.+?){between} (?P<seen>.*?)[,;] expected (?P<expected>.+?); (?P<fix>.+)", re.DOTALL)
    for between in (": saw", " is missing, saw", " is")
)


async def body_of(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        RequestError: 413 above `limits.body_bytes`, 408 where it takes longer than `limits.request_seconds`.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limits.body_bytes:
        raise _too_large(f"{int(told):,} bytes", limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.request_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(f"more than {limits.body_bytes:,} bytes", limits)
                parts.append(part)
    except TimeoutError:
        raise RequestError(
            408,
            "the body did not come in time",
            where="body",
            seen=f"{size:,} bytes in {limits.request_seconds:g} s",
            expected="a whole body by then",
            fix="send it at once, or start the server with a longer --request-seconds",
        ) from None
    except ClientDisconnect:
        raise RequestError(
            400, "the client went away", where="body", seen="a part", expected="all of it", fix="send it again"
        ) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def content_type(request: Request, known: tuple[str, ...]) -> str:
    """The request's content type without its parameters.

    Raises:
        RequestError: 415 for another one than those known.
    """
    seen = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if seen not in known:
        raise RequestError(
            415,
            "the body is of another type",
            where="header Content-Type",
            seen=seen or "none",
            expected=" or ".join(known),
            fix=f"send it as {known[0]} with this header",
        )
    return seen


def parsed(reader: TypeAdapter[T], body: bytes, fix: str) -> T:
    """A body as the reader's type.

    Raises:
        RequestError: 400 where it is no JSON, 422 where it does not fit.
    """
    try:
        return reader.validate_json(body)
    except ValidationError as error:
        raise of_validation(error, fix) from None


def check_count(count: int, limits: Limits, where: str) -> None:
    """Raises RequestError, 413, above `limits.rows`."""
    if count > limits.rows:
        raise RequestError(
            413,
            "the request has too many rows",
            where=where,
            seen=f"{count:,}",
            expected=f"at most {limits.rows:,}",
            fix="send them in several requests, or start the server with a higher --rows",
        )


def of_scoring(error: ScoringError, where: str) -> RequestError:
    """A refusal of features, 422, in its own words."""
    told = str(error)
    worded = next((found for pattern in _WORDED if (found := pattern.fullmatch(told))), None)
    if worded is None:
        seen, expected, fix = told, "features as the student was trained on", "mend what the message names"
        return RequestError(422, "a row does not fit", where=where, seen=seen, expected=expected, fix=fix)
    parts = worded.groupdict()
    return RequestError(
        422,
        "a row does not fit",
        where=f"{where}: {parts['where']}",
        seen=parts["seen"],
        expected=parts["expected"],
        fix=parts["fix"],
    )


def _too_large(seen: str, limits: Limits) -> RequestError:
    return RequestError(
        413,
        "the body is too large",
        where="body",
        seen=seen,
        expected=f"at most {limits.body_bytes:,} bytes",
        fix="send fewer rows a request, or start the server with a higher --body-megabytes",
    )
