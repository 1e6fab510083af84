"""Which checkpoint of a model is released: a pointer, and every decision that was ever taken.

<root>/<key...>/released.json                            the released entry
<root>/<key...>/releases/<time>-released-<day>-<uuid>.json and <time>-refused-<uuid>.json, one a decision

The history decides and the pointer follows it. The names of its files carry what orders them, so that a release lists
the history and reads one record of it, however long it is.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key, to_json

Key = tuple[str, ...]

POINTER = "released.json"
HISTORY = "releases"


@dataclass(frozen=True)
class ReleaseStore:
    """The releasing half of `CheckpointStore`: writers of the same key may race, the newest day wins."""

    root: str

    @cached_property
    def _storage(self) -> Storage:
        return Storage(self.root)

    def release(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Records a release in the history, then points at the newest release of the history.

        The newest is the one of the latest `day`, among these the one decided last. An older day is recorded and the
        pointer stays; what is the newest already is not recorded again. Each writer looks again after it has written
        the pointer, so that the pointer ends at the newest once the last of them is done. One killed between record
        and pointer leaves the pointer behind until the next release.

        Args:
            key: of the model.
            entry: JSON values, no NaN or infinity, with "day", the partition as YYYY-MM-DD; what `released` gives back.

        Raises:
            LakeError: the entry has no such day, or JSON cannot hold it.
        """
        where = f"release of {'/'.join(checked_key(key))}"
        plain = json.loads(to_json(entry, where))
        if not _is_day(day := plain.get("day")):
            raise LakeError(
                f'{where}: "day" of the entry is {day!r}, expected YYYY-MM-DD. Name the day of the checkpoint.'
            )
        if self._newest_release(key) != plain:
            self._record(key, "released", f"released-{day}", plain)
        pointer = self._path(key, POINTER)
        while (newest := self._newest_release(key)) and self.released(key) != newest:
            self._storage.write(pointer, to_json(newest, where))

    def refuse(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Records in the history that a release was refused; what is released stays.

        Raises:
            LakeError: JSON cannot hold the entry.
        """
        plain = json.loads(to_json(entry, f"refusal of {'/'.join(checked_key(key))}"))
        self._record(key, "refused", "refused", plain)

    def released(self, key: Key) -> dict[str, Any] | None:
        """The released entry, None when nothing was ever released."""
        content = self._storage.read(self._path(key, POINTER))
        return None if content is None else json.loads(content)

    def release_history(self, key: Key, last: int | None = None) -> list[dict[str, Any]]:
        """Every decision, oldest first: {"outcome": "released" or "refused", "decided_at": ISO UTC, "entry": ...}.

        Args:
            key: of the model.
            last: how many of the newest decisions to read, at least 1; None for all.
        """
        paths = self._storage.glob(self._path(key, HISTORY, "*.json"))
        return [json.loads(content) for content in self._storage.read_all(paths if last is None else paths[-last:])]

    def _newest_release(self, key: Key, before: dt.date | None = None) -> dict[str, Any] | None:
        """The entry of the latest day, of those strictly before `before`, and among its releases of the last decision.

        None where there is none.
        """
        paths = self._storage.glob(self._path(key, HISTORY, "*-released-*.json"))
        if before is not None:
            paths = [path for path in paths if _day_and_time(path)[0] < before.isoformat()]
        if not paths:
            return None
        newest = max(paths, key=_day_and_time)
        return json.loads(self._storage.read_all([newest])[0])["entry"]

    def _record(self, key: Key, outcome: str, label: str, entry: dict[str, Any]) -> None:
        """Adds one file to the history, under a name of its own: concurrent writers never replace one another."""
        now = dt.datetime.now(dt.UTC)
        record = {"outcome": outcome, "decided_at": now.isoformat(), "entry": entry}
        name = f"{now:%Y%m%dT%H%M%S.%f}-{label}-{uuid4().hex[:8]}.json"
        self._storage.write(self._path(key, HISTORY, name), json.dumps(record).encode())

    def _path(self, key: Key, *parts: str) -> str:
        return self._storage.path(*checked_key(key), *parts)


def _is_day(text: Any) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except (TypeError, ValueError):
        return False


def _day_and_time(path: str) -> tuple[str, str]:
    """What orders the releases: the ten characters of the day, then the time that the name begins with."""
    name = path.rpartition("/")[2]
    return name.partition("-released-")[2][:10], name
