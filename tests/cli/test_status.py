"""`ukdsl status` tells what serves and was decided, which days are missing or stale, and how to make them."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, Ended, at
from tests.fixtures.published_day import publish_day
from tests.fixtures.shop import DAY
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.reports.standing import spans
from ukdsl_assets.settings import Settings


def opened(shop: Path) -> tuple[Workspace, Cascade]:
    """The shop's lake, and its declaration, which ends on its third day."""
    path = shop / "cascades" / "shop.yaml"
    if "last_day" not in path.read_text():
        path.write_text(f"{path.read_text()}last_day: {DAY + timedelta(days=2)}\n")
    return Workspace.open(Settings(lake=at(shop)["UKDSL_LAKE"])), read_cascade(path)


def test_a_cascade_without_a_day_says_so_and_how_to_begin(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("status", "shop", **at(shop))
    assert told.returncode == 0, told.stderr
    assert told.stdout == ("shop: no day is published yet\nMake the first day: ukdsl run shop --days 2026-03-01\n")


def test_stale_missing_and_unlogged_days_are_told_with_the_command_that_makes_them(shop: Path, ukdsl: Command) -> None:
    workspace, cascade = opened(shop)
    publish_day(workspace, cascade, DAY)
    publish_day(workspace, cascade, DAY + timedelta(days=1), leave_out="evaluation")
    late = shop / "logs" / "event_log" / f"day={DAY}" / "late.parquet"
    late.write_bytes((late.parent / "part-0.parquet").read_bytes())
    told = ukdsl("status", "shop", **at(shop))
    assert told.returncode == 0, told.stderr
    assert "shop: 2 published day(s), 2026-03-01 to 2026-03-02" in told.stdout
    assert "missing: 2026-03-02: unfinished, without pre_ranking_click/evaluation" in told.stdout
    assert "stale: 2026-03-01: event_log: its files have changed since they were read" in told.stdout
    assert "without logs: 2026-03-03" in told.stdout
    assert told.stdout.endswith("ukdsl run shop --missing\n")
    read = json.loads(ukdsl("status", "shop", "--json", **at(shop)).stdout)[0]
    assert [each["day"] for each in read["missing"]] == ["2026-03-02"]
    assert [each["table"] for each in read["stale"]] == ["shop/event_log"]
    assert read["without_logs"] == ["2026-03-03"]
    assert read["newest_day"] == "2026-03-02"


@pytest.mark.parametrize("outcome", ["released", "refused", "not_judged"])
def test_the_newest_decision_is_told_with_its_first_reason(shop: Path, ukdsl: Command, outcome: str) -> None:
    workspace, cascade = opened(shop)
    publish_day(workspace, cascade)
    key, store = ("shop", "pre_ranking_click"), workspace.checkpoints
    entry = {"day": str(DAY), "arm": "distilled", "checkpoint": "0123456789abcdef", "decided_on": str(DAY)}
    store.release(key, entry)
    newest = entry | {"checkpoint": "fedcba9876543210", "reasons": ["calibrated_on_scored: 1.4", "another"]}
    if outcome != "released":
        (store.refuse if outcome == "refused" else store.leave_unjudged)(key, newest)
    told = ukdsl("status", "shop", **at(shop))
    assert "pre_ranking_click: serves 2026-03-01, checkpoint 0123456789abcdef" in told.stdout
    expected = {
        "released": "Released on 2026-03-01\n",
        "refused": "Refused on 2026-03-01: calibrated_on_scored: 1.4 (and 1 more)\n",
        "not_judged": "Not judged on 2026-03-01: calibrated_on_scored: 1.4 (and 1 more)\n",
    }
    assert f"    {expected[outcome]}" in told.stdout
    read = {each["cascade"]: each for each in json.loads(ukdsl("status", "--json", **at(shop)).stdout)}
    (student,) = read["shop"]["students"]
    assert student["serves"] == {"day": str(DAY), "checkpoint": "0123456789abcdef"}
    assert student["newest_decision"]["outcome"] == outcome
    assert student["newest_evaluation"] == str(DAY)


def test_without_a_name_own_cascades_are_told_and_no_shipped_one_that_nobody_ran(shop: Path, ukdsl: Command) -> None:
    publish_day(*opened(shop))
    told = ukdsl("status", **at(shop)).stdout
    assert "shop: 1 published day(s), 2026-03-01" in told
    assert "kuairand" not in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.slow
def test_a_day_that_was_run_is_whole_and_not_stale(ran: Path, ukdsl: Command) -> None:
    told = Ended(**json.loads((ran / "said.json").read_text()))
    assert told.returncode == 0
    read = json.loads(ukdsl("status", "shop", "--json", **at(ran)).stdout)[0]
    assert read["published_days"] == [str(DAY)]
    assert str(DAY) not in [each["day"] for each in read["missing"]]
    assert read["stale"] == []
    assert read["students"][0]["newest_decision"]["outcome"] == "released"


def test_days_without_a_gap_are_one_span() -> None:
    february, first, third = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3)
    assert spans([february, first, third]) == ["2026-02-28..2026-03-01", "2026-03-03"]
    assert spans([]) == []
