"""`ukdsl diagnose` on a user's own files: nothing is trained, and nothing but the page is written."""

import json
from pathlib import Path

from tests.fixtures.command_line import Command, at
from tests.fixtures.shop import DAY


def test_a_day_of_files_is_diagnosed_in_the_terminal_as_a_page_and_for_machines(shop: Path, ukdsl: Command) -> None:
    done = ukdsl("diagnose", "shop", "--day", str(DAY), "--json", str(shop / "out.json"), **at(shop))
    assert done.returncode == 0, done.stderr
    assert "shop, 2026-03-01: 720 candidates of 60 requests" in done.stdout
    assert "pre_ranking " in done.stdout
    assert "\n  ukdsl run shop --days 2026-03-01\n" in done.stdout
    page = shop / "lake" / "reports" / "shop" / f"day={DAY}" / "diagnosis.html"
    assert str(page) in done.stdout
    assert "<h1>Diagnosis of shop, 2026-03-01" in page.read_text()
    assert [path for path in (shop / "lake").rglob("*") if path.is_file()] == [page]
    figures = json.loads((shop / "out.json").read_text())
    (ranked,) = [
        each
        for each in figures["comparisons"]
        if (each["stage"], each["domain"], each["reference"]) == ("pre_ranking", "CD", "teacher")
    ]
    assert ranked["low"] < ranked["calibration"] < ranked["high"]
    assert ranked["positives"] is None
    assert figures["days"] == [str(DAY)]
    printed = ukdsl("diagnose", "shop", "--day", str(DAY), "--json", "-", **at(shop))
    # Each is of its own moment.
    assert json.loads(printed.stdout) | {"known_until": ""} == figures | {"known_until": ""}
    # In a pipe there is no line that moves, and nothing that clears it.
    assert printed.stderr == ""
    quiet = ukdsl("--quiet", "diagnose", "shop", "--day", str(DAY), **at(shop))
    assert "pre_ranking " in quiet.stdout
    assert "ukdsl run" not in quiet.stdout


def test_days_and_a_file_for_the_page(shop: Path, ukdsl: Command) -> None:
    own = shop / "own.html"
    done = ukdsl("diagnose", "shop", "--days", f"{DAY}..{DAY}", "--html", str(own), **at(shop))
    assert done.returncode == 0, done.stderr
    assert own.is_file()
    assert not (shop / "lake").exists()


def test_what_is_wrong_ends_with_two_and_says_what_was_expected(shop: Path, ukdsl: Command) -> None:
    for arguments, expected in (
        ((), "expected one of --day"),
        (("--day", str(DAY), "--days", str(DAY)), "expected one of --day"),
        (("--day", "2026-03-02"), f"nearest days there: {DAY}"),
        (("--day", str(DAY), "--html", "nowhere/x.html"), "--html: no folder nowhere"),
        (("--day", str(DAY), "--json", "nowhere/x.json"), "--json: no folder nowhere"),
    ):
        done = ukdsl("diagnose", "shop", *arguments, **at(shop))
        assert done.returncode == 2, done.stdout
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
