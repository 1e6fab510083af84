"""Reading tables by day: always the live files of one table version, never a listing of a folder."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import polars as pl

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key
from ukdsl_assets.lake.tables.commit import paths_by_day
from ukdsl_assets.lake.tables.publications import (
    LOG,
    Publication,
    Publications,
    Record,
    files_of,
    from_log,
    publications_in,
)
from ukdsl_assets.lake.tables.schema import DAY
from ukdsl_assets.lake.tables.snapshot import Snapshot, snapshot_of
from ukdsl_assets.lake.tables.staging import data_version_of
from ukdsl_assets.lake.tables.verified import verify

__all__ = ["LOG", "LakeReader", "Publication", "PublishedPartition", "ShardReader", "Table"]

Table = tuple[str, ...]
# Scans a shard of a table; pickles small.
ShardReader = Callable[[], pl.LazyFrame]


@dataclass(frozen=True)
class PublishedPartition:
    """One day of a table as readers see it.

    Attributes:
        table: key of the table.
        day: the partition.
        version: a version of the table in which these files are live; pass it to `scan` to read just them.
        rows: rows of all files.
        bytes: size of all files.
        files: paths or URIs, in the order of the shards.
        data_version: equal when the same rows were published again.
    """

    table: Table
    day: dt.date
    version: int
    rows: int
    bytes: int
    files: tuple[str, ...]
    data_version: str


@dataclass(frozen=True)
class LakeReader:
    """The reading half of `Lake`: a reader sees the old partition or the new one, never a mixture."""

    root: str

    def __post_init__(self) -> None:
        Storage(self.root)  # a wrong root is an error here, not at the first write

    @cached_property
    def _storage(self) -> Storage:
        return Storage(self.root)

    @property
    def local(self) -> bool:
        """Whether the tables are files of this machine."""
        return self._storage.local

    def table_uri(self, table: Table) -> str:
        """Folder or URI of a table; the table need not exist."""
        return self._storage.uri(*checked_key(table))

    def partition(self, table: Table, day: dt.date) -> PublishedPartition | None:
        """What is published for a day now, from the log; None when the day or the table is not there.

        Its files are not looked at: pass it to `verify` before another reader (DuckDB) opens them.

        Raises:
            LakeError: the day was published, and the table's log has lost the commit.
        """
        opened = self._snapshot(table)
        if opened is None:
            return None
        live = opened.of_day(day)
        if live.is_empty():
            self.refuse_lost(table, [day])
            return None
        return PublishedPartition(
            table,
            day,
            opened.version,
            sum(live["rows"]),
            sum(live["bytes"]),
            tuple(self._uris(table, live["path"])),
            data_version_of(live["path"].to_list()),
        )

    def verify(self, published: PublishedPartition) -> None:
        """Hashes a partition's files, those that this process has not hashed yet; `scan` and `live_files` do so too.

        Raises:
            LakeError: a file is gone, cannot be read, or is not what was published.
        """
        folder = f"{self.table_uri(published.table)}/"
        verify(self._storage, published.table, [(published.day, file.removeprefix(folder)) for file in published.files])

    def partitions(self, table: Table) -> list[dt.date]:
        """The published days in order; empty when there is no such table."""
        opened = self._snapshot(table)
        return [] if opened is None else opened.live["day"].unique().sort().to_list()

    def row_counts(self, table: Table, days: Iterable[dt.date]) -> dict[dt.date, int]:
        """Rows of those of the days that are published, from the log without reading data, in order of day."""
        opened = self._snapshot(table)
        if opened is None:
            return {}
        counts = opened.live.filter(pl.col("day").is_in(list(days))).group_by("day").agg(pl.col("rows").sum())
        return dict(counts.sort("day").iter_rows())

    def live_files(self, table: Table, days: Iterable[dt.date], version: int | None = None) -> list[str]:
        """Paths or URIs of the files of the days, by day and shard, for polars or DuckDB, verified as `scan` does.

        Days that are not published have no files here.

        Raises:
            LakeError: a file is gone, cannot be read, or is not what was published.
        """
        opened = self._snapshot(table, version)
        if opened is None:
            return []
        live = opened.live.filter(pl.col("day").is_in(list(days)))
        verify(self._storage, table, live.select("day", "path").iter_rows())
        return self._uris(table, live["path"])

    def scan(
        self, table: Table, days: Iterable[dt.date], version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """The rows of the days by day, shard and their order in the file, with a last column `day` (Date).

        The files are fixed when this is called, and hashed if this process has not hashed them yet: a later commit does
        not change what is collected, and nothing is read of a file that is not what was published.

        Args:
            table: key of the table.
            days: at least one, in any order; all must be published (`partitions` tells which are).
            version: version of the table to read, None for the newest; refused once vacuumed.
            columns: names to keep, in order (`day` allowed); None for all.

        Raises:
            LakeError: no day was asked for, or one is not published; the message says how to make it. A file is gone,
                cannot be read, or is not what was published; the message says which.
        """
        return self._readers(table, days, version, columns, parts=1)[0]()

    def scan_shards(
        self, table: Table, days: Iterable[dt.date], version: int | None = None, columns: Sequence[str] | None = None
    ) -> list[pl.LazyFrame]:
        """`scan` in parts, whole shards of each day, all of one reading of the table's log.

        There are as many as the day with the fewest shards has; of a day with more, a part holds neighbours.
        """
        return [read() for read in self._readers(table, days, version, columns, parts=None)]

    def shard_readers(
        self, table: Table, days: Iterable[dt.date], version: int | None = None, columns: Sequence[str] | None = None
    ) -> list[ShardReader]:
        """What gives each of `scan_shards`; its files are fixed now, and hashed where and when it is called.

        They pickle small, for workers in other processes.
        """
        return self._readers(table, days, version, columns, parts=None)

    def columns(self, table: Table, day: dt.date) -> list[str]:
        """The columns that a published day was written with, in their order; `scan` gives null for later ones.

        Raises:
            LakeError: the day is not published, or its files are not what was.
        """
        published = self.partition(table, day)
        if published is None:
            raise self._absent(table, [day])
        self.verify(published)
        return pl.scan_parquet(published.files[0], glob=False, hive_partitioning=False).collect_schema().names()

    def history(self, table: Table, day: dt.date) -> list[Publication]:
        """The publications of a day, newest first, from records that outlive Delta's log; reads no other day's.

        Of a table that was last written before there were such records, as far as its log goes back; `vacuum` keeps it.

        Raises:
            LakeError: a record or, where it is needed, a commit is damaged.
        """
        opened = self._snapshot(table)
        return [] if opened is None else self._history(table, day, opened)

    def newest_publications(self, table: Table, days: Iterable[dt.date]) -> dict[dt.date, Publication]:
        """The first of `history` of each of the days that has one; the table is opened once, and one record a day read.

        Raises:
            LakeError: as `history`.
        """
        opened = self._snapshot(table)
        histories = {} if opened is None else {day: self._history(table, day, opened, last=1) for day in days}
        return {day: history[0] for day, history in histories.items() if history}

    def publication(self, table: Table, day: dt.date) -> Publication:
        """What is known of the publication of a day that is live now.

        Raises:
            LakeError: the day is not published, its record is damaged, its log has lost a commit, or it was published
                before there were records and Delta has removed the commit since.
        """
        opened = self._snapshot(table)
        live = [] if opened is None else opened.paths(day)
        self._refuse_lost(table, {day: live})
        if opened is None or not live:
            raise self._absent(table, [day])
        ordered = self._recorded(table, day, opened)
        if ordered:
            record, version = ordered[0]
            return Publications(self._storage, table).read(record, version, day)
        newest = next(iter(self._history(table, day, opened, last=1)), None)
        if newest is None or newest.data_version != data_version_of(live):
            raise LakeError(
                f"{'/'.join(table)}, day {day}: published, but nothing is known of its making: its commit is no longer "
                f"in {self.table_uri(table)}/{LOG}. Make the day again: ukdsl run {table[0]} --days {day}"
            )
        return newest

    def _history(self, table: Table, day: dt.date, opened: Snapshot, last: int | None = None) -> list[Publication]:
        ordered = self._recorded(table, day, opened)
        if ordered is None:
            return publications_in(from_log(self._storage, table), day)[:last]
        records = Publications(self._storage, table)
        return [records.read(record, version, day) for record, version in ordered[:last]]

    def _recorded(self, table: Table, day: dt.date, opened: Snapshot) -> list[tuple[Record, int]] | None:
        """The records of a day's publications with their versions, newest first; None if the live one has none."""
        live = files_of(opened.paths(day))
        versions: dict[Record, int] = {}
        for record in Publications(self._storage, checked_key(table)).of_day(day):
            # A claim is of the history once its files are live: its writer was killed before it could say so.
            if record.version is not None or record.files == live:
                versions[record] = opened.version if record.version is None else record.version
        if live != files_of([]) and live not in {record.files for record in versions}:
            return None
        newest_first = sorted(versions, key=versions.__getitem__, reverse=True)
        # Two may have settled one record; who came first knew the version.
        once = {(record.files, record.content): record for record in newest_first}
        return [(record, versions[record]) for record in sorted(once.values(), key=versions.__getitem__, reverse=True)]

    def refuse_lost(self, table: Table, days: Iterable[dt.date] | None = None) -> None:
        """Refuses days that were published and of which nothing, or an older publication, is live.

        Args:
            days: that are not live, a listing each; None for all days that were ever published.

        Raises:
            LakeError: the table's log has lost a commit.
        """
        if days is not None:
            self._refuse_lost(table, {day: [] for day in days})
        elif recorded := Publications(self._storage, checked_key(table)).days():
            self._refuse_lost(table, self._live_now(table, recorded))

    def _live_now(self, table: Table, days: Iterable[dt.date]) -> dict[dt.date, list[str]]:
        """Paths of the live files of each of the days, none where nothing is live."""
        opened = self._snapshot(table)
        live = {} if opened is None else paths_by_day(opened.live, days)
        return {day: live.get(day, []) for day in days}

    def _refuse_lost(self, table: Table, live: Mapping[dt.date, Sequence[str]]) -> None:
        """Refuses days of which a later publication was recorded than is live, or one and none is; one listing a day.

        Raises:
            LakeError: the table's log has lost a commit.
        """
        records = Publications(self._storage, checked_key(table))
        of_days = {day: records.of_day(day) for day in live}
        if not records.lost(live, of_days):
            return
        # Published since the table was opened, perhaps; opened now, it has all that was listed.
        now = self._live_now(table, live)
        for day, record in records.lost(now, of_days).items():
            seen = "an older publication is live than" if now[day] else "nothing is live of"
            raise LakeError(
                f"{'/'.join(table)}, day {day}: {seen} the recorded one, {record.path}: "
                f"{self.table_uri(table)}/{LOG} has lost {record.version:020d}.json. Nothing was read. Put it back, or "
                f"make the day again: ukdsl run {table[0]} --days {day}. If this was done on purpose, remove "
                "the record."
            )

    def _readers(
        self,
        table: Table,
        days: Iterable[dt.date],
        version: int | None,
        columns: Sequence[str] | None,
        parts: int | None,
    ) -> list[ShardReader]:
        """What scans as many parts, None for those of `scan_shards`; all else as `scan` says."""
        name = "/".join(table)
        days = sorted(set(days))
        if not days:
            raise LakeError(
                f"{name}: no day was asked for, expected at least one. `partitions` lists the published days."
            )
        opened = self._snapshot(table, version)
        live = None if opened is None else opened.live
        missing = [day for day in days if live is None or day not in live["day"]]
        if version is None:
            self.refuse_lost(table, missing)
        if opened is None or live is None or missing:
            raise self._absent(table, missing, version)
        asked = paths_by_day(live, days)
        if version is None:
            self._refuse_lost(table, asked)
        count = min(len(paths) for paths in asked.values()) if parts is None else parts
        return [
            partial(
                _scanned,
                self._storage,
                checked_key(table),
                {day: _part(asked[day], part, count) for day in days},
                opened.schema,
                None if columns is None else tuple(columns),
            )
            for part in range(count)
        ]

    def _snapshot(self, table: Table, version: int | None = None) -> Snapshot | None:
        return snapshot_of(self._storage, checked_key(table), version)

    def _absent(self, table: Table, days: Sequence[dt.date], version: int | None = None) -> LakeError:
        return LakeError(
            f"{'/'.join(table)} has no day {', '.join(map(str, days))}"
            f"{'' if version is None else f' in version {version}'} below {self.root}. "
            f"Make it first: ukdsl run {table[0]} --days {days[0]}"
        )

    def _uris(self, table: Table, paths: Iterable[str]) -> list[str]:
        return [self._storage.uri(*table, path) for path in paths]


def _scanned(
    storage: Storage,
    table: tuple[str, ...],
    asked: Mapping[dt.date, Sequence[str]],
    schema: pl.Schema,
    columns: Sequence[str] | None,
) -> pl.LazyFrame:
    """Scan files, relative to the table, by day; LakeError where one is not what was published."""
    verify(storage, table, [(day, path) for day, paths in asked.items() for path in paths])
    frames = [
        pl.scan_parquet(
            [storage.uri(*table, path) for path in paths],
            schema=schema,
            missing_columns="insert",
            glob=False,
            hive_partitioning=False,
        ).with_columns(pl.lit(day, dtype=pl.Date).alias(DAY))
        for day, paths in asked.items()
    ]
    together = pl.concat(frames)
    return together if columns is None else together.select(columns)


def _part(files: Sequence[str], part: int, parts: int) -> list[str]:
    """The files of one part: neighbours, as many in each part as can be."""
    first, last = (-(-each * len(files) // parts) for each in (part, part + 1))
    return list(files[first:last])
