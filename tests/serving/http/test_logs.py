"""Logs of what was served: in the contract's columns, passed by its gates, and what is not written."""

import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.http_server import Served, serving, until
from tests.fixtures.log_files import declared
from tests.fixtures.served_pages import CASCADE, NAME, page_bodies
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import DeclarationError, RequestError
from ukdsl_assets.logs.contract import candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.logs.gates.day import read_and_judge
from ukdsl_assets.logs.sources.parquet import ParquetReader
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import page_rules
from ukdsl_assets.serving.http import page_log
from ukdsl_assets.serving.http.events import hand_over
from ukdsl_assets.serving.http.log_columns import candidate_log_schema, event_log_schema, refusal
from ukdsl_assets.serving.http.log_rows import LoggedEvent, LoggedPage, candidate_table
from ukdsl_assets.serving.http.metrics import Metrics
from ukdsl_assets.serving.http.models import Models
from ukdsl_assets.serving.http.page_log import PageLog
from ukdsl_assets.serving.http.server import plan_of
from ukdsl_assets.settings import Settings

DAY = date(2026, 1, 2)
MORNING = datetime(2026, 1, 2, 9, tzinfo=UTC)
BODIES = [
    body | {"requested_at": (MORNING + timedelta(seconds=number)).isoformat()}
    for number, body in enumerate(page_bodies(40))
]
WITH_PREDICTIONS = Cascade.model_validate(
    CASCADE.model_dump() | {"stages": [{"name": "module_ranking", "predicts": ["click", "purchase"]}]}
)


def read(folder: Path, cascade: Cascade = CASCADE) -> ParquetReader:
    """The logs as the next day of the graph reads them."""
    return ParquetReader(declared(cascade, str(folder / NAME)))


def event(reply: dict[str, Any], slot: int, kind: str, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    moment = datetime.fromisoformat(reply["requested_at"]) + timedelta(seconds=seconds)
    candidate = reply["order"][slot - 1]["candidate_id"]
    return {
        "request_id": reply["request_id"],
        "candidate_id": candidate,
        "event": kind,
        "occurred_at": moment.isoformat(),
        **more,
    }


@pytest.fixture(scope="module")
def logged(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder of logs, and the replies that they are of; the server has been stopped."""
    folder = tmp_path_factory.mktemp("logs")
    with serving(exported, write_logs=str(folder), log_seconds=0.2) as served:
        replies = [served.rank(body).json for body in BODIES]
        sent = [event(reply, slot, "impression") for reply in replies for slot in range(1, 7)]
        sent += [event(reply, 1, "click", 5) for reply in replies[::2]]
        sent.append(event(replies[0], 1, "purchase", 60, value=12.5))
        assert served.post(f"/events/{NAME}", {"events": sent}).json == {"accepted": len(sent), "left_out": 0}
    return folder, replies


def test_every_candidate_of_every_page_is_in_the_log_as_it_was_served(
    logged: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, replies = logged
    rows = {(row["request_id"], row["candidate_id"]): row for row in read(folder).read(DAY).candidate_log.to_dicts()}

    assert len(rows) == 12 * len(BODIES)
    for body, reply in zip(BODIES, replies, strict=True):
        slots = {each["candidate_id"]: each["slot"] for each in reply["order"]}
        for candidate in body["candidates"]:
            row = rows[body["request_id"], candidate["candidate_id"]]
            slot = slots.get(candidate["candidate_id"])
            assert (row["shown"], row["slot"]) == (slot is not None, slot)
            assert row["explored"] == (reply["explored"] and slot is not None)
            assert (row["propensity"] is not None) == row["explored"]
            assert row["requested_at"] == datetime.fromisoformat(body["requested_at"])
            assert row["relevance"] == pytest.approx(candidate["relevance"])
            assert row["user_profile"] == pytest.approx(body["request"]["user_profile"])
            assert all(reply["logged"] for reply in replies)
    assert any(row["explored"] for row in rows.values())


def test_the_gates_of_the_next_day_pass_what_was_written(logged: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = logged
    judged = read_and_judge(read(folder), declared(CASCADE, str(folder / NAME)), DAY, [])

    assert [result.message for result in judged.results if result.blocks] == []
    assert judged.rows == {"candidate_log": 12 * 40, "event_log": 6 * 40 + 20 + 1}


def test_whole_numbers_that_32_bits_hold_are_logged_as_they_are() -> None:
    body = BODIES[0]
    candidates = [candidate | {"relevance": 2**30} for candidate in body["candidates"]]
    width = len(body["request"]["user_profile"])
    request = body["request"] | {"user_profile": [2**30, *[0.5] * (width - 1)]}
    rules = page_rules(CASCADE)
    columns = {name: [each[name] for each in candidates] for name in rules.features}
    page = build_page(rules, np.zeros(len(candidates)), columns, 1)
    logged = LoggedPage(NAME, 1, MORNING, request, candidates, page, {})
    table = pl.from_arrow(candidate_table(CASCADE, [logged]))

    assert isinstance(table, pl.DataFrame)
    assert table["relevance"].unique().to_list() == [2.0**30]
    assert table["user_profile"][0].to_list() == [2.0**30, *[0.5] * (width - 1)]


def test_files_are_whole_and_in_their_days_folder(logged: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = logged
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]

    assert names
    assert all(
        name.startswith((f"{NAME}/candidate_log/day={DAY}/part-", f"{NAME}/event_log/day={DAY}/")) for name in names
    )


def test_predictions_of_the_stage_are_logged_and_pages_without_them_are_not(exported: Path, tmp_path: Path) -> None:
    with serving(exported, cascade=WITH_PREDICTIONS, write_logs=str(tmp_path)) as served:
        scored = served.rank(BODIES[0]).json
        served.follower.stop()
        served.service.models.swap((NAME, "module_click"), None)
        static = served.rank(BODIES[1]).json
        left = served.post(f"/events/{NAME}", {"events": [event(static, 1, "impression")]}).json
        metrics = served.get("/metrics").content.decode()

    assert (scored["logged"], static["logged"], static["fallback"]) == (True, False, True)
    assert left == {"accepted": 0, "left_out": 1}
    assert 'ukdsl_log_dropped_total{log="candidate_log",why="no prediction"} 1.0' in metrics
    rows = read(tmp_path, WITH_PREDICTIONS).read(DAY).candidate_log
    assert rows["request_id"].unique().to_list() == [BODIES[0]["request_id"]]
    clicks, purchases = (rows[f"module_ranking_{task}_prediction"].to_numpy() for task in ("click", "purchase"))
    by_candidate = dict(zip(rows["candidate_id"], clicks + 5 * clicks * purchases, strict=True))
    for placed in scored["order"]:
        assert placed["value"] == pytest.approx(by_candidate[placed["candidate_id"]], rel=1e-5)


def test_a_page_that_comes_twice_is_logged_once(exported: Path, tmp_path: Path) -> None:
    with serving(exported, write_logs=str(tmp_path)) as served:
        assert [served.rank(BODIES[0]).json["logged"] for _ in range(2)] == [True, False]

    assert len(read(tmp_path).read(DAY).candidate_log) == 12


def test_what_finds_no_room_is_counted_and_answered_all_the_same(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_log, "QUEUED", 1)
    with serving(exported, write_logs=str(tmp_path), loaded=True) as served:
        log = served.service.log
        assert log is not None
        # The thread is stopped, so that nothing makes room.
        log.stop()
        replies = [served.rank(body).json for body in BODIES[:3]]
        refused = served.post(f"/events/{NAME}", {"events": [event(replies[0], 1, "impression")]})
        metrics = served.get("/metrics").content.decode()

    assert [len(reply["order"]) for reply in replies] == [6, 6, 6]
    assert [reply["logged"] for reply in replies] == [True, False, False]
    assert (refused.status, refused.json["what"]) == (503, "the logs have no room")
    assert 'ukdsl_log_dropped_total{log="candidate_log",why="queue full"} 2.0' in metrics


def test_what_cannot_be_written_now_is_written_later(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("a file in the place of the folder")
    with serving(exported, write_logs=str(folder), log_seconds=0.1) as served:
        assert served.rank(BODIES[0]).json["logged"]
        log = served.service.log
        assert log is not None
        until(lambda: log.failures > 0)
        folder.unlink()
    assert len(read(folder).read(DAY).candidate_log) == 12


def test_a_store_that_does_not_answer_keeps_the_server_from_ending_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, answers = PageLog(str(tmp_path), {NAME: CASCADE}, Metrics(Models([]))), threading.Event()
    monkeypatch.setattr(log, "_write", lambda *_: answers.wait(30))
    log.start()
    log.put(LoggedEvent(NAME, 1, MORNING, 1, "click", MORNING, None))

    began = time.monotonic()
    log.stop(0.2)

    assert time.monotonic() - began < 10
    assert "not all of the logs is written, after 0.2 seconds" in caplog.text
    answers.set()
    log.stop()


def test_an_entry_that_makes_no_rows_keeps_no_other_from_the_log(exported: Path, tmp_path: Path) -> None:
    with serving(exported, write_logs=str(tmp_path)) as served:
        log = served.service.log
        assert log is not None
        served.rank(BODIES[0])
        log.put(LoggedEvent(NAME, "no number", MORNING, 1, "click", MORNING, None))
        log.put(LoggedEvent(NAME, 1, MORNING, 1, "click", MORNING, None))
        log.stop()
        metrics = served.get("/metrics").content.decode()

    assert read(tmp_path).read(DAY).event_log["request_id"].to_list() == [1]
    assert 'ukdsl_log_dropped_total{log="event_log",why="makes no rows"} 1.0' in metrics


def test_events_that_find_no_room_are_the_last_ones_whatever_the_thread_writes_meanwhile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = PageLog(str(tmp_path), {NAME: CASCADE}, Metrics(Models([])))
    taken: list[int] = []
    room = iter([True, False, True])

    def put(entry: LoggedEvent) -> bool:
        if found := next(room):
            taken.append(entry.candidate_id)  # type: ignore[arg-type]
        return found

    # The third would find room, as where the thread has taken some out of the queue by then.
    monkeypatch.setattr(log, "put", put)
    sent = [LoggedEvent(NAME, 1, MORNING, number, "click", MORNING, None) for number in range(3)]
    with pytest.raises(RequestError, match="1 of 3 events were taken"):
        hand_over(log, sent)
    assert taken == [0]


@pytest.mark.parametrize(
    ("change", "where", "expected"),
    [
        ({"event": "view"}, "body.events[0].event", "'click'"),
        ({"candidate_id": 0}, "body.events[0]", "one of"),
        ({"request_id": 5}, "body.events[0]", "one that this server answered lately"),
        ({"occurred_at": "2026-01-01T00:00:00Z"}, "body.events[0].occurred_at", "or later"),
        ({"occurred_at": "2199-01-01T00:00:00Z"}, "body.events[0].occurred_at", "a few minutes later"),
        ({"occurred_at": "2026-01-02T10:00:00"}, "body.events[0].occurred_at", "timezone"),
        ({"value": float("nan")}, "body.events[0].value", "finite"),
        ({"value": True}, "body.events[0].value", "number"),
    ],
)
def test_an_event_that_does_not_fit_its_page_is_refused(
    with_logs: Served, change: dict[str, Any], where: str, expected: str
) -> None:
    reply = with_logs.rank(BODIES[0]).json
    refused = with_logs.post(f"/events/{NAME}", {"events": [event(reply, 1, "click") | change]})

    assert refused.status == 422
    assert refused.json["where"] == where
    assert expected in refused.json["expected"]


def test_an_event_of_a_page_of_another_server_is_taken_where_that_is_asked_for(
    with_logs: Served, exported: Path, tmp_path: Path
) -> None:
    sent = {"request_id": 1, "candidate_id": 2, "event": "click", "requested_at": MORNING.isoformat()}

    # One event without a page would keep the whole day from being published.
    refused = with_logs.post(f"/events/{NAME}", {"events": [sent]})
    assert (refused.status, "--trust-events" in refused.json["fix"]) == (422, True)
    with serving(exported, write_logs=str(tmp_path), trust_events=True) as trusting:
        assert trusting.post(f"/events/{NAME}", {"events": [sent]}).json == {"accepted": 1, "left_out": 0}
        missing = trusting.post(f"/events/{NAME}", {"events": [{**sent, "requested_at": None}]})
        assert missing.status == 422


@pytest.fixture(scope="module")
def with_logs(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(exported, write_logs=str(tmp_path_factory.mktemp("events"))) as served:
        yield served


def test_without_logs_events_have_no_place(served: Served) -> None:
    reply = served.post(f"/events/{NAME}", {"events": []})

    assert (reply.status, reply.json["what"]) == (404, "no logs are written")


FEATURES = [
    {"name": "user", "kind": "categorical", "side": "request", "values": "string", "missing": "allowed"},
    {"name": "tags", "kind": "multi_valued", "side": "candidate", "values": "string"},
    {"name": "codes", "kind": "multi_valued", "side": "candidate"},
    {"name": "taste", "kind": "vector", "side": "candidate", "width": 3},
    {"name": "age", "kind": "numeric", "side": "request"},
    {"name": "slot", "kind": "categorical", "side": "candidate", "values": "string", "served_as": "1"},
]


@pytest.mark.parametrize("identifiers", ["integer", "string"])
def test_columns_are_those_of_the_contract(identifiers: str) -> None:
    none: dict[str, Any] = {"students": [], "teachers": [], "segments": [], "page": None, "off_policy": None}
    changed = {"identifiers": identifiers, "features": FEATURES, **none}
    cascade = Cascade.model_validate(WITH_PREDICTIONS.model_dump() | changed)

    for schema, dtypes in (
        (candidate_log_schema(cascade), candidate_log_dtypes(cascade)),
        (event_log_schema(cascade), event_log_dtypes(cascade)),
    ):
        frame = pl.from_arrow(schema.empty_table())
        assert isinstance(frame, pl.DataFrame)
        assert dict(frame.schema) == dtypes


@pytest.mark.parametrize("change", [{"has_bid": True}, {"has_truth": True}])
def test_logs_that_the_server_cannot_fill_are_refused_before_it_starts(change: dict[str, Any], tmp_path: Path) -> None:
    cascade = CASCADE.model_copy(update=change)
    (named,) = change

    assert named in str(refusal(cascade))
    with pytest.raises(DeclarationError, match=named):
        plan_of(Settings(lake=str(tmp_path)), {NAME: cascade}, [NAME], write_logs=str(tmp_path))
    assert [refusal(CASCADE), refusal(WITH_PREDICTIONS)] == [None, None]
