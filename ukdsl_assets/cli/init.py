"""`ukdsl init`: a project from raw files, or from the shipped sample."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ukdsl_assets.cli.common import complaints, console, speech
from ukdsl_assets.errors import DeclarationError, OnboardingError, redacted

if TYPE_CHECKING:
    from ukdsl_assets.onboarding.project import NewProject

# Width of what is printed, and of the columns of a guess.
WIDTH = 80
_WHAT, _COLUMN = 24, 18


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new cascade and its folder, e.g. shop.")],
    candidates: Annotated[
        str | None,
        typer.Option(help="Scored candidates: Parquet, CSV, JSON lines or feather; a file, folder or 'pattern'."),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Clicks and other outcomes, likewise; none where candidates say `clicked`.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=COLUMN", help="Say which column is what, e.g. request_id=auction_id; repeatable."),
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE=COLUMN", help="Say a stage's prediction; once a stage, in their order."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Of times without a zone, e.g. Europe/Berlin; UTC if left out.")
    ] = None,
) -> None:
    """Make a project of raw logs: guess what their columns mean, write YAML and mapping, map them, and check a day.

    Without files it begins with a small sample of simulated logs. What is there already is never overwritten.
    """
    from ukdsl_assets.onboarding.project import check_name, check_place, make_project
    from ukdsl_assets.onboarding.raw import find_raw_files

    check_name(name)
    check_place(Path.cwd() / name)
    if events is not None and candidates is None:
        raise OnboardingError("--events: expected --candidates too; name the file of scored candidates")
    chosen, stages = _pairs("--column", column), _pairs("--stage", stage)
    zone = _zone(time_zone)
    sample = candidates is None
    if sample:
        shipped = Path(__file__).parents[1] / "sample"
        candidates, events = str(shipped / "candidates.parquet"), str(shipped / "events.parquet")
    assert candidates is not None
    scored = find_raw_files(candidates, "--candidates")
    happened = None if events is None else find_raw_files(events, "--events")
    with _stopped_by_sigterm(), complaints.status("reading, guessing, mapping ..."):
        note = "simulated" if sample else ""
        made = make_project(name, Path.cwd(), scored, happened, dict(chosen), stages, zone, note, ended=sample)
    _tell(made, name, sample)
    if made.failed:
        raise typer.Exit(1)


def _tell(made: "NewProject", name: str, sample: bool) -> None:
    """What was guessed and left out, the day's verdict, and the next step; at most 80 characters a line."""
    if sample:
        _say("The sample is simulated: an ads cascade whose pre-ranking over-predicts.")
    rows = sum(made.days.values())
    _say(f"{rows:,} candidates of {len(made.days)} day(s), {min(made.days)} to {max(made.days)}")
    partial = [str(day) for day in made.days if day not in made.full]
    if partial:
        _say(f"Days with less than half of the usual rows: {', '.join(partial)}")
    _say("")
    for guess in made.guessed.guesses:
        if guess.sure and guess.confidence < 0.9 and guess.what.startswith("feature"):
            continue
        _guessed(guess.what, guess.column or "-", guess.reason, guess.sure)
    names = [each.feature.name for each in made.guessed.features.features]
    _wrapped(f"features ({len(names)}): ", ", ".join(names))
    for left, why in made.guessed.left_out.items():
        _say(f"left out: {left} ({why})")
    _say("")
    gates = made.judged.results
    if made.failed:
        _say(f"{made.day}: {len(made.failed)} of {len(gates)} gates of the logs failed:", style="red")
        for result in made.failed:
            _wrapped(f"  {result.name}: ", result.message)
        _wrapped("", f"Made: {name}/. Mend {name}/mapping.py or cascades/{name}.yaml, run the mapping again, and then:")
        _say(f"  cd {name} && ukdsl check-logs {name} --day {made.day}")
        return
    passed = sum(result.passed for result in gates)
    _say(f"{made.day}: the logs keep the contract ({passed} of {len(gates)} gates passed).", style="green")
    doubts = len(made.guessed.doubts)
    look = f"; look at {doubts} line(s) with CHECK in mapping.py and the YAML" if doubts else ""
    _wrapped("", f"Made: {name}/, see its README.md{look}.{'' if speech.quiet else ' Next:'}")
    if speech.quiet:
        return
    span = f"{made.full[0]}..{made.full[-1]}" if len(made.full) > 1 else str(made.full[0])
    _say(f"  cd {name}")
    _say(f"  ukdsl diagnose {name} --day {made.day}")
    _say(f"  ukdsl run {name} --days {span}")


def _guessed(what: str, column: str, reason: str, sure: bool) -> None:
    import textwrap

    head = f"{what:<{_WHAT}} {column:<{_COLUMN}} "
    text = redacted(head + ("" if sure else "CHECK: ") + reason)
    for line in textwrap.wrap(text, WIDTH, subsequent_indent=" " * (_WHAT + _COLUMN + 2)):
        console.print(line, highlight=False, soft_wrap=True, style=None if sure else "yellow")


def _say(line: str, **options: Any) -> None:
    shown = redacted(line)
    shown = shown if len(shown) <= WIDTH else shown[: WIDTH - 3] + "..."
    console.print(shown, highlight=False, soft_wrap=True, **options)


def _wrapped(head: str, text: str) -> None:
    import textwrap

    for line in textwrap.wrap(head + redacted(text), WIDTH, subsequent_indent=" " * min(len(head), 4)):
        console.print(line, highlight=False, soft_wrap=True)


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in given or []:
        what, between, name = text.partition("=")
        if not between or not what or not name:
            raise OnboardingError(f"{option} {text}: expected WHAT=COLUMN, such as request_id=auction_id")
        pairs.append((what.strip(), name.strip()))
    return pairs


def _zone(text: str | None) -> str | None:
    from zoneinfo import ZoneInfo

    try:
        return None if text is None else ZoneInfo(text).key
    except (ValueError, OSError, LookupError):
        raise DeclarationError(f"--time-zone {text}: expected a name such as Europe/Berlin or UTC") from None


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does, so that nothing half made stays."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
