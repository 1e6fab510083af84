"""What the commands share: consoles, arguments, and how settings, cascades and days are read from them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.declaration.wrong_keys import wrong_keys
from ukdsl_assets.errors import DeclarationError, did_you_mean
from ukdsl_assets.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

# Characters of a line from which there is room for a bar, and of the figures beside a step's name with and without it.
WIDE = 140
FIGURES_WITH_BAR, FIGURES_ALONE = 102, 42


class PlainConsole(Console):
    """Prints texts as they are, since a path or a note may hold `[/b]`, which rich would take for markup or refuse.

    Tables keep the markup of their own cells.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        if all(isinstance(each, str) for each in objects):
            options.setdefault("markup", False)
        super().print(*objects, **options)


# Wide enough for every table where the output is no terminal, such as a file.
console = PlainConsole(width=None if sys.stdout.isatty() else 120)
complaints = PlainConsole(stderr=True)

CascadeName = Annotated[str, typer.Argument(metavar="CASCADE", help="Name of a declared cascade, e.g. simulated_ads.")]


@contextmanager
def own_terminal() -> Iterator[Console]:
    """Standard error as it is now: Dagster sends this process's output to the run's own log while steps run."""
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as file:
        yield PlainConsole(file=file)


def day_progress(terminal: Console) -> "Progress":
    """A bar over the steps of days, with as much beside it as the terminal has room for; none where it is a file."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [TextColumn("{task.fields[day]}"), MofNCompleteColumn(), TextColumn("steps")]
    if terminal.width >= WIDE:
        columns[1:1] = [BarColumn()]
        columns += [TimeElapsedColumn(), TextColumn("elapsed,")]
    columns += [TimeRemainingColumn(), TextColumn("left  {task.description}", markup=False)]
    return Progress(*columns, console=terminal, disable=not terminal.is_terminal)


def beside_progress(terminal: Console, step: str) -> str:
    """As much of a step's name or line as there is room for beside the figures of `day_progress`."""
    figures = FIGURES_WITH_BAR if terminal.width >= WIDE else FIGURES_ALONE
    return step[: max(terminal.width - figures, 0)]


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
    """All sound cascades, and the one of this name; wrong declarations beside it are told on standard error.

    Raises:
        DeclarationError: for an unknown name; lists the known ones, and the declarations that are wrong.
    """
    cascades, wrong = sound_cascades(settings.cascades)
    told = "\n".join(str(each) for each in wrong)
    if name not in cascades:
        raise DeclarationError(
            f"no cascade `{name}`; declared are {', '.join(cascades)}{did_you_mean(name, cascades)}. Set "
            "UKDSL_CASCADES to a folder of your own YAML"
            + (f". Left out, because what they declare is wrong:\n{told}" if wrong else "")
        )
    if wrong:
        complaints.print("Left out, because what they declare is wrong:", style="yellow")
        complaints.print(told, highlight=False, soft_wrap=True)
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
