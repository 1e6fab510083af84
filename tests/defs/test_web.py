"""Which reports the UI serves; tests/acceptance/test_browser.py opens one."""

from pathlib import Path

import pytest

from ukdsl_assets.defs.web import read_report, report_response
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
