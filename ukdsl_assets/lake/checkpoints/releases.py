"""Which checkpoint of a model is released: a pointer, and every decision that was ever taken.

<root>/<key...>/released.json                            the released entry
<root>/<key...>/releases/<time>-released-<day>-<id>.json, <time>-withdrawn-<day>-<id>.json, <time>-refused-<id>.json and
    <time>-not_judged-<id>.json, one a decision; the id is eight digits of chance and, since records are verified,
    sixteen of the hash of the record

The history decides and the pointer follows it: of the days whose newest such record says released, the latest serves.
The names of its files carry what orders them, so that a release lists the history and reads one record of it, however
long it is.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key, parsed, to_json

Key = tuple[str, ...]

POINTER = "released.json"
HISTORY = "releases"

_STAMP, _STAMP_LENGTH = "%Y%m%dT%H%M%S.%f", 22
_DECISIONS = "[0-9]*T[0-9]*.[0-9]*-[nrw]*-*.json"  # as a pattern of names
RELEASED, WITHDRAWN = "released", "withdrawn"
_OF_A_DAY = re.compile(rf"-({RELEASED}|{WITHDRAWN})-(\d{{4}}-\d\d-\d\d)-")
_ID = re.compile(r"-[0-9a-f]{8}([0-9a-f]{16})?\.json$")


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
        and pointer leaves the pointer behind until the next release, which also mends a damaged one. A clock that was
        set back changes nothing: what is decided later is later.

        Args:
            key: of the model.
            entry: JSON values, no NaN or infinity, with "day", the partition as YYYY-MM-DD; what `released` gives back.

        Raises:
            LakeError: the entry has no such day, JSON cannot hold it, or the record of the newest release is damaged.
        """
        plain, where = self._plain(key, entry)
        if self.newest_release(key) != plain:
            self._record(key, RELEASED, f"{RELEASED}-{plain['day']}", plain)
        self._point(key, where)

    def withdraw(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Records that a day's release is taken back, then points at the newest that is left, or at nothing.

        Nothing of the history goes. The day stays withdrawn until it is released again by `release`, which who decides
        by gates does not do: see `withdrawn`.

        Args:
            key: of the model.
            entry: as of `release`.

        Raises:
            LakeError: as `release`.
        """
        plain, where = self._plain(key, entry)
        self._record(key, WITHDRAWN, f"{WITHDRAWN}-{plain['day']}", plain)
        self._point(key, where)

    def withdrawn(self, key: Key) -> list[dict[str, Any]]:
        """The entries of the days that are withdrawn now, by day.

        Raises:
            LakeError: a record is damaged.
        """
        return self._of_newest(key, WITHDRAWN)

    def releases(self, key: Key) -> list[dict[str, Any]]:
        """The entries of the days that are released and not withdrawn, by day; the last one serves.

        Raises:
            LakeError: a record is damaged.
        """
        return self._of_newest(key, RELEASED)

    def refuse(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Records in the history that a release was refused; what is released stays.

        Raises:
            LakeError: JSON cannot hold the entry.
        """
        plain = json.loads(to_json(entry, f"refusal of {'/'.join(checked_key(key))}"))
        self._record(key, "refused", "refused", plain)

    def leave_unjudged(self, key: Key, entry: Mapping[str, Any]) -> None:
        """Records in the history that there was too little to decide by; what is released stays.

        Raises:
            LakeError: JSON cannot hold the entry.
        """
        plain = json.loads(to_json(entry, f"decision on {'/'.join(checked_key(key))}"))
        self._record(key, "not_judged", "not_judged", plain)

    def released(self, key: Key) -> dict[str, Any] | None:
        """The released entry, None when nothing was ever released.

        Raises:
            LakeError: the pointer or a decision of its day is damaged.
        """
        path = self._path(key, POINTER)
        content = self._storage.read(path)
        if content is None:
            return None
        name = "/".join(key)
        fix = f"Put it back as it was, or release again: ukdsl run {key[0]} with --days the last day."
        entry = parsed(content, f"release of {name}", path, fix)
        if not _is_day(entry.get("day")):
            raise LakeError(f"release of {name}: {path} is damaged: it names no day, saw {entry!s:.80}. {fix}")
        # Where the history was removed there is nothing to compare with.
        history = self._days_records(key)
        kinds = [(kind, path) for kind, day, path in history if day == entry["day"]]
        if kinds and kinds[-1][0] == WITHDRAWN:
            # Whoever withdrew it was stopped before the pointer followed.
            return self.newest_release(key)
        of_day = [path for kind, path in kinds if kind == RELEASED]
        if history and entry not in [record["entry"] for record in self._read_records(key, of_day)]:
            raise LakeError(f"release of {name}: {path} is damaged: no decision of {entry['day']} says so. {fix}")
        return entry

    def release_history(self, key: Key, last: int | None = None) -> list[dict[str, Any]]:
        """Every decision, oldest first: {"outcome": ..., "decided_at": ISO UTC, "entry": ...}.

        The outcome is "released", "refused", "not_judged" or "withdrawn".

        Args:
            key: of the model.
            last: how many of the newest decisions to read, at least 1; None for all.

        Raises:
            LakeError: a record is damaged.
        """
        paths = self._all_records(key)
        return self._read_records(key, paths if last is None else paths[-last:])

    def newest_release(self, key: Key, before: dt.date | None = None) -> dict[str, Any] | None:
        """The entry of the latest day, of those strictly before `before`, and among its releases of the last decision.

        Days that are withdrawn do not count. None where there is none.
        """
        left = self._newest_of_days(key, RELEASED)
        days = [day for day in left if before is None or day < before.isoformat()]
        return dict(self._read_records(key, [left[max(days)]])[0]["entry"]) if days else None

    def _plain(self, key: Key, entry: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The entry as JSON holds it, which names a day, and whose release it is, for messages."""
        where = f"release of {'/'.join(checked_key(key))}"
        plain = json.loads(to_json(entry, where))
        if not _is_day(day := plain.get("day")):
            raise LakeError(
                f'{where}: "day" of the entry is {day!r}, expected YYYY-MM-DD. Name the day of the checkpoint.'
            )
        return plain, where

    def _point(self, key: Key, where: str) -> None:
        """Have the pointer follow the history; looks again after each step, since others may write too."""
        pointer = self._path(key, POINTER)
        while True:
            newest, there = self.newest_release(key), self._storage.read(pointer)
            if there == (None if newest is None else to_json(newest, where)):
                return
            if newest is None:
                self._storage.remove(pointer)
            else:
                self._storage.write(pointer, to_json(newest, where))

    def _days_records(self, key: Key) -> list[tuple[str, str, str]]:
        """Kind (released or withdrawn), day and path of each such record, oldest first."""
        named = ((_OF_A_DAY.search(path.rpartition("/")[2]), path) for path in self._all_records(key))
        return [(found[1], found[2], path) for found, path in named if found]

    def _newest_of_days(self, key: Key, kind: str) -> dict[str, str]:
        """Day -> path of its newest record, of those days whose newest record is of the kind."""
        newest = {day: (of, path) for of, day, path in self._days_records(key)}
        return {day: path for day, (of, path) in newest.items() if of == kind}

    def _of_newest(self, key: Key, kind: str) -> list[dict[str, Any]]:
        paths = [path for _, path in sorted(self._newest_of_days(key, kind).items())]
        return [dict(record["entry"]) for record in self._read_records(key, paths)]

    def _all_records(self, key: Key) -> list[str]:
        return self._storage.glob(self._path(key, HISTORY, "*.json"))

    def _read_records(self, key: Key, paths: Sequence[str]) -> list[dict[str, Any]]:
        where, fix = f"a decision on {'/'.join(key)}", "Put it back as it was, or remove it: it is forgotten then."
        read = zip(paths, self._storage.read_all(paths), strict=True)
        return [verified_record(content, where, path, fix) for path, content in read]

    def _record(self, key: Key, outcome: str, label: str, entry: dict[str, Any]) -> None:
        """Adds one file to the history, under a name of its own: concurrent writers never replace one another."""
        now = dt.datetime.now(dt.UTC)
        record = {"outcome": outcome, "decided_at": now.isoformat(), "entry": entry}
        content = json.dumps(record).encode()
        # Names order the history: where the clock was set back, the next name is the newest one's and a microsecond.
        names = (path.rpartition("/")[2] for path in self._storage.glob(self._path(key, HISTORY, _DECISIONS)))
        newest = max(names, default="")
        if (stamp := f"{now:{_STAMP}}") <= newest[:_STAMP_LENGTH]:
            after = dt.datetime.strptime(newest[:_STAMP_LENGTH], _STAMP) + dt.timedelta(microseconds=1)
            stamp = f"{after:{_STAMP}}"
        name = f"{stamp}-{label}-{uuid4().hex[:8]}{_digest(content)}.json"
        self._storage.write(self._path(key, HISTORY, name), content)

    def _path(self, key: Key, *parts: str) -> str:
        return self._storage.path(*checked_key(key), *parts)


def _is_day(text: Any) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except (TypeError, ValueError):
        return False


def verified_record(content: bytes, where: str, path: str, fix: str) -> dict[str, Any]:
    """A record of the history; where its name holds a digest it is what was recorded.

    Args:
        where, fix: whose decision it is and what to do, for the message.

    Raises:
        LakeError: it is damaged.
    """
    record = parsed(content, where, path, fix)
    digest = _ID.search(path)
    if (digest and digest[1] and digest[1] != _digest(content)) or not isinstance(record.get("entry"), dict):
        raise LakeError(f"{where}: {path} is damaged: it is not what was recorded. {fix}")
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
