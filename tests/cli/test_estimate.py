"""`ukdsl estimate`: a glance in 80 columns, every figure as JSON, and what cannot be estimated told by name."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, at
from tests.fixtures.estimates import DAY, table_of
from tests.fixtures.graph import shipped
from ukdsl_assets.cli.estimate import _estimated
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import Settings

NAME = "simulated_item_page"


@pytest.fixture
def lake(tmp_path: Path) -> dict[str, str]:
    """Two days of estimates of both shipped students."""
    settings = Settings(lake=str(tmp_path / "lake"))
    lake = Lake(settings.tables, settings.shards)
    for student, table in (("module_click", table_of(2)), ("module_purchase", table_of(2, paired=False))):
        for day in (DAY, DAY + timedelta(days=1)):
            frame = table.filter(day=day).drop("day")
            lake.commit(lake.stage_frame((NAME, student, "off_policy"), day, frame), {})
    return {"UKDSL_LAKE": str(tmp_path / "lake"), "DAGSTER_HOME": str(tmp_path / "home")}


def test_a_glance_says_what_both_earn_and_by_how_much_in_80_columns(lake: dict[str, str], ukdsl: Command) -> None:
    told = ukdsl("estimate", NAME, COLUMNS="80", **lake)
    assert told.returncode == 0, told.stderr
    text = " ".join(told.stdout.split())
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert "simulated_item_page/module_click (simulated): 2026-01-01 to 2026-01-02" in text
    assert "click a request, by sndr; 800 explored requests (same day)" in text
    assert "production is of the same requests, paired; it earned 0.4000 on its own 2,000" in text
    assert "production is of 2,000 requests that it served itself" in text
    assert "rewards of 50% of the requests were final when logs were read" in text
    assert "policy_above_production: passed: click a request by sndr" in text
    assert all(estimator in text for estimator in ("snips", "cascade_dr"))
    assert text.count("by every estimator") == 1  # No purchase was estimated.
    quiet = ukdsl("estimate", NAME, "module_click", "--days", "2026-01-02..2026-01-05", "--quiet", **lake)
    assert "Days asked for without an estimate: 3" in quiet.stdout
    assert "Which estimator when" not in quiet.stdout
    assert "simulated_item_page/module_click (simulated): 2026-01-02\n" in quiet.stdout


def test_every_figure_is_json(lake: dict[str, str], ukdsl: Command) -> None:
    told = ukdsl("estimate", NAME, "module_click", "--json", **lake)
    (found,) = json.loads(told.stdout)
    assert (found["student"], found["days"]) == ("module_click", ["2026-01-01", "2026-01-02"])
    by = {each["estimator"]: each for each in found["estimates"]}
    assert by["sndr"]["requests"] == 800
    assert by["sndr"]["difference"]["low"] > 0
    assert by["ips"]["value"]["low"] < by["ips"]["value"]["mean"] < by["ips"]["value"]["high"]


def test_the_page_is_told_by_name_after_its_students(lake: dict[str, str], ukdsl: Command) -> None:
    command = "ukdsl run simulated_item_page --days 2026-01-02"
    assert (
        f"simulated_item_page/page: no estimate yet. Make one:\n  {command}\n" in ukdsl("estimate", NAME, **lake).stdout
    )
    settings = Settings(lake=lake["UKDSL_LAKE"])
    store = Lake(settings.tables, settings.shards)
    store.commit(store.stage_frame((NAME, "off_policy"), DAY, table_of(1).drop("day")), {})
    told = ukdsl("estimate", NAME, "page", COLUMNS="80", **lake)
    assert told.returncode == 0, told.stderr
    text = " ".join(told.stdout.split())
    assert max(map(len, told.stdout.splitlines())) <= 80
    begins = (
        "simulated_item_page/page (simulated): 2026-01-01 its rules on module_click, module_purchase; without explor"
    )
    assert text.startswith(begins)
    assert "if the page were shown" in text
    assert "click, by every estimator" in text
    # It decides nothing.
    assert "policy_above_production" not in text
    found = json.loads(ukdsl("estimate", NAME, "--json", **lake).stdout)
    whose = [(each["policy"], each["student"]) for each in found]
    assert whose == [("student", "module_click"), ("student", "module_purchase"), ("page", None)]


def test_a_page_that_is_not_declared_is_told_with_what_is_estimated() -> None:
    with pytest.raises(
        DeclarationError, match=r"no page is estimated; declare `page:`.*: module_click, module_purchase"
    ):
        _estimated(shipped(NAME, page=None), "page")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("simulated_ads",), "simulated_ads declares no `off_policy`, so nothing is estimated"),
        ((NAME, "module_clic"), "no student `module_clic`; did you mean `module_click`?"),
        ((NAME, "--days", "2026-01-05"), "has no day of 2026-01-05..2026-01-05"),
        ((NAME, "--days", "yesterday"), "--days: expected 2026-01-01 or 2026-01-01..2026-01-07, saw 'yesterday'"),
        (("nothing",), "no cascade `nothing`"),
    ],
)
def test_what_cannot_be_estimated_is_told(
    lake: dict[str, str], ukdsl: Command, arguments: tuple[str, ...], told: str
) -> None:
    ended = ukdsl("estimate", *arguments, **lake)
    assert ended.returncode == 2
    assert told in " ".join(ended.stderr.split())


def test_without_a_day_it_says_how_to_make_one(tmp_path: Path, ukdsl: Command) -> None:
    (tmp_path / "cascades").mkdir()
    ended = ukdsl("estimate", NAME, **{**at(tmp_path), "UKDSL_CASCADES": ""})
    assert ended.returncode == 2
    assert "ukdsl run simulated_item_page --days 2026-01-01" in " ".join(ended.stderr.split())
