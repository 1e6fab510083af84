"""`ukdsl report` and the asset report write the same page from a real lake."""

from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, at
from tests.fixtures.shop import DAY


@pytest.mark.slow
def test_the_asset_and_the_command_write_the_same_report(shop: Path, ran: Path, ukdsl: Command) -> None:
    early = ukdsl("report", "shop", "--day", str(DAY), **at(shop))
    assert early.returncode == 2
    assert "has no day 2026-03-01" in early.stderr
    assert "Traceback" not in early.stderr
    page = ran / "lake" / "reports" / "shop" / f"day={DAY}" / "report.html"
    of_asset = page.read_text()
    assert "Student pre_ranking_click" in of_asset
    assert "Released" in of_asset
    own = shop / "own.html"
    done = ukdsl("report", "shop", "--day", str(DAY), "--output", str(own), **at(ran))
    assert done.returncode == 0, done.stderr
    assert str(own) in done.stdout
    assert own.read_text() == of_asset
    page.unlink()
    done = ukdsl("report", "shop", "--day", str(DAY), **at(ran))
    assert done.returncode == 0, done.stderr
    assert str(page) in done.stdout
    assert page.read_text() == of_asset


def test_wrong_arguments_exit_with_two_and_say_what_was_expected(shop: Path, ukdsl: Command) -> None:
    for arguments, expected in (
        (("nobody", "--day", str(DAY)), "no cascade `nobody`; declared are"),
        (("shop", "--day", "2026-03-01..2026-03-02"), "expected one day"),
        (("shop", "--day", str(DAY), "--output", "nowhere/x.html"), "no folder nowhere"),
    ):
        done = ukdsl("report", *arguments, **at(shop))
        assert done.returncode == 2
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
