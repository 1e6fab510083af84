"""What is known of each publication of a day, in small files beside the table, for as long as the table lives.

<table>/_publications/day=YYYY-MM-DD/claimed-<files>-<content>.json            a commit that is under way
<table>/_publications/day=YYYY-MM-DD/<version>-<files>-<content>.json          the same once it went through
<table>/_publications/sweeping-<uuid>.json                                     what a vacuum is about to remove

`<files>` is the hash of the paths of the day's files, so that whoever sees these files live in the table finds what was
said of them with one listing, and `<content>` is the hash of the record itself. Delta keeps these facts in its
commits too, but removes commits after 30 days and lets nothing be attached to a file; in a footer they would be in the
hash of the data. The leading `_` hides the folder from Delta's own vacuum.

**Beside a vacuum.** A commit writes its claim, looks whether a vacuum has announced its files, looks whether they are
all there, and commits. A vacuum announces what it would remove, looks at the claims, looks at what is live by then, and
removes the rest. Whichever writes first is seen by the other: either the vacuum spares the files or the commit refuses.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from uuid import uuid4

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, folder_of, to_json

FOLDER = "_publications"
LOG = "_delta_log"  # folder of a Delta table that makes it one
_DAYS = "day=[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]"  # as a pattern of names
_SWEEPING = "sweeping-*.json"
_RECORD = re.compile(r"(claimed|\d{20})-([0-9a-f]{16})-([0-9a-f]{16})\.json")
# A commit takes seconds; a claim older than this is of a writer that was killed.
CLAIM_HOURS = 24


@dataclass(frozen=True)
class Publication:
    """One entry of a partition's history: what was published, when (UTC), and the metadata given to `commit`.

    `version` is one of the table in which it is live: the first one, but for a writer that was killed in between.
    """

    version: int
    published_at: dt.datetime
    data_version: str
    rows: int
    metadata: dict[str, str]


@dataclass(frozen=True)
class Record:
    """A record by its path: `version` is None while its commit is under way, `files` the hash of the files' paths."""

    path: str
    version: int | None
    files: str
    content: str


@dataclass(frozen=True)
class Publications:
    """The records of one table."""

    storage: Storage
    table: tuple[str, ...]

    def of_day(self, day: dt.date) -> list[Record]:
        """The records of a day, the newest version first and commits under way at the end, by one listing."""
        folder = self._path(folder_of(day))
        return _records(f"{folder}/{name}" for name in self.storage.listing(*self.table, FOLDER, folder_of(day)))

    def days(self) -> set[dt.date]:
        """The days of which a publication is recorded that went through, by one listing."""
        records = self._listed(self._path(_DAYS, "*.json"))
        return {day for record in records if record.version is not None and (day := _day_of(record))}

    def read(self, record: Record, version: int, day: dt.date) -> Publication:
        """What a record says.

        Raises:
            LakeError: it is damaged or gone.
        """
        content = self.storage.read(record.path)
        if content is None and record.version is None:  # its writer has settled it since it was listed
            settled = (
                each for each in self.of_day(day) if (each.files, each.content) == (record.files, record.content)
            )
            content = self.storage.read(next(settled, record).path)
        if content is None or _digest(content) != record.content:
            raise LakeError(
                f"{'/'.join(self.table)}, day {day}: {record.path} is {'gone' if content is None else 'damaged'}; it "
                "keeps what the day was made of. Put it back as it was, or remove it and make the day again: ukdsl run "
                f"{self.table[0]} --days {day}"
            )
        return _publication(version, json.loads(content))

    def lost(
        self, live: Mapping[dt.date, Sequence[str]], records: Mapping[dt.date, Sequence[Record]]
    ) -> dict[dt.date, Record]:
        """The record of a later publication than the live one, by day: the table's log has lost the commit of it.

        Args:
            live: paths of the live files, none where nothing is live; other days are not looked at.
            records: as `of_day` gave them before `live` was read.
        """
        found = {}
        for day, paths in live.items():
            newest = next((record for record in records.get(day, ()) if record.version is not None), None)
            if newest and not paths:
                found[day] = newest
                continue
            of_live = [record for record in records.get(day, ()) if record.files == files_of(paths)]
            # What has no record was published by a writer that keeps none, and what is claimed has just been committed.
            versions = {record.version for record in of_live}
            if newest and versions and None not in versions and newest.version not in versions:
                found[day] = newest
        return found

    def claim(self, day: dt.date, paths: Sequence[str], facts: Mapping[str, Any]) -> Record:
        """Says that a commit of these files is under way; the day's files are safe from a vacuum from then on.

        Args:
            paths: relative to the table, in the order of the shards.
            facts: rows, data_version and metadata.
        """
        content = to_json(
            {**facts, "published_at": dt.datetime.now(dt.UTC).isoformat(), "files": list(paths)}, "/".join(self.table)
        )
        return self._write(day, None, paths, content)

    def settle(self, day: dt.date, claim: Record, version: int) -> None:
        """Says in which version a commit went through."""
        content = self.storage.read(claim.path)
        if content is None:  # who came next has settled it already
            return
        name = Path(claim.path).name.replace("claimed", f"{version:020d}", 1)
        self.storage.write(self._path(folder_of(day), name), content)
        self.drop(claim)

    def settle_before(self, day: dt.date, live: Sequence[str], version: int, records: Sequence[Record]) -> None:
        """Sees to the records of a day before another commit of it takes the place of what is live.

        What is live is settled, if its writer has not come to it; days that were published without a record get it from
        the log, with all that the log still holds. Records of commits that the log has lost are dropped.

        Args:
            live: paths of the live files, of `version` of the table.
            records: as `of_day` gave them before the table was opened.
        """
        for record in records:
            if record.version is not None and record.version > version:
                self.drop(record)
        of_live = [record for record in self.of_day(day) if record.files == files_of(live)]
        if live and not of_live:
            self.keep_log()
        if all(record.version is None for record in of_live):
            for record in of_live:
                self.settle(day, record, version)

    def drop(self, record: Record) -> None:
        """Removes a record; one that is gone already is no error."""
        self.storage.remove(record.path)

    def keep_log(self) -> None:
        """Writes the records of publications that are in Delta's log alone; reads all commits of it."""
        known = {record.files for record in self._listed(self._path(_DAYS, "*.json"))}
        for version, day, paths, facts in from_log(self.storage, self.table):
            if files_of(paths) not in known:
                self._write(day, version, paths, to_json({**facts, "files": paths}, "/".join(self.table)))

    @contextmanager
    def sweeping(self, paths: Sequence[str]) -> Iterator[set[str]]:
        """Announces what a vacuum is about to remove, and gives those paths of commits under way that it must spare."""
        mark = self._path(f"sweeping-{uuid4().hex}.json")
        self.storage.write(mark, json.dumps(sorted(paths)).encode())
        try:
            yield self._claimed()
        finally:
            self.storage.remove(mark)

    def being_swept(self) -> set[str]:
        """The paths that vacuums have announced; those of a vacuum that was killed stay, and are of no use."""
        names = [name for name in self.storage.listing(*self.table, FOLDER) if fnmatch(name, _SWEEPING)]
        marks = [self.storage.read(self._path(name)) for name in names]
        return {path for content in marks if content for path in _list_in(content)}

    def sweep(self, live: Mapping[dt.date, Sequence[str]], version: int) -> None:
        """Settles or drops claims of killed writers, and drops announcements of killed vacuums, a day after."""
        for record in self._stale(self._listed(self._path(_DAYS, "claimed-*.json"))):
            day = _day_of(record)
            if day and record.files == files_of(live.get(day, ())):
                self.settle(day, record, version)
            else:
                self.drop(record)
        for path in self.storage.glob(self._path(_SWEEPING)):
            if self._is_stale(path):
                self.storage.remove(path)

    def _claimed(self) -> set[str]:
        claims = self._listed(self._path(_DAYS, "claimed-*.json"))
        contents = [(claim, self.storage.read(claim.path)) for claim in claims if not self._is_stale(claim.path)]
        for claim, content in contents:
            if content is not None and _digest(content) != claim.content:
                raise LakeError(
                    f"{'/'.join(self.table)}: {claim.path} is damaged; it names the files of a commit that was under "
                    "way. Nothing was removed. Remove it once nothing runs, and vacuum again."
                )
        return {path for _, content in contents if content for path in json.loads(content)["files"]}

    def _stale(self, records: Iterable[Record]) -> list[Record]:
        return [record for record in records if self._is_stale(record.path)]

    def _is_stale(self, path: str) -> bool:
        return self.storage.older(path, CLAIM_HOURS)

    def _listed(self, pattern: str) -> list[Record]:
        return _records(self.storage.glob(pattern))

    def _write(self, day: dt.date, version: int | None, paths: Sequence[str], content: bytes) -> Record:
        files, digest = files_of(paths), _digest(content)
        name = f"{'claimed' if version is None else f'{version:020d}'}-{files}-{digest}.json"
        path = self._path(folder_of(day), name)
        self.storage.write(path, content)
        return Record(path, version, files, digest)

    def _path(self, *parts: str) -> str:
        return self.storage.path(*self.table, FOLDER, *parts)


def _records(paths: Iterable[str]) -> list[Record]:
    found = [(path, _RECORD.fullmatch(Path(path).name)) for path in sorted(paths)]
    records = [
        Record(path, None if name[1] == "claimed" else int(name[1]), name[2], name[3]) for path, name in found if name
    ]
    return sorted(records, key=lambda record: -1 if record.version is None else record.version, reverse=True)


def _day_of(record: Record) -> dt.date | None:
    """The day whose folder a record is in; None for a folder such as day=2026-02-31."""
    try:
        return dt.date.fromisoformat(Path(record.path).parent.name.removeprefix("day="))
    except ValueError:
        return None


def files_of(paths: Sequence[str]) -> str:
    """Names a publication by its files: the hash of their paths, which are never used twice."""
    return _digest(" ".join(paths).encode())


def from_log(storage: Storage, table: tuple[str, ...]) -> Iterator[tuple[int, dt.date, list[str], dict[str, Any]]]:
    """Version, day, paths and facts of the publications in the commits that Delta still has, newest first.

    Raises:
        LakeError: a commit is damaged.
    """
    # DeltaTable.history() misnumbers its entries when somebody commits while it reads; the files' names are exact.
    commits = {int(Path(path).stem): path for path in storage.glob(storage.path(*table, LOG, f"{'[0-9]' * 20}.json"))}
    for version, path in sorted(commits.items(), reverse=True):
        try:
            actions = [json.loads(line) for line in (storage.read(path) or b"").splitlines()]
        except ValueError as error:
            raise LakeError(
                f"{'/'.join(table)}: the commit {path} is damaged ({error}). Put it back as it was, or remove the "
                "table's folder and make all its days again."
            ) from error
        info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        if "data_version" in info and "day" in info:
            published_at = dt.datetime.fromtimestamp(info["timestamp"] / 1000, dt.UTC).isoformat()
            facts = {name: info[name] for name in ("data_version", "rows", "metadata")} | {"published_at": published_at}
            paths = sorted(action["add"]["path"] for action in actions if "add" in action)
            yield version, dt.date.fromisoformat(info["day"]), paths, facts


def publications_in(log: Iterable[tuple[int, dt.date, list[str], dict[str, Any]]], day: dt.date) -> list[Publication]:
    """Those of `from_log` that are of a day."""
    return [_publication(version, facts) for version, of, _, facts in log if of == day]


def _publication(version: int, facts: Mapping[str, Any]) -> Publication:
    published_at = dt.datetime.fromisoformat(facts["published_at"])
    return Publication(version, published_at, facts["data_version"], facts["rows"], facts["metadata"])


def _list_in(content: bytes) -> list[str]:
    """The paths of an announcement; what a writer left that was killed in a bucket's midst names none."""
    try:
        return list(json.loads(content))
    except ValueError:
        return []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
