"""Events a moment before their request count from it where the source says how much clocks differ."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.log_files import DAY, declared, write_day
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sources import ParquetSource
from ukdsl_assets.gates import blocking
from ukdsl_assets.logs.contract import EVENT_ORDER, DayOfLogs
from ukdsl_assets.logs.gates.day import read_and_judge
from ukdsl_assets.logs.gates.rows import judge_event_log
from ukdsl_assets.logs.sources.parquet import ParquetReader
from ukdsl_assets.logs.tolerance import within_tolerance


def shifted(shop: Cascade, moment: timedelta) -> DayOfLogs:
    """A day whose events all are so much after their request (before it, if negative)."""
    logs = make_logs(shop, DAY)
    requests = logs.candidate_log.select("request_id", "candidate_id", "requested_at")
    events = logs.event_log.join(requests, on=["request_id", "candidate_id"], maintain_order="left")
    events = events.with_columns(occurred_at=pl.col("requested_at") + moment).drop("requested_at")
    return DayOfLogs(logs.candidate_log, events.sort(EVENT_ORDER))


@pytest.mark.parametrize(
    ("moment", "expected"), [(-2, 0), (-3, -3), (0, 0), (5, 5)], ids=["at most", "too early", "at once", "after"]
)
def test_events_inside_the_tolerance_are_moved_to_their_request_and_no_others(
    shop: Cascade, moment: int, expected: int
) -> None:
    logs = shifted(shop, timedelta(seconds=moment))
    moved = within_tolerance(declared(shop, "unused", clock_tolerance="PT2S"), logs)
    assert moved.event_log.equals(shifted(shop, timedelta(seconds=expected)).event_log)
    assert moved.candidate_log.equals(logs.candidate_log)
    assert within_tolerance(shop, logs).event_log.equals(logs.event_log)


def test_what_is_kept_of_a_day_has_no_event_before_its_request(shop: Cascade, tmp_path: Path) -> None:
    logs = shifted(shop, timedelta(milliseconds=-300))
    write_day(logs, str(tmp_path))
    said = {}
    for tolerance in ("PT0S", "PT1S"):
        cascade = declared(shop, str(tmp_path), clock_tolerance=tolerance)
        kept: list[DayOfLogs] = []
        judged = read_and_judge(ParquetReader(cascade), cascade, DAY, [], kept.append, shards=2)
        said[tolerance] = [result.message for result in blocking(judged.results)]
    assert "occurred_at" in said["PT0S"][0]
    assert "or declare by how much clocks differ as `clock_tolerance` under `source`" in said["PT0S"][0]
    assert said["PT1S"] == []
    events = pl.concat(part.event_log for part in kept)
    assert events.height == logs.event_log.height
    assert judge_event_log(shop, DAY, events, logs.candidate_log)[0].passed


def test_moved_events_stand_in_the_order_of_the_contract(shop: Cascade) -> None:
    logs = shifted(shop, timedelta(0))
    key = logs.event_log.select("request_id", "candidate_id", "occurred_at").row(0)
    early = [(*key[:2], "order", key[2] - timedelta(seconds=2), None), (*key[:2], "impression", key[2], None)]
    events = pl.DataFrame(early, schema=logs.event_log.schema, orient="row")
    moved = within_tolerance(declared(shop, "unused", clock_tolerance="PT2S"), DayOfLogs(logs.candidate_log, events))
    assert moved.event_log["event"].to_list() == ["impression", "order"]


def test_logs_without_the_columns_or_rows_are_left_to_the_gates(shop: Cascade) -> None:
    cascade, logs = declared(shop, "unused", clock_tolerance="PT2S"), make_logs(shop, DAY)
    for candidates, events in (
        (logs.candidate_log.drop("requested_at"), logs.event_log),
        (logs.candidate_log, logs.event_log.drop("occurred_at")),
        (logs.candidate_log.clear(), logs.event_log),
        (logs.candidate_log, logs.event_log.clear()),
    ):
        assert within_tolerance(cascade, DayOfLogs(candidates, events)).event_log.equals(events)


@pytest.mark.parametrize("tolerance", ["-PT1S", "P1D", "3"])
def test_a_tolerance_is_no_more_than_an_hour(tolerance: str) -> None:
    with pytest.raises(ValueError, match="clock_tolerance"):
        ParquetSource.model_validate({"kind": "parquet", "path": "x", "clock_tolerance": tolerance})


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+5", "", "../etc/passwd"])
def test_a_time_zone_is_a_name_or_an_offset(zone: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a time zone, such as Europe/Berlin or UTC"):
        ParquetSource.model_validate({"kind": "parquet", "path": "x", "time_zone": zone})
