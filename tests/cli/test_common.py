"""What commands are given is read, or refused with what was expected."""

from datetime import date

import pytest

from ukdsl_assets.cli.common import parse_days
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
