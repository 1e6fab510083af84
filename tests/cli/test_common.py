"""What commands are given is read, or refused with what was expected."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ukdsl_assets.cli.common import check_output, parse_days
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import DeclarationError


def test_days_are_read_with_both_ends() -> None:
    cascade = read_cascade(SHIPPED / "kuairand.yaml")
    assert parse_days(cascade, "2022-04-30..2022-05-02") == [date(2022, 4, 30), date(2022, 5, 1), date(2022, 5, 2)]
    assert parse_days(cascade, "2022-05-08") == [date(2022, 5, 8)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("soon", "expected 2026-01-01 or"),
        ("2022-05-02..2022-05-01", "is before the first"),
        ("2022-05-08..2022-05-09", "has days 2022-04-25 to 2022-05-08, saw 2022-05-09"),
        ("2022-01-01", "has days 2022-04-25"),
    ],
)
def test_wrong_days_are_told_with_the_days_there_are(text: str, expected: str) -> None:
    with pytest.raises(DeclarationError, match=expected):
        parse_days(read_cascade(SHIPPED / "kuairand.yaml"), text)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    for file, words in (
        (tmp_path, f"--json: {tmp_path} is a folder; name a file in it"),
        (tmp_path / "none" / "x.json", f"--json: no folder {tmp_path / 'none'}; make it first"),
        (Path("-"), "--json: expected a file, saw -"),
    ):
        with pytest.raises(DeclarationError) as told:
            check_output("--json", file)
        assert str(told.value).startswith(words)
    check_output("--json", Path("-"), or_print=True)
    check_output("--json", None)
    check_output("--json", tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_still_going_on_is_told_before_anything_runs() -> None:
    today = datetime.now(UTC).date()
    around = {"first_day": today - timedelta(days=3), "last_day": today + timedelta(days=3)}
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml").model_copy(update=around)
    assert parse_days(cascade, str(today - timedelta(days=1))) == [today - timedelta(days=1)]
    with pytest.raises(DeclarationError, match=f"to {today - timedelta(days=1)}, saw {today}"):
        parse_days(cascade, str(today))
