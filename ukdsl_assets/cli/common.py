"""What the commands share: consoles, arguments, and how settings, cascades and days are read from them."""

import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ukdsl_assets.cli.completion import cascade_names, student_names
from ukdsl_assets.errors import DeclarationError, did_you_mean

# Late, as in all commands: `ukdsl --help` and the completion of a name need no declaration and no settings.
if TYPE_CHECKING:
    from rich.status import Status

    from ukdsl_assets.declaration.cascade import Cascade
    from ukdsl_assets.declaration.students import Student
    from ukdsl_assets.settings import Settings


@dataclass
class Speech:
    """How much is told: `--quiet` leaves results and errors alone, `--verbose` adds log lines and tracebacks."""

    quiet: bool = False
    verbose: bool = False


speech = Speech()


class PlainConsole(Console):
    """Prints texts as they are, since a path or a note may hold `[/b]`, which rich would take for markup or refuse.

    Tables keep the markup of their own cells.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        if all(isinstance(each, str) for each in objects):
            options.setdefault("markup", False)
        super().print(*objects, **options)

    def status(self, status: Any, **options: Any) -> "Status":
        """A line of progress on a terminal, where it moves; none in a pipe, and none with `--quiet`."""
        return Console.status(self if self.is_terminal and not speech.quiet else _nowhere, status, **options)


# Wide enough for every table where the output is no terminal, such as a file.
console = PlainConsole(width=None if sys.stdout.isatty() else 120)
complaints = PlainConsole(stderr=True)
_nowhere = Console(quiet=True)
# What `--quiet` leaves out: progress and what is left out, and beside results legends and next steps.
asides, hints = PlainConsole(stderr=True), PlainConsole(width=console.width)

CascadeName = Annotated[
    str,
    typer.Argument(
        metavar="CASCADE", help="Name of a declared cascade, e.g. simulated_ads.", autocompletion=cascade_names
    ),
]
StudentName = Annotated[
    str, typer.Argument(metavar="STUDENT", help="Name of a declared student.", autocompletion=student_names)
]


def text_width() -> int:
    """Characters of a line of text: 80, which every terminal and every mail shows whole, or fewer on a narrow one."""
    return min(console.width, 80)


def check_output(option: str, file: Path | None, or_print: bool = False) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Args:
        option: that names it. or_print: whether `-` stands for standard output.

    Raises:
        DeclarationError: it is a folder, or in one that is not there; or it is `-` and nothing is printed there.
    """
    if file is None or (or_print and is_stdout(file)):
        return
    if is_stdout(file):
        raise DeclarationError(f"{option}: expected a file, saw -; name one")
    if file.is_dir():
        raise DeclarationError(f"{option}: {file} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise DeclarationError(f"{option}: no folder {file.parent}; make it first")


def is_stdout(file: Path | None) -> bool:
    """Whether `-` was given in place of a file."""
    return file == Path("-")


def speak(quiet: bool, verbose: bool) -> None:
    """Set how much is told from here on."""
    speech.quiet, speech.verbose = quiet, verbose
    asides.quiet = hints.quiet = quiet


@contextmanager
def own_terminal() -> Iterator[Console]:
    """Standard error as it is now: Dagster sends this process's output to the run's own log while steps run."""
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as file:
        yield PlainConsole(file=file, quiet=speech.quiet)


def read_settings(**options: str | None) -> "Settings":
    """Settings of the environment and of the project's `.env`; options that were given go before them.

    What else `.env` says is put into the environment, for stores and for Dagster.

    Raises:
        DeclarationError: names each wrong variable and what was seen, or what `.env` has that is no setting.
    """
    from pydantic import ValidationError

    from ukdsl_assets.declaration.wrong_keys import wrong_keys
    from ukdsl_assets.settings import ENV_FILE, Settings, load_environment

    try:
        _refuse_unknown_settings()
        load_environment()
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"UKDSL_{key.upper()}{line.removeprefix(key)}" for key, line in wrong_keys(Settings, {}, error)]
        raise DeclarationError("settings: " + "; ".join(lines)) from None
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{ENV_FILE}: not readable as UTF-8: {error}; write it again") from None


def _refuse_unknown_settings() -> None:
    """Of `.env`, a file of the project's own; the environment may hold variables of other versions."""
    from ukdsl_assets.settings import ENV_FILE, PREFIX, Settings, project_environment, wrong_lines

    for line, text in wrong_lines():
        # What follows the name may be a key of a store.
        name = re.match(r"[\w.]*", text.removeprefix("export ").strip())[0]  # type: ignore[index]
        raise DeclarationError(
            f"{ENV_FILE}, line {line}: expected NAME=VALUE, with both quotes or none, saw {name!r}; write it so, or # "
            "before it"
        )
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in project_environment():
        if name.startswith(PREFIX) and name not in known:
            raise DeclarationError(
                f"{ENV_FILE}: no setting `{name}`, expected one of {', '.join(known)}{did_you_mean(name, known)}"
            )


def find_cascade(settings: "Settings", name: str) -> "tuple[dict[str, Cascade], Cascade]":
    """All sound cascades, and the one of this name; wrong declarations beside it are told on standard error.

    Raises:
        DeclarationError: for an unknown name; lists the known ones, and the declarations that are wrong.
    """
    cascades = find_cascades(settings, name)
    return cascades, cascades[name]


def find_cascades(settings: "Settings", name: str | None = None) -> "dict[str, Cascade]":
    """All sound cascades, among them one of this name; raises and tells as `find_cascade`."""
    from ukdsl_assets.declaration.sound import sound_cascades

    cascades, wrong = sound_cascades(settings.cascades)
    told = "\n".join(str(each) for each in wrong)
    if name is not None and name not in cascades:
        raise DeclarationError(
            f"{not_declared(f'no cascade `{name}`', name, cascades)}. Set UKDSL_CASCADES to a folder of your own YAML"
            + (f". Left out, because what they declare is wrong:\n{told}" if wrong else "")
        )
    if wrong:
        asides.print("Left out, because what they declare is wrong:", style="yellow")
        asides.print(told, highlight=False, soft_wrap=True)
    return cascades


def find_student(cascade: "Cascade", name: str) -> "Student":
    """The student of this name.

    Raises:
        DeclarationError: for an unknown name; lists the known ones.
    """
    names = [student.name for student in cascade.students]
    if name not in names:
        raise DeclarationError(not_declared(f"{cascade.name} has no student `{name}`", name, names))
    return cascade.student(name)


def not_declared(told: str, name: str, known: Iterable[str]) -> str:
    """A sentence about an unknown name, with the known one that is nearest to it, and all known ones."""
    names = list(known)
    near = did_you_mean(name, names)
    return f"{told}{f'{near} Declared' if near else '; declared'} are {', '.join(names) or '(none)'}"


def parse_day(cascade: "Cascade", text: str) -> date:
    """The day of `2026-01-01`.

    Raises:
        DeclarationError: for what is no day, or none that the cascade has.
    """
    try:
        date.fromisoformat(text)
    except ValueError:
        raise DeclarationError(f"--day: expected one day such as 2026-01-01, saw {text!r}") from None
    return parse_days(cascade, text)[0]


def parse_days(cascade: "Cascade", text: str) -> list[date]:
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
    newest = newest_day(cascade)
    for bound in (start, end):
        if not cascade.first_day <= bound <= newest:
            raise DeclarationError(f"--days: {cascade.name} has days {cascade.first_day} to {newest}, saw {bound}")
    return every_day(start, end)


def newest_day(cascade: "Cascade") -> date:
    """The last day that a cascade can have whole logs of: the declared one, or yesterday (UTC) if that is earlier."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return min(cascade.last_day or yesterday, yesterday)


def every_day(first: date, last: date) -> list[date]:
    """The days from the first to the last, both included."""
    return [first + timedelta(days=count) for count in range((last - first).days + 1)]


def refuse_unless_free(host: str, port: int) -> None:
    """Tell that nothing can listen there before anything else is started.

    Raises:
        DeclarationError: the port is taken, or the address is none of this machine's.
    """
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise DeclarationError(
            f"--host {host} --port {port}: cannot listen there: {error}; end what listens there (the same command in "
            "another window?), or choose another --port"
        ) from error
