"""`ukdsl compare` shows a student over days: tables that fit a terminal, a line of bars, decisions, a picture."""

import math
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.test_status import opened
from tests.fixtures.command_line import Command, at
from tests.fixtures.published_day import publish_day
from tests.fixtures.shop import DAY
from ukdsl_assets.reports.comparison import spark

ASKED = ("compare", "shop", "pre_ranking_click", "--days", "2026-03-01..2026-03-03")


@pytest.fixture
def two_days(shop: Path) -> Path:
    """The shop with an evaluation of the first day and of the third, which was refused."""
    workspace, cascade = opened(shop)
    for day in (DAY, DAY + timedelta(days=2)):
        publish_day(workspace, cascade, day)
    entry = {"day": "2026-03-03", "arm": "distilled", "checkpoint": "0123456789abcdef", "decided_on": "2026-03-03"}
    workspace.checkpoints.refuse(("shop", "pre_ranking_click"), entry | {"reasons": ["calibrated: 1.2", "more"]})
    return shop


def test_days_stand_below_each_other_with_errors_and_decisions(two_days: Path, ukdsl: Command) -> None:
    told = ukdsl(*ASKED, **at(two_days))
    assert told.returncode == 0, told.stderr
    # Of the fixture: calibration 1.2 with error 0.01, a change of -2% with error 1%.
    assert "03-01  1.200 +- .010  1.200 +- .010         -  -2.00 +- 1.00%            -\n" in told.stdout
    assert "Shown rows, against labels (IMP; 100 withheld rows a day)" in told.stdout
    assert "Rows that the next stage scored, against the teacher (CD;" in told.stdout
    assert "03-03  0123456789abcdef  Refused    calibrated: 1.2" in told.stdout
    assert "Without an evaluation: 2026-03-02" in told.stdout
    picture = two_days / "lake" / "reports" / "shop" / "compare" / "pre_ranking_click_2026-03-01_2026-03-03.png"
    assert told.stdout.endswith(f"Picture: {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_picture_goes_where_it_is_asked_for_and_is_the_same_each_time(two_days: Path, ukdsl: Command) -> None:
    first, second = two_days / "first.svg", two_days / "second.svg"
    for path in (first, second):
        assert ukdsl(*ASKED, "--output", str(path), **at(two_days)).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    assert b"released before" not in first.read_bytes()  # No such arm was evaluated.
    wrong = ukdsl(*ASKED, "--output", "picture.gif", **at(two_days))
    assert wrong.returncode == 2
    assert "expected a file that ends with .png or .svg" in wrong.stderr


def test_days_without_any_evaluation_are_refused_with_what_to_do(shop: Path, ukdsl: Command) -> None:
    told = ukdsl(*ASKED[:4], "2026-03-02", **at(shop))
    assert told.returncode == 2
    assert "shop/pre_ranking_click/evaluation has none of 2026-03-02" in told.stderr
    assert "ukdsl run shop --days 2026-03-02" in told.stderr


def test_an_unknown_student_is_told_with_the_nearest(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("compare", "shop", "pre_ranking_clik", "--days", "2026-03-01", **at(shop))
    assert told.returncode == 2
    assert "shop has no student `pre_ranking_clik`; did you mean `pre_ranking_click`? Declared are" in told.stderr


def test_bars_rise_with_values_and_leave_a_blank_for_what_is_not_finite() -> None:
    assert spark([0.0, 0.5, math.nan, 1.0], 0.0, 1.0, "_-#") == "_- #"
    assert spark([2.0, 2.0], 2.0, 2.0, "_-#") == "--"
    assert spark([], 0.0, 1.0) == ""
