"""`POST /events/{cascade}`: what users did with pages, for the event log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from ukdsl_assets.errors import RequestError
from ukdsl_assets.serving.http.log_rows import LoggedEvent
from ukdsl_assets.serving.http.page_log import PageLog
from ukdsl_assets.serving.http.receiving import body_of, check_count, content_type, parsed
from ukdsl_assets.serving.http.service import Service
from ukdsl_assets.serving.http.wire import JSON

# By which a client's clock may be ahead.
MOST_AHEAD = timedelta(minutes=5)
_FIX = 'send {"events": [{"request_id": ..., "candidate_id": ..., "event": ...}, ...]}'


async def events(service: Service, request: Request) -> Response:
    """Takes events of pages; all of a request, or none where one does not fit.

    Raises:
        RequestError: 404 where no logs are written, 413, 415 or 422; 503 where the logs have no room.
    """
    cascade = str(request.path_params["cascade"])
    service.cascade(cascade)
    content_type(request, (JSON,))
    body = await body_of(request, service.limits)
    if service.log is None:
        fix = "start it with --write-logs FOLDER"
        raise RequestError(
            404, "no logs are written", where="the server", seen="no folder for logs", expected="one", fix=fix
        )
    sent = parsed(service.requests[cascade].events, body, _FIX)["events"]
    check_count(len(sent), service.limits, "body.events")
    now = datetime.now(UTC)
    read = [_logged(service, cascade, each, place, now) for place, each in enumerate(sent)]
    kept = [each for each in read if each is not None]
    hand_over(service.log, kept)
    reply = {"accepted": len(kept), "left_out": len(read) - len(kept)}
    return Response(to_json(reply), 202, media_type=JSON)


def hand_over(log: PageLog, kept: Sequence[LoggedEvent]) -> None:
    """Gives events to the logs, in their order, until one finds no room.

    Raises:
        RequestError: 503, with how many of the first ones were taken.
    """
    taken = next((place for place, each in enumerate(kept) if not log.put(each)), len(kept))
    if taken < len(kept):
        raise RequestError(
            503,
            "the logs have no room",
            where="the server",
            seen=f"a full queue; {taken:,} of {len(kept):,} events were taken",
            expected="room in it",
            fix="send those that were not taken, the last ones, once more",
        )


def _logged(service: Service, cascade: str, event: dict[str, Any], place: int, now: datetime) -> LoggedEvent | None:
    """An event as the log has it; None where its page is not in the logs.

    Raises:
        RequestError: 422 where it does not fit its page.
    """
    where = f"body.events[{place}]"
    page = service.seen.get(cascade, event["request_id"])
    if page is not None and not page.logged:
        service.metrics.log_dropped.labels("event_log", "page not logged").inc()
        return None
    trusted = event.get("requested_at") if service.trust_events else None
    requested_at = trusted if page is None else page.requested_at
    if requested_at is None:
        raise RequestError(
            422,
            "the page of an event is not known",
            where=where,
            seen=f"request_id {event['request_id']!r}",
            expected="one that this server answered lately" + (", or `requested_at`" if service.trust_events else ""),
            fix="send `requested_at` as the page's reply has it"
            if service.trust_events
            else "send it to the server that answered the page, or start this one with --trust-events",
        )
    if page is not None and event["candidate_id"] not in page.shown:
        raise RequestError(
            422,
            "an event of a candidate that the page did not show",
            where=where,
            seen=f"candidate_id {event['candidate_id']!r}",
            expected=f"one of {', '.join(map(str, page.shown[:20])) or 'none'}",
            fix="send events of what the page's reply has in `order`",
        )
    occurred_at = event.get("occurred_at") or max(now, requested_at)
    if not requested_at <= occurred_at <= now + MOST_AHEAD:
        early = occurred_at < requested_at
        latest = f"{now.isoformat()}, or a few minutes later where clocks differ"
        raise RequestError(
            422,
            "an event before its request" if early else "an event of the future",
            where=f"{where}.occurred_at",
            seen=occurred_at.isoformat(),
            expected=f"{requested_at.isoformat()} or later" if early else latest,
            fix="send the time at which it happened, with its zone",
        )
    return LoggedEvent(
        cascade,
        event["request_id"],
        requested_at.astimezone(UTC),
        event["candidate_id"],
        event["event"],
        occurred_at.astimezone(UTC),
        event.get("value"),
    )
