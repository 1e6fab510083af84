"""A project's folder: its files, made beside its place and moved there when all of it is whole."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import OF_NO_CASCADE
from ukdsl_assets.declaration.json_schema import cascade_schema
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.logs.gates.day import Judged, read_and_judge
from ukdsl_assets.logs.sources.parquet import ParquetReader
from ukdsl_assets.onboarding.columns import may_be_called
from ukdsl_assets.onboarding.declaration_text import declaration_text
from ukdsl_assets.onboarding.guess import Guessed, guess_mapping
from ukdsl_assets.onboarding.mapping_script import mapping_script
from ukdsl_assets.onboarding.raw import RawFiles
from ukdsl_assets.onboarding.skeleton import skeleton

_LONGEST_NAME = 48
# A day with less than this share of the median day's rows is one that the files hold a part of.
_FULL_DAY = 0.5


@dataclass(frozen=True)
class NewProject:
    """What was made.

    Attributes:
        days: rows of the candidate log of each UTC day. full: days that are whole.
        judged: the gates' verdicts on `day`, the newest full one.
        said: what the mapping printed.
    """

    folder: Path
    guessed: Guessed
    days: Mapping[date, int]
    full: Sequence[date]
    day: date
    judged: Judged
    said: str

    @property
    def failed(self) -> list[GateResult]:
        """Gates that the day does not pass."""
        return blocking(self.judged.results)


def check_name(name: str) -> None:
    """Refuse what no cascade of one's own may be called.

    Raises:
        OnboardingError: says what it may be.
    """
    if not may_be_called(name) or len(name) > _LONGEST_NAME:
        raise OnboardingError(
            f"{name!r}: a cascade's name is made of a-z, 0-9 and single _, begins with a letter, has at most "
            f"{_LONGEST_NAME} of them, and is no word of YAML such as `no`; e.g. {_near(name)}"
        )
    taken = {*OF_NO_CASCADE, *(path.stem for path in SHIPPED.glob("*.yaml"))}
    if name in taken:
        raise OnboardingError(f"{name!r} is taken; choose another name than {', '.join(sorted(taken))}")


def check_place(folder: Path) -> None:
    """Refuse a folder in which something is.

    Raises:
        OnboardingError: nothing of what is there was touched.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise OnboardingError(
            f"{folder} is there already and is not an empty folder; nothing in it was changed. Choose another name, or "
            "move it away. To map new days into that project: python mapping.py --candidates FILE --events FILE"
        )
    if not folder.parent.is_dir():
        raise OnboardingError(f"{folder.parent} is no folder; make it first")


def make_project(
    name: str,
    parent: Path,
    candidates: RawFiles,
    events: RawFiles | None,
    chosen: Mapping[str, str] | None = None,
    stages: Sequence[tuple[str, str]] = (),
    zone: str | None = None,
    note: str = "",
    ended: bool = False,
) -> NewProject:
    """Guess, write, map and judge; the folder is there when all is done, and otherwise nothing is.

    Args:
        name: of the cascade and its folder below `parent`.
        chosen, stages, zone: as `guess_mapping` takes them.
        note: of the declaration. ended: whether the logs go on no further.

    Raises:
        OnboardingError: see `check_name`, `check_place`, `guess_mapping`; the mapping failed; or no day is whole.
        DeclarationError: what was guessed is no sound declaration.
    """
    check_name(name)
    folder = parent.resolve() / name
    check_place(folder)
    guessed = _guessed(candidates, events, chosen, stages, zone)
    with _moved_when_whole(folder) as unfinished:
        (unfinished / "cascades").mkdir()
        script = mapping_script(guessed, candidates.format, None if events is None else events.format)
        (unfinished / "mapping.py").write_text(script, encoding="utf-8")
        said = _mapped(unfinished, candidates, events)
        days = _days(unfinished)
        full = _full_days(days)
        clicks = _clicks(unfinished, guessed.tasks[0].kind.name)
        if not clicks:
            raise OnboardingError(_no_click(guessed, candidates, events))
        last = full[-1] if ended else None
        declared = unfinished / "cascades" / f"{name}.yaml"
        declared.write_text(declaration_text(guessed, name, full[0], last, clicks / len(full), note), encoding="utf-8")
        (unfinished / "cascade.schema.json").write_text(
            json.dumps(cascade_schema(), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        for place, text in skeleton(name, full, candidates.place, None if events is None else events.place).items():
            (unfinished / place).parent.mkdir(exist_ok=True)
            (unfinished / place).write_text(text, encoding="utf-8")
        cascade = read_cascade(declared)
        judged = _judged(cascade, full[-1])
    return NewProject(folder, guessed, days, full, full[-1], judged, said)


def _guessed(
    candidates: RawFiles,
    events: RawFiles | None,
    chosen: Mapping[str, str] | None,
    stages: Sequence[tuple[str, str]],
    zone: str | None,
) -> Guessed:
    """As `guess_mapping`, and its errors name the files."""
    scored, happened = candidates.sample(), None if events is None else events.sample()
    try:
        return guess_mapping(scored, happened, chosen, stages, zone)
    except OnboardingError as error:
        places = candidates.place + ("" if events is None else f" and {events.place}")
        raise OnboardingError(f"{error}. Looked at {places}") from error


@contextmanager
def _moved_when_whole(folder: Path) -> Iterator[Path]:
    """A folder beside this one, under a hidden name, that becomes it at the end; gone where that does not come."""
    try:
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.init-", dir=folder.parent))
    except OSError as error:
        raise OnboardingError(
            f"{folder.parent}: no folder can be made there ({error.strerror}); begin in one of your own"
        ) from error
    try:
        # What a temporary folder is allowed is its owner's alone.
        unfinished.chmod(0o777 & ~_umask())
        yield unfinished
        try:
            # Takes the place of an empty folder, and of nothing else.
            os.rename(unfinished, folder)
        except OSError as error:
            raise OnboardingError(
                f"{folder} was made meanwhile ({error.strerror}); nothing in it was changed"
            ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _mapped(folder: Path, candidates: RawFiles, events: RawFiles | None) -> str:
    """Run the script as a person does, and return what it printed."""
    command = [sys.executable, "mapping.py", "--candidates", candidates.place]
    command += [] if events is None else ["--events", events.place]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        # A library may print its plan after the line that names the error.
        named = [line for line in said if re.match(r"[\w.]*(Error|Exception): ", line)]
        raise OnboardingError(
            f"the mapping of {candidates.place} failed: {(named or said)[-1]}. It was made of the first rows; name the "
            "column that was taken for something else: --column request_id=COLUMN, or --stage STAGE=COLUMN"
        )
    return done.stdout


def _days(folder: Path) -> dict[date, int]:
    files = sorted(folder.glob("logs/candidate_log/day=*/*.parquet"))
    return {
        date.fromisoformat(f.parent.name.removeprefix("day=")): pl.scan_parquet(f).select(pl.len()).collect().item()
        for f in files
    }


def _full_days(days: Mapping[date, int]) -> list[date]:
    if not days:
        raise OnboardingError(
            "the mapping wrote no row; expected rows with a time. Name its column: --column requested_at=COLUMN"
        )
    median = sorted(days.values())[len(days) // 2]
    return [day for day, rows in sorted(days.items()) if rows >= _FULL_DAY * median]


def _clicks(folder: Path, event: str) -> int:
    files = sorted(folder.glob("logs/event_log/day=*/*.parquet"))
    return int(pl.scan_parquet(files).select((pl.col("event") == event).sum()).collect().item()) if files else 0


def _no_click(guessed: Guessed, candidates: RawFiles, events: RawFiles | None) -> str:
    """Why a task that no day has a label of is none, with ids of both files where there are two."""
    name, of = guessed.tasks[0].kind.name, guessed.events
    if events is None or of is None:
        return f"{candidates.place}: no {name} is on a shown row; name what was shown: --column shown=COLUMN"
    pairs = (of.request, guessed.keys.request), (of.candidate, guessed.keys.candidate)
    seen = "; ".join(
        f"`{there}` {guessed.event_columns[there].ids[0]!r} there, `{here}` {guessed.columns[here].ids[0]!r} here"
        for there, here in pairs
    )
    return (
        f"{events.place}: none of its {name}s is of a shown candidate of {candidates.place}; saw {seen}. Give files of "
        "the same days, or name the ids: --column event.request_id=COLUMN --column event.candidate_id=COLUMN"
    )


def _judged(cascade: Cascade, day: date) -> Judged:
    return read_and_judge(ParquetReader(cascade), cascade, day, [])


def _near(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    words = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", plain)).strip("_")[:_LONGEST_NAME]
    return words if may_be_called(words) else "shop"
