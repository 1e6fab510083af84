"""`ukdsl check-logs` over days: a line a day, what failed, and every verdict as JSON."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.command_line import Command, at
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, write
from ukdsl_assets.declaration.read import read_cascade

THREE_DAYS = ("check-logs", "shop", "--days", "2026-03-01..2026-03-03")


@pytest.fixture
def a_bad_day(shop: Path) -> Path:
    """A sound day, one with a bid below zero, and one without logs."""
    day = DAY + timedelta(days=1)
    logs = make_logs(read_cascade(shop / "cascades" / "shop.yaml"), day, requests=60)
    write(shop / "logs", day, logs._replace(candidate_log=logs.candidate_log.with_columns(bid=-pl.col("bid") - 1)))
    return shop


def test_each_day_is_a_line_and_only_what_failed_is_told(a_bad_day: Path, ukdsl: Command) -> None:
    told = ukdsl(*THREE_DAYS, **at(a_bad_day))
    assert told.returncode == 1
    first, second, *_ = [line for line in told.stdout.splitlines() if line.startswith("2026-03")]
    assert first.startswith("2026-03-01  keeps the contract, ")
    assert second.startswith("2026-03-02  1 of ")
    words = " ".join(told.stdout.split())
    assert "2026-03-03 no candidate log for 2026-03-03 at " in words
    assert "nearest days there: 2026-03-01, 2026-03-02" in words
    # A path is whole, whatever its length.
    assert all(len(line) <= 80 for line in told.stdout.splitlines() if str(a_bad_day) not in line)
    assert "bid" in told.stdout
    assert "keys_unique" not in told.stdout
    assert told.stdout.endswith("2 gate(s) failed on 2 of 3 day(s)\n")
    assert "keys_unique" in ukdsl(*THREE_DAYS, "--verbose", **at(a_bad_day)).stdout


def test_every_verdict_is_in_the_json_and_nothing_else_is_printed(a_bad_day: Path, ukdsl: Command) -> None:
    told = ukdsl(*THREE_DAYS, "--json", "-", **at(a_bad_day))
    assert told.returncode == 1
    verdicts = json.loads(told.stdout)
    by_day = {day: [each for each in verdicts if each["day"] == day] for day in ("2026-03-01", "2026-03-02")}
    assert all(not each["blocks"] for each in by_day["2026-03-01"])
    (failed,) = [each for each in by_day["2026-03-02"] if each["blocks"]]
    assert (failed["log"], failed["severity"], failed["passed"]) == ("candidate_log", "ERROR", False)
    assert "bid" in failed["message"]
    path = a_bad_day / "verdicts.json"
    assert "2026-03-01  keeps" in ukdsl(*THREE_DAYS, "--json", str(path), **at(a_bad_day)).stdout
    assert json.loads(path.read_text()) == verdicts


def test_a_days_volume_is_compared_with_the_days_that_were_judged_before_it(shop: Path, ukdsl: Command) -> None:
    cascade = read_cascade(shop / "cascades" / "shop.yaml")
    for later, requests in ((1, 60), (2, 2)):
        day = DAY + timedelta(days=later)
        write(shop / "logs", day, make_logs(cascade, day, requests=requests))
    verdicts = json.loads(ukdsl(*THREE_DAYS, "--json", "-", **at(shop)).stdout)
    volume = {each["day"]: each for each in verdicts if each["gate"] == "volume_near_trailing_median"}
    assert volume["2026-03-02"]["passed"]
    assert not volume["2026-03-03"]["passed"]
    assert "720" in volume["2026-03-03"]["message"]


def test_one_of_day_and_days_is_asked_for(shop: Path, ukdsl: Command) -> None:
    assert "--day or --days: expected one of them" in ukdsl("check-logs", "shop", **at(shop)).stderr
