"""Which files of a folder of logs are a day's; nothing of the day is left out unless it is named.

Paths are paths: no character of them is a pattern.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.errors import SourceError
from ukdsl_assets.frames.files import PARQUET_ENDINGS, FoundFiles, files_of_rows, of_a_writer, shown
from ukdsl_assets.logs.contract import LogName

# A day's folder as others write it: day=2026-3-1, dt=20260301, 2026-03-01; and an hour's: 2026-03-01T05, 2026030105.
_A_DAY = re.compile(
    r"(?:(?:day|date|dt|ds)=)?(\d{4})(?:[-_.](\d{1,2})[-_.](\d{1,2})(?:[-_.T ]\d\d)?|(\d\d)(\d\d)(?:[-_.T ]?\d\d)?)\s*",
    re.IGNORECASE,
)
# Of what is in a folder a message shows so much.
_SHOWN = 5


def files_of_day(path: str, log: LogName, day: date, declared: str) -> tuple[fsspec.AbstractFileSystem, list[str]]:
    """The file system of a source and a log's files of a day, in order of their paths.

    Args:
        path: of the source, as `beside` gives it.
        declared: the declaration that names it, for messages.

    Raises:
        SourceError: the store cannot be reached; the folder or day is missing, holds no Parquet file, or holds files
            that would not be read; a day's rows lie beside its folder, loose or in one whose name is written otherwise.
    """
    with reaching(path, f"source.path of {declared}"):
        files, root = opened(path)
        folder = f"{root.rstrip('/')}/{log}"
        there = _names(files, folder)
        if there is None:
            beside_it = _names(files, root) or []
        elif f"day={day}" in there and files.isdir(f"{folder}/day={day}"):
            found = files_of_rows(files, f"{folder}/day={day}")
        else:
            found = FoundFiles([], [])
    if there is None:
        seen = f"; saw {_some(beside_it)} there" if beside_it else ""
        raise SourceError(
            f"{path}/{log}: no such folder; expected {log}/day=YYYY-MM-DD/*.parquet under source.path of {declared}"
            f"{seen}{_unset(path)}"
        )
    if astray := [name for name in there if _is_day(name, day) and name != f"day={day}"]:
        raise SourceError(
            f"{path}/{log}: {_some(astray)} would not be read: a day's folder is written day={day}; rename it, or "
            "begin its name with `_` to leave it out"
        )
    if astray := [name for name in there if name.lower().endswith(PARQUET_ENDINGS) and not of_a_writer(name)]:
        raise SourceError(
            f"{path}/{log}: {_some(astray)} would not be read: in no day's folder; move each to day=YYYY-MM-DD, the "
            "UTC day of its requests"
        )
    if found.refused:
        raise SourceError(f"{path}/{log}/day={day}: {found.refusal}")
    if not found.read:
        fix = "; a day without events needs an empty file" if log == "event_log" else ""
        empty = ", which holds no *.parquet file" if f"day={day}" in there else ""
        raise SourceError(
            f"no {log.replace('_', ' ')} for {day} at {path}/{log}/day={day}{empty}; nearest days there: "
            f"{_nearest_days(there, day)}; write the day's logs first, or choose a day that is there{fix}"
        )
    return files, found.read


def beside(origin: str, path: str) -> str:
    """A path of a declaration: `~` and `$NAME` of the environment are filled in, and a relative one is relative to its
    file, wherever the command runs; URIs stay as they are."""
    if "://" in path:
        return path
    path = os.path.expandvars(os.path.expanduser(path))
    return path if Path(path).is_absolute() else str(Path(origin).parent / path)


def opened(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a source's path and the path on it; what is listed is what is there now."""
    files, root = (LocalFileSystem(), path) if "://" not in path else fsspec.core.url_to_fs(path)
    files.invalidate_cache()
    return files, root


@contextmanager
def reaching(place: str, declared: str) -> Iterator[None]:
    """Turn what a store raises into SourceError; every store has errors of its own, so that all are caught."""
    try:
        yield
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"{place}: no client for this store is installed: {error}") from error
    except Exception as error:
        told = f"{place}: cannot be reached or read: {type(error).__name__}: {error}"
        raise SourceError(
            f"{told}; check the protocol and address in {declared}, the store's credentials in the "
            "environment (e.g. AWS_ACCESS_KEY_ID) and the network"
        ) from error


def _names(files: fsspec.AbstractFileSystem, folder: str) -> list[str] | None:
    """Names of what is in a folder, sorted; None if there is no such folder."""
    if not files.isdir(folder):
        return None
    return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in files.ls(folder, detail=False))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(map(shown, names[:_SHOWN]))}{more}"


def _unset(path: str) -> str:
    """What to say of variables in a path that the environment does not have."""
    unset = re.findall(r"\$\{?\w+\}?", path)
    return f"; not set in the environment: {', '.join(unset)}" if unset else ""


def _is_day(name: str, day: date) -> bool:
    written = _A_DAY.fullmatch(name)
    return written is not None and tuple(int(part) for part in written.groups() if part) == day.timetuple()[:3]


def _nearest_days(names: list[str], day: date, count: int = 3) -> str:
    """The nearest other days that are there, and if there are none, what is."""
    days = []
    for name in names:
        try:
            days.append(date.fromisoformat(name.removeprefix("day=")) if name.startswith("day=") else day)
        except ValueError:
            continue
    others = [other for other in days if other != day]
    nearest = sorted(others, key=lambda other: (abs((other - day).days), other))[:count]
    saw = f" (saw {_some(names)})" if names else ""
    return ", ".join(str(other) for other in sorted(nearest)) or f"none{saw}"
