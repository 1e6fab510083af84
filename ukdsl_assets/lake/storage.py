"""Files under one root, a local folder or an object store, through fsspec.

Local writes are atomic (a temporary file, fsync, rename) and survive a power cut; an object store's single put is both.
"""

import datetime as dt
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.errors import LakeError, noted, redacted

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_UNFINISHED = re.compile(r"\..+-[0-9a-f]{32}|.+\.[0-9a-f]{32}\.unfinished")
# Delta decodes `%`; DuckDB and fsspec expand the others in the paths of files.
_UNSAFE_IN_ROOT = re.compile(r"[%*?\[\]]")

# Folder below the root for what one step needs while it runs, where workers on other machines read it too.
SCRATCH = "scratch"
# Equal as long as a file is: its size and times, and its inode or tag.
FileIdentity = tuple[tuple[str, str], ...] | tuple[int, ...]
# No file takes longer from its first byte to its name.
LONGEST_WRITE_HOURS = 1


@dataclass(frozen=True)
class Storage:
    """The files below `root` (local path, file:// or another fsspec URI); credentials come from the environment."""

    root: str

    def __post_init__(self) -> None:
        if (shown := redacted(self.root)) != self.root:
            # A store would take them for a part of its bucket's name, and tell that in its errors.
            raise LakeError(
                f"The root {shown} holds what lets its reader in. Expected an address without it (UKDSL_LAKE): "
                "credentials come from the environment, e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        if unsafe := sorted(set(_UNSAFE_IN_ROOT.findall(self.root))):
            raise LakeError(
                f"The root {self.root!r} contains {' '.join(unsafe)}, which readers of Delta tables expand or decode. "
                "Expected a path without % * ? [ ]. Choose another folder or URI (UKDSL_LAKE)."
            )

    @cached_property
    def _opened(self) -> tuple[AbstractFileSystem, str]:
        # Listings are not cached: another process may publish at any time.
        try:
            fs, path = url_to_fs(self.root, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise LakeError(
                f"The root {self.root} cannot be opened: {error}. Expected a folder or a URI such as s3://bucket/lake "
                "whose client is installed (UKDSL_LAKE)."
            ) from error
        return fs, path.rstrip("/")

    @property
    def fs(self) -> AbstractFileSystem:
        """The file system of the root."""
        return self._opened[0]

    @property
    def local(self) -> bool:
        """True when the files are on this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, *parts: str) -> str:
        """Path of root/parts... as the file system wants it."""
        return "/".join([self._opened[1], *parts])

    def uri(self, *parts: str) -> str:
        """The same for other libraries: an absolute path when local, else a URI such as s3://bucket/..."""
        return self.path(*parts) if self.local else self.fs.unstrip_protocol(self.path(*parts))

    def size(self, path: str) -> int | None:
        """Bytes of the file at `path`, None when there is none."""
        try:
            return int(self.fs.size(path))
        except FileNotFoundError:
            return None

    def read(self, path: str) -> bytes | None:
        """Content of the file at `path`, None when there is none.

        Raises:
            LakeError: it is there and cannot be read.
        """
        try:
            return bytes(self.fs.cat_file(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(
                f"{path} cannot be read ({error}). Expected a file that whoever runs this may read; mend its owner or "
                "mode, or put it back as it was."
            ) from error

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """Contents of files that exist, in the order of `paths`; an object store is asked for many at a time."""
        contents = self.fs.cat(list(paths)) if paths else {}
        return [contents[path] for path in paths]

    def listing(self, *parts: str) -> dict[str, FileIdentity]:
        """What a folder says of its files now, by name; empty where there is no such folder.

        Raises:
            LakeError: it cannot be listed.
        """
        folder = self.path(*parts)
        try:
            return _local_listing(folder) if self.local else self._remote_listing(folder)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LakeError(
                f"{folder} cannot be listed ({error}). Make it readable to the user who runs this."
            ) from error

    def _remote_listing(self, folder: str) -> dict[str, FileIdentity]:
        entries: list[dict[str, Any]] = self.fs.ls(folder, detail=True, refresh=True)
        return {
            entry["name"].rstrip("/").rpartition("/")[2]: tuple(
                sorted((key, str(value)) for key, value in entry.items())
            )
            for entry in entries
            if entry["type"] == "file"
        }

    def glob(self, pattern: str) -> list[str]:
        """Paths that match, sorted; empty when there are none."""
        self.fs.invalidate_cache()
        return sorted(str(path) for path in self.fs.glob(pattern))

    def find(self, *parts: str) -> list[str]:
        """Paths of all files below root/parts..., sorted; empty when there are none."""
        self.fs.invalidate_cache()
        return sorted(self.fs.find(self.path(*parts)))

    def modified(self, path: str) -> dt.datetime:
        """When the file at `path` was last written, UTC."""
        return self.fs.modified(path)

    def older(self, path: str, hours: float) -> bool:
        """Whether the file at `path` was last written longer ago than that; False where it is gone."""
        try:
            return dt.datetime.now(dt.UTC) - self.modified(path) > dt.timedelta(hours=hours)
        except FileNotFoundError:
            return False

    def remove(self, path: str) -> bool:
        """Removes a file; False where somebody else has removed it already."""
        try:
            self.fs.rm_file(path)
        except FileNotFoundError:
            return False
        return True

    def sweep_unfinished(self, older_than_hours: int = 24) -> int:
        """Removes what writers left that were killed before they gave a file its name, and says how many files.

        Those are the temporary files of `write` and of the states of simulated worlds, anywhere below the root, and
        what lies in `scratch`. The
        youngest stay, whatever is asked: their writers may be at work.
        """
        older_than_hours = max(older_than_hours, LONGEST_WRITE_HOURS)
        scratch = self.path(SCRATCH, "")
        unfinished = [
            path for path in self.find() if path.startswith(scratch) or _UNFINISHED.fullmatch(path.rpartition("/")[2])
        ]
        return sum(self.remove(path) for path in unfinished if self.older(path, older_than_hours))

    def write(self, path: str, content: bytes) -> None:
        """Replaces the file at `path` in one step: a reader sees the old content or the new one."""
        if not self.local:
            self.fs.pipe_file(path, content)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}-{uuid4().hex}")
        try:
            with noted(f"while writing {path}"):
                temporary.write_bytes(content)
            flush(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        flush(target.parent)


def _local_listing(folder: str) -> dict[str, FileIdentity]:
    found: dict[str, FileIdentity] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # removed since, or a link to nothing
                if entry.is_file():
                    of = entry.stat()
                    found[entry.name] = (of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino, of.st_mode)
    return found


def flush(path: str | Path) -> None:
    """fsync of a local file or folder; a new or renamed file is only safe once its folder is flushed too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checked_key(key: Sequence[str]) -> tuple[str, ...]:
    """The key itself, once each part is known to be a plain folder name.

    Raises:
        LakeError: the key is empty or a part is not letters, digits, `_`, `.`, `-` (starting with a letter or digit).
    """
    if isinstance(key, str) or not key or not all(_NAME.fullmatch(part) for part in key):
        raise LakeError(
            f"The key {key!r} names no table or checkpoint. Expected a tuple of names made of letters, digits, "
            "_ . -, such as ('simulated_ads', 'candidate_log')."
        )
    return tuple(key)


def to_json(value: Mapping[str, Any], where: str) -> bytes:
    """The same bytes for equal values; `where` is for the message.

    Raises:
        LakeError: JSON cannot hold the value.
    """
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise LakeError(
            f"{where}: JSON cannot hold the metadata ({error}). Expected str, int, float, bool, None, lists and dicts "
            "of these. Convert dates and NumPy numbers, and write None for NaN."
        ) from error


def parsed(content: bytes, where: str, path: str, fix: str) -> dict[str, Any]:
    """The JSON object that a small file holds.

    Args:
        where, fix: what the file is of and what to do, for the message.

    Raises:
        LakeError: it is cut or damaged.
    """
    try:
        value = json.loads(content)
    except ValueError as error:
        raise LakeError(f"{where}: {path} is damaged ({error}), expected a JSON object. {fix}") from error
    if not isinstance(value, dict):
        raise LakeError(f"{where}: {path} is damaged: it holds {value!r:.40}, expected a JSON object. {fix}")
    return value


def folder_of(day: dt.date) -> str:
    """Folder of a partition inside its table."""
    return f"day={day.isoformat()}"
