"""What the commands share: consoles, arguments, and how settings, cascades and days are read from them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.declaration.wrong_keys import wrong_keys
from ukdsl_assets.errors import DeclarationError, did_you_mean
from ukdsl_assets.settings import Settings

# Wide enough for every table where the output is no terminal, such as a file.
console = Console(width=None if sys.stdout.isatty() else 120)
complaints = Console(stderr=True)

CascadeName = Annotated[str, typer.Argument(metavar="CASCADE", help="Name of a declared cascade, e.g. simulated_ads.")]


@contextmanager
def own_terminal() -> Iterator[Console]:
    """Standard error as it is now: Dagster sends this process's output to the run's own log while steps run."""
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as file:
        yield Console(file=file)


def read_settings(**options: str | None) -> Settings:
    """Settings of the environment; options that were given go before it.

    Raises:
        DeclarationError: names each wrong variable and what was seen.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"UKDSL_{key.upper()}{line.removeprefix(key)}" for key, line in wrong_keys(Settings, {}, error)]
        raise DeclarationError("settings: " + "; ".join(lines)) from None


def find_cascade(settings: Settings, name: str) -> tuple[dict[str, Cascade], Cascade]:
    """All declared cascades, and the one of this name.

    Raises:
        DeclarationError: for an unknown name; lists the known ones.
    """
    cascades = read_cascades(SHIPPED, settings.cascades)
    if name not in cascades:
        raise DeclarationError(
            f"no cascade `{name}`; declared are {', '.join(cascades)}{did_you_mean(name, cascades)}. Set "
            "UKDSL_CASCADES to a folder of your own YAML"
        )
    return cascades, cascades[name]


def parse_day(cascade: Cascade, text: str) -> date:
    """The day of `2026-01-01`.

    Raises:
        DeclarationError: for what is no day, or none that the cascade has.
    """
    try:
        date.fromisoformat(text)
    except ValueError:
        raise DeclarationError(f"--day: expected one day such as 2026-01-01, saw {text!r}") from None
    return parse_days(cascade, text)[0]


def parse_days(cascade: Cascade, text: str) -> list[date]:
    """The days of `2026-01-01` or `2026-01-01..2026-01-07`, both ends included.

    Raises:
        DeclarationError: for what is no such text, or days that the cascade does not have.
    """
    first, between, last = text.partition("..")
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last if between else first)
    except ValueError:
        raise DeclarationError(f"--days: expected 2026-01-01 or 2026-01-01..2026-01-07, saw {text!r}") from None
    if end < start:
        raise DeclarationError(f"--days: the last day {end} is before the first, {start}")
    newest = cascade.last_day or datetime.now(UTC).date() - timedelta(days=1)
    for bound in (start, end):
        if not cascade.first_day <= bound <= newest:
            raise DeclarationError(f"--days: {cascade.name} has days {cascade.first_day} to {newest}, saw {bound}")
    return [start + timedelta(days=count) for count in range((end - start).days + 1)]
