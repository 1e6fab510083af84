"""`ukdsl status` tells which days are stale and how to make them again."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from tests.fixtures.command_line import Command, at
from tests.fixtures.published_logs import publish_logs
from tests.fixtures.shop import DAY
from ukdsl_assets.cli.status import _spans
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings


def test_status_names_stale_days_and_the_command_that_makes_them_again(shop: Path, ukdsl: Command) -> None:
    nothing = ukdsl("status", "shop", **at(shop))
    assert nothing.returncode == 0, nothing.stderr
    assert "no day is published" in nothing.stdout
    folders = [shop / "logs" / log / f"day={DAY}" for log in ("candidate_log", "event_log")]
    logs = DayOfLogs(*(pl.read_parquet(folder / "part-0.parquet") for folder in folders))
    workspace = Workspace.open(Settings(lake=at(shop)["UKDSL_LAKE"]))
    publish_logs(workspace, read_cascade(shop / "cascades" / "shop.yaml"), logs, datetime(2026, 3, 2, 5, tzinfo=UTC))
    assert "1 published day(s), 2026-03-01 to 2026-03-01; none is stale" in ukdsl("status", "shop", **at(shop)).stdout
    logs.event_log[:0].write_parquet(folders[1] / "late.parquet")
    told = ukdsl("status", "shop", **at(shop))
    assert told.returncode == 0
    assert "1 stale" in told.stdout
    assert "event_log" in told.stdout
    assert "candidate_log" not in told.stdout
    assert "\nukdsl run shop --days 2026-03-01\n" in told.stdout


def test_days_without_a_gap_are_made_by_one_command() -> None:
    february, first, third = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3)
    assert _spans([february, first, third]) == [(february, first), (third, third)]
    assert _spans([]) == []
