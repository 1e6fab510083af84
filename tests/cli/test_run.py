"""`ukdsl run --missing` finds the days to make and says why before it makes them."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.test_status import opened
from tests.fixtures.command_line import Command, at
from tests.fixtures.logs import make_logs
from tests.fixtures.published_day import publish_day
from tests.fixtures.shop import DAY, write


def test_missing_and_stale_days_are_told_with_their_reason_and_none_is_made(shop: Path, ukdsl: Command) -> None:
    workspace, cascade = opened(shop)
    publish_day(workspace, cascade, DAY + timedelta(days=1))
    told = ukdsl("run", "shop", "--missing", "--dry-run", **at(shop))
    assert told.returncode == 0, told.stderr
    # Its logs are there and nobody has made it; the third day has no logs.
    assert told.stdout == "  missing: 2026-03-01: not made yet\n  without logs: 2026-03-03\n"
    late = shop / "logs" / "candidate_log" / "day=2026-03-02"
    (late / "late.parquet").write_bytes((late / "part-0.parquet").read_bytes())
    told = ukdsl("run", "shop", "--missing", "--dry-run", "--days", "2026-03-02..2026-03-03", **at(shop))
    assert "stale: 2026-03-02: candidate_log: its files have changed since they were read" in told.stdout
    assert "2026-03-01" not in told.stdout
    assert workspace.lake.partitions(("shop", "candidate_log")) == [DAY + timedelta(days=1)]


def test_where_nothing_is_missing_nothing_is_run(shop: Path, ukdsl: Command) -> None:
    workspace, cascade = opened(shop)
    publish_day(workspace, cascade)
    told = ukdsl("run", "shop", "--missing", "--days", str(DAY), **at(shop))
    assert (told.returncode, told.stdout) == (0, "  nothing is missing, nothing is stale\n")
    assert not (shop / "home").exists()


def test_a_dry_run_of_given_days_names_them(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("run", "shop", "--days", "2026-03-01..2026-03-02", "--dry-run", **at(shop))
    assert told.stdout == "shop: would make 2 day(s): 2026-03-01, 2026-03-02\n"
    assert not (shop / "lake").exists()


def test_without_days_both_ways_to_name_them_are_told(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("run", "shop", **at(shop))
    assert told.returncode == 2
    assert "--days: expected the days to make, such as 2026-03-01 or" in told.stderr
    assert "--missing" in told.stderr


@pytest.mark.slow
def test_the_missing_day_is_told_and_then_begun(shop: Path, ukdsl: Command) -> None:
    _, cascade = opened(shop)
    logs = make_logs(cascade, DAY, requests=60)
    # A day that its first step refuses takes no training.
    write(shop / "logs", DAY, logs._replace(candidate_log=logs.candidate_log.drop("price")))
    told = ukdsl("run", "shop", "--missing", "--verbose", **at(shop))
    assert told.returncode == 1
    assert told.stdout.startswith("  missing: 2026-03-01: not made yet\n")
    assert "price" in told.stderr
    # Dagster's own words, which say when a step begins.
    assert "STEP_START" in told.stderr
