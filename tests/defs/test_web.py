"""Which reports the UI serves; tests/acceptance/test_browser.py opens one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.temporal_context import TemporalContext

from ukdsl_assets.defs.ended_days import count_days_back_from_their_end
from ukdsl_assets.defs.web import picture_response, read_picture, read_report, report_response
from ukdsl_assets.settings import Settings

DAY = "2026-03-01"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake with the report of one day, and a file beside the reports that nobody may ask for."""
    settings = Settings(lake=str(tmp_path / "lake"))
    for folder in ("reports/shop", "other/shop"):
        place = tmp_path / "lake" / folder / f"day={DAY}"
        place.mkdir(parents=True)
        (place / "report.html").write_bytes(folder.encode())
    return settings


def test_the_report_of_a_day_is_what_lies_in_the_lake(settings: Settings) -> None:
    assert read_report(settings, "shop", DAY) == b"reports/shop"


@pytest.mark.parametrize(
    ("cascade", "day"),
    [
        ("shop", "2026-03-02"),
        ("shop", "tomorrow"),
        ("shop", f"{DAY}/../{DAY}"),
        ("other", DAY),
        ("../other/shop", DAY),
        ("..", DAY),
        ("", DAY),
    ],
)
def test_what_is_no_report_is_not_there(settings: Settings, cascade: str, day: str) -> None:
    assert read_report(settings, cascade, day) is None


def test_a_report_that_cannot_be_read_is_told_in_the_browser(settings: Settings) -> None:
    assert report_response(settings, "shop", DAY).status_code == 200
    assert report_response(settings, "shop", "2026-03-02").status_code == 404
    report = Path(settings.lake, "reports", "shop", f"day={DAY}", "report.html")
    report.unlink()
    report.mkdir()
    answer = report_response(settings, "shop", DAY)
    assert answer.status_code == 500
    assert b"report.html cannot be read" in bytes(answer.body)


def test_a_picture_is_what_lies_in_the_lake_and_nothing_else_is_served(settings: Settings) -> None:
    place = Path(settings.lake, "reports", "shop", f"day={DAY}")
    (place / "click.png").write_bytes(b"a picture")
    assert read_picture(settings, "shop", DAY, "click") == b"a picture"
    for cascade, day, student in (("shop", DAY, "../report"), ("..", DAY, "click"), ("shop", "tomorrow", "click")):
        assert read_picture(settings, cascade, day, student) is None
    assert picture_response(settings, "shop", DAY, "click").media_type == "image/png"
    assert picture_response(settings, "shop", "2026-03-02", "click").status_code == 404
    (place / "other.png").mkdir()
    assert picture_response(settings, "shop", DAY, "other").status_code == 500


@pytest.mark.parametrize(
    ("ascending", "found"), [(False, ["2020-01-03", "2020-01-02"]), (True, ["2020-01-01", "2020-01-02"])]
)
def test_the_newest_days_of_a_cascade_that_has_ended_are_its_last(ascending: bool, found: list[str]) -> None:
    count_days_back_from_their_end()
    count_days_back_from_their_end()
    now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
    context = PartitionLoadingContext(temporal_context=now, dynamic_partitions_store=None)
    ended = dg.DailyPartitionsDefinition("2020-01-01", end_date="2020-01-04", timezone="UTC")
    assert ended.get_paginated_partition_keys(context, limit=2, ascending=ascending).results == found
    # Of one that goes on, the days up to yesterday.
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    going_on = dg.DailyPartitionsDefinition("2020-01-01", timezone="UTC")
    assert going_on.get_paginated_partition_keys(context, limit=1, ascending=False).results == [yesterday]
