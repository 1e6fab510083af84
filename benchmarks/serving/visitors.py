"""Visitors of the simulated item page who ask a real server for pages, and tell it what they clicked and bought."""

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.logs.sources.simulated_item_page import PURCHASE_VALUE, view_features
from ukdsl_assets.simulation.item_page import ItemPageWorld, PageViews, ServedPages

# Events are sent so many pages together.
PAGES_AN_EVENT_CALL = 200
CONNECTIONS = 4


class Seen(NamedTuple):
    """A day as its visitors saw it.

    rows: a row a page: request_id, visitor (String), day, pages (1), explored, `why` it is in the static order (null
        where students ordered it), the version of each student (null in the static order), click and purchase (how
        many).
    refused: replies that were no page.
    """

    rows: pl.DataFrame
    refused: int


def a_day(port: int, cascade: Cascade, world: ItemPageWorld, day: date, pages: int, static: Sequence[bool]) -> Seen:
    """A day's page views, each answered by the server at that port; their events are with it when this returns.

    Args:
        static: of each page view, whether it is to have the static order, such as of the control's visitors.
    """
    index = (day - cascade.first_day).days
    views = world.page_views(index, pages)
    bodies = _bodies(cascade, world, views, index, day, static)
    share = -(-pages // CONNECTIONS)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = pool.map(lambda at: _asked(port, cascade.name, bodies[at : at + share]), range(0, pages, share))
        replies = [reply for part in parts for reply in part]
    answered = np.array(["order" in reply for reply in replies])
    taken = PageViews(*(column[answered] for column in views))
    pages_made = [reply for reply in replies if "order" in reply]
    served = world.respond(index, taken, _shown(taken, pages_made), np.array([r["explored"] for r in pages_made], bool))
    _tell(port, cascade.name, served, pages_made, day)
    students = [student.name for student in cascade.students]
    rows = pl.DataFrame(
        {
            "request_id": [reply["request_id"] for reply in pages_made],
            "visitor": pl.Series(taken.user).cast(pl.String),
            "day": pl.repeat(day, len(pages_made), dtype=pl.Date, eager=True),
            "pages": pl.repeat(1, len(pages_made), dtype=pl.Int64, eager=True),
            "explored": [reply["explored"] for reply in pages_made],
            "why": pl.Series([reply["why"] for reply in pages_made], dtype=pl.String),
            **{
                name: pl.Series([reply["versions"].get(name) for reply in pages_made], dtype=pl.String)
                for name in students
            },
            "click": served.clicked.sum(1).astype(np.float64),
            "purchase": served.purchased.sum(1).astype(np.float64),
        }
    )
    return Seen(rows, int((~answered).sum()))


def _bodies(
    cascade: Cascade, world: ItemPageWorld, views: PageViews, index: int, day: date, static: Sequence[bool]
) -> list[bytes]:
    """What is asked for each page: its modules in the order of the static configuration, with their features."""
    sides = {feature.name: feature.side for feature in cascade.features if feature.served_as is None}
    of_page = [name for name, side in sides.items() if side == "request"]
    of_module = ["candidate_id", *(name for name, side in sides.items() if side == "candidate")]
    frame = view_features(views, index)
    count = views.modules.shape[1]
    pages = frame.gather_every(count).select("request_id", *of_page).to_dicts()
    modules = frame.select(of_module).to_dicts()
    order = np.argsort(-world.static_configuration(views), axis=1, kind="stable")
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    bodies = []
    for number, page in enumerate(pages):
        moment = midnight + timedelta(microseconds=int(views.microsecond[number]))
        body = {
            "request_id": page.pop("request_id"),
            "requested_at": moment.isoformat(),
            "request": page,
            "candidates": [modules[number * count + place] for place in order[number]],
            "static": bool(static[number]),
        }
        bodies.append(json.dumps(body).encode())
    return bodies


def _asked(port: int, cascade: str, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    with _connection(port) as connection:
        return [_post(connection, f"/rank/{cascade}", body) for body in bodies]


def _shown(views: PageViews, replies: Sequence[dict[str, Any]]) -> np.ndarray:
    """Places among a page's twelve modules by slot, as the world counts them; int64 [R, 6]."""
    ids = np.array([[each["candidate_id"] for each in reply["order"]] for reply in replies], np.int64)
    return (views.modules[:, None, :] == ids[:, :, None]).argmax(axis=2)


def _tell(port: int, cascade: str, served: ServedPages, replies: Sequence[dict[str, Any]], day: date) -> None:
    """Sends impressions, clicks and purchases; RuntimeError where the server does not take them all."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    everything = np.ones_like(served.clicked)
    kinds = (
        ("impression", everything, served.impression_at, None),
        ("click", served.clicked, served.click_at, None),
        ("purchase", served.purchased, served.purchase_at, PURCHASE_VALUE),
    )
    events: list[list[dict[str, Any]]] = [[] for _ in replies]
    for kind, happened, moments, value in kinds:
        for page, slot in zip(*np.nonzero(happened), strict=True):
            reply = replies[page]
            moment = midnight + timedelta(microseconds=int(moments[page, slot]))
            event = {
                "request_id": reply["request_id"],
                "candidate_id": reply["order"][slot]["candidate_id"],
                "event": kind,
                "occurred_at": moment.isoformat(),
                "requested_at": reply["requested_at"],
            }
            events[page].append(event if value is None else {**event, "value": value})
    with _connection(port) as connection:
        for start in range(0, len(events), PAGES_AN_EVENT_CALL):
            sent = [event for page in events[start : start + PAGES_AN_EVENT_CALL] for event in page]
            reply = _post(connection, f"/events/{cascade}", json.dumps({"events": sent}).encode())
            if reply.get("accepted") != len(sent):
                raise RuntimeError(f"events of {day}: sent {len(sent)}, the server says {reply}")


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> dict[str, Any]:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply: dict[str, Any] = json.loads(connection.getresponse().read())
    return reply
