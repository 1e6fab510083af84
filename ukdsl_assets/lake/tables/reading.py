"""Reading tables by day: always the live files of one table version, never a listing of a folder."""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage, checked_key
from ukdsl_assets.lake.tables.commit import live_actions
from ukdsl_assets.lake.tables.schema import DAY, to_polars
from ukdsl_assets.lake.tables.staging import data_version_of

Table = tuple[str, ...]
LOG = "_delta_log"  # folder of a Delta table that makes it one


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
class Publication:
    """One entry of a partition's history: what was published, when (UTC), and the metadata given to `commit`."""

    version: int
    published_at: dt.datetime
    data_version: str
    rows: int
    metadata: dict[str, str]


@dataclass(frozen=True)
class LakeReader:
    """The reading half of `Lake`: a reader sees the old partition or the new one, never a mixture."""

    root: str

    def __post_init__(self) -> None:
        Storage(self.root)  # a wrong root is an error here, not at the first write

    @cached_property
    def _storage(self) -> Storage:
        return Storage(self.root)

    def table_uri(self, table: Table) -> str:
        """Folder or URI of a table; the table need not exist."""
        return self._storage.uri(*checked_key(table))

    def partition(self, table: Table, day: dt.date) -> PublishedPartition | None:
        """What is published for a day now, from the log; None when the day or the table is not there."""
        opened = self._open(table)
        if opened is None:
            return None
        live = live_actions(opened).filter(pl.col("day") == day)
        if live.is_empty():
            return None
        return PublishedPartition(
            table,
            day,
            opened.version(),
            sum(live["rows"]),
            sum(live["bytes"]),
            tuple(self._uris(table, live)),
            data_version_of(live["path"].to_list()),
        )

    def partitions(self, table: Table) -> list[dt.date]:
        """The published days in order; empty when there is no such table."""
        opened = self._open(table)
        return [] if opened is None else live_actions(opened)["day"].unique().sort().to_list()

    def row_counts(self, table: Table, days: Iterable[dt.date]) -> dict[dt.date, int]:
        """Rows of those of the days that are published, from the log without reading data, in order of day."""
        opened = self._open(table)
        if opened is None:
            return {}
        counts = live_actions(opened).filter(pl.col("day").is_in(list(days))).group_by("day").agg(pl.col("rows").sum())
        return dict(counts.sort("day").iter_rows())

    def live_files(self, table: Table, days: Iterable[dt.date], version: int | None = None) -> list[str]:
        """Paths or URIs of the files of the days, by day and shard, for polars or DuckDB; see `scan` for the checks.

        Days that are not published have no files here.
        """
        opened = self._open(table, version)
        if opened is None:
            return []
        return self._uris(table, live_actions(opened).filter(pl.col("day").is_in(list(days))))

    def scan(
        self, table: Table, days: Iterable[dt.date], version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """The rows of the days by day, shard and their order in the file, with a last column `day` (Date).

        The files are fixed when this is called: a later commit does not change what is collected.

        Args:
            table: key of the table.
            days: at least one, in any order; all must be published (`partitions` tells which are).
            version: version of the table to read, None for the newest; fails at collection once vacuumed.
            columns: names to keep, in order (`day` allowed); None for all.

        Raises:
            LakeError: no day was asked for, or one is not published; the message says how to make it.
        """
        return self._scans(table, days, version, columns, parts=1)[0]

    def scan_shards(
        self, table: Table, days: Iterable[dt.date], version: int | None = None, columns: Sequence[str] | None = None
    ) -> list[pl.LazyFrame]:
        """`scan` in parts, whole shards of each day, all of one reading of the table's log.

        There are as many as the day with the fewest shards has; of a day with more, a part holds neighbours.
        """
        return self._scans(table, days, version, columns, parts=None)

    def columns(self, table: Table, day: dt.date) -> list[str]:
        """The columns that a published day was written with, in their order; `scan` gives null for later ones.

        Raises:
            LakeError: the day is not published.
        """
        published = self.partition(table, day)
        if published is None:
            raise self._absent(table, [day])
        return pl.scan_parquet(published.files[0], glob=False, hive_partitioning=False).collect_schema().names()

    def history(self, table: Table, day: dt.date) -> list[Publication]:
        """The publications of a day, newest first, as far as the table's log goes back (Delta keeps 30 days)."""
        log = self._storage.path(*checked_key(table), LOG)
        # DeltaTable.history() misnumbers its entries when somebody commits while it reads; the files' names are exact.
        commits = {int(Path(path).stem): path for path in self._storage.glob(f"{log}/{'[0-9]' * 20}.json")}
        return [
            Publication(
                version,
                dt.datetime.fromtimestamp(entry["timestamp"] / 1000, dt.UTC),
                entry["data_version"],
                entry["rows"],
                entry["metadata"],
            )
            for version, path in sorted(commits.items(), reverse=True)
            for line in (self._storage.read(path) or b"").splitlines()
            if (entry := json.loads(line).get("commitInfo", {})).get("day") == day.isoformat()
        ]

    def _scans(
        self,
        table: Table,
        days: Iterable[dt.date],
        version: int | None,
        columns: Sequence[str] | None,
        parts: int | None,
    ) -> list[pl.LazyFrame]:
        """Scans of as many parts, None for those of `scan_shards`; all else as `scan` says."""
        name = "/".join(table)
        days = sorted(set(days))
        if not days:
            raise LakeError(
                f"{name}: no day was asked for, expected at least one. `partitions` lists the published days."
            )
        opened = self._open(table, version)
        live = None if opened is None else live_actions(opened)
        missing = [day for day in days if live is None or day not in live["day"]]
        if opened is None or live is None or missing:
            raise self._absent(table, missing, version)
        schema = to_polars(opened.schema())
        files = {day: self._uris(table, live.filter(pl.col("day") == day)) for day in days}
        count = min(len(each) for each in files.values()) if parts is None else parts

        def scanned(part: int) -> pl.LazyFrame:
            frames = [
                pl.scan_parquet(
                    _part(files[day], part, count),
                    schema=schema,
                    missing_columns="insert",
                    glob=False,
                    hive_partitioning=False,
                ).with_columns(pl.lit(day, dtype=pl.Date).alias(DAY))
                for day in days
            ]
            together = pl.concat(frames)
            return together if columns is None else together.select(columns)

        return [scanned(part) for part in range(count)]

    def _open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        uri = self.table_uri(table)
        try:
            return DeltaTable(uri, version=version)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise LakeError(
                f"{uri}{'' if version is None else f', version {version}'} cannot be read: {error}. Expected a Delta "
                "table; `history` lists the versions."
            ) from error

    def _absent(self, table: Table, days: Sequence[dt.date], version: int | None = None) -> LakeError:
        return LakeError(
            f"{'/'.join(table)} has no day {', '.join(map(str, days))}"
            f"{'' if version is None else f' in version {version}'} below {self.root}. "
            f"Make it first: ukdsl run {table[0]} --days {days[0]}"
        )

    def _uris(self, table: Table, live: pl.DataFrame) -> list[str]:
        return [self._storage.uri(*table, path) for path in live["path"]]


def _part(files: Sequence[str], part: int, parts: int) -> list[str]:
    """The files of one part: neighbours, as many in each part as can be."""
    first, last = (-(-each * len(files) // parts) for each in (part, part + 1))
    return list(files[first:last])
