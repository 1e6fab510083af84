"""Tables by day: write files, have them judged, publish them in one commit."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.splits import SHARD_KEY, split
from ukdsl_assets.lake.storage import checked_key, flush
from ukdsl_assets.lake.tables import staging
from ukdsl_assets.lake.tables.commit import live_actions, paths_by_day, publish
from ukdsl_assets.lake.tables.publications import LOG, Publications, files_of
from ukdsl_assets.lake.tables.reading import LakeReader, PublishedPartition, Table
from ukdsl_assets.lake.tables.schema import DAY, to_delta
from ukdsl_assets.lake.tables.staging import StagedPartition, StagedShard

__all__ = ["Lake", "PublishedPartition", "StagedPartition"]


@dataclass(frozen=True)
class Lake(LakeReader):
    """Delta tables below `root`, one per key tuple, partitioned by a Date column `day`.

    Attributes:
        root: local path, file:// or object-store URI; credentials come from the environment.
        shards: files per partition; requests go to shards by hash.
    """

    shards: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shards < 1:
            raise LakeError(f"shards is {self.shards}, expected at least 1. Set UKDSL_SHARDS to 1 or more.")

    def new_file(self, table: Table, day: dt.date, shard: int, shards: int) -> str:
        """Local path for another writer (DuckDB's COPY) to write shard `shard` of `shards` to, for `stage_files`."""
        return staging.new_file(self._storage, checked_key(table), day, shard, shards)

    def writing_folder(self, table: Table, day: dt.date) -> Path:
        """Where `new_file` points to: on the lake's own disk, if it is local. It exists, and `vacuum` clears it up."""
        folder = staging.writing_folder(self._storage, checked_key(table), day)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def stage_files(self, table: Table, day: dt.date, paths: Sequence[str]) -> StagedPartition:
        """Adopts Parquet files that were written to the paths of `new_file`; nothing is visible until `commit`.

        Files have no `day` column and one without rows stands for an empty day.

        Raises:
            LakeError: no files, a file that is not whole Parquet, shards whose columns differ, a dtype that Delta
                cannot hold, or a file that is not where `new_file` said.
        """
        staged = staging.stage_files(self._storage, checked_key(table), day, paths)
        to_delta(staged.schema, f"{'/'.join(table)}, day {day}")
        return staged

    def stage_shard(self, table: Table, day: dt.date, path: str) -> StagedShard:
        """Adopts one file as `stage_files` does all, in the process that wrote it to a path of `new_file`.

        Raises:
            LakeError: a file that is not whole Parquet, a dtype that Delta cannot hold, or a file that is not where
                `new_file` said.
        """
        shard = staging.stage_shard(self._storage, checked_key(table), day, path)
        to_delta(shard.schema, f"{'/'.join(table)}, day {day}")
        return shard

    def together(self, table: Table, day: dt.date, shards: Sequence[StagedShard]) -> StagedPartition:
        """The staged partition of the shards of a day, in their order; reads no file.

        Raises:
            LakeError: no shards, or shards whose columns differ.
        """
        return staging.together(checked_key(table), day, shards)

    def discard_shards(self, table: Table, shards: Iterable[StagedShard]) -> None:
        """Removes staged shards that are not to become a partition; those already gone are no error."""
        for shard in shards:
            self._storage.remove(self._storage.path(*checked_key(table), shard.file.path))

    def write_shard(self, table: Table, day: dt.date, shard: int, shards: int, part: pl.DataFrame) -> str:
        """Writes one of a day's shards; as `write_shards`, where those of several tables are made in turn."""
        path = self.new_file(table, day, shard, shards)
        staging.write_rows(path, part)
        return path

    def write_shards(self, table: Table, day: dt.date, parts: Iterable[pl.DataFrame], shards: int) -> list[str]:
        """Writes frames as the shards of a day, zstd Parquet, for `stage_files`; one is in memory at a time.

        If each part holds its shard's rows in their order, the bytes are those of `stage_frame` for all rows.

        Args:
            parts: one a shard, in order, without a column `day`; one without rows stands for an empty shard.
            shards: how many parts there are.

        Returns:
            The files' paths, in the order of the shards.

        Raises:
            ValueError: other than `shards` parts. Whatever is raised, no file stays.
        """
        paths: list[str] = []
        with staging.removed_on_error(paths):
            for shard, part in zip(range(shards), parts, strict=True):
                paths.append(self.write_shard(table, day, shard, shards, part))
        return paths

    def stage_frame(self, table: Table, day: dt.date, frame: pl.DataFrame) -> StagedPartition:
        """Writes the frame's rows in their order, one zstd Parquet file per shard; nothing is visible until `commit`.

        A `day` column is left out of the files if it is this day throughout. An empty frame becomes files without rows.

        Raises:
            LakeError: another day in column `day`, a dtype that Delta cannot hold, or files that do not hold the frame.
        """
        where = f"{'/'.join(table)}, day {day}"
        if DAY in frame.columns:
            if frame.schema[DAY] != pl.Date or frame[DAY].ne_missing(day).any():
                raise LakeError(
                    f"{where}: column `day` holds {frame[DAY].unique().to_list()[:3]}, expected only the Date {day}. "
                    "Filter the frame to its own day, or drop the column."
                )
            frame = frame.drop(DAY)
        to_delta(frame.schema, where)
        shards = self.shards if SHARD_KEY in frame.columns else 1
        parts = split(frame, shards) if shards > 1 else [frame]
        staged = self.stage_files(table, day, self.write_shards(table, day, parts, shards))
        if staged.rows != frame.height or staged.schema != frame.schema:
            raise LakeError(
                f"{where}: the files hold {staged.rows} rows of {dict(staged.schema)}, expected {frame.height} rows of "
                f"{dict(frame.schema)}. Nothing was published; check the disk and stage again."
            )
        return staged

    def commit(self, staged: StagedPartition, metadata: Mapping[str, str]) -> PublishedPartition:
        """Swaps the partition for the staged files in one commit; the table is created on first use.

        Columns may be new or left out: a day reads as null in the columns that its files lack. Committing the same
        staged files again is harmless.

        Args:
            staged: from `stage_frame` or `stage_files`.
            metadata: kept in the commit and beside the table, such as the run id; see `history`.

        Raises:
            LakeError: a staged file is gone or cut, or a vacuum is about to remove it, a column has another dtype than
                in the table, or other writers were in the way for all attempts. The old partition stays in each case.
        """
        records = Publications(self._storage, checked_key(staged.table))
        version = self._version_of(staged, records)
        if version is None:
            facts = {"data_version": staged.data_version, "rows": staged.rows, "metadata": dict(metadata)}
            # The order matters beside a vacuum; `publications` says why.
            claim = records.claim(staged.day, [file.path for file in staged.files], facts)
            try:
                self._refuse_unless_there(staged, records.being_swept())
            except LakeError:
                records.drop(claim)
                raise
            version = publish(self.table_uri(staged.table), staged, metadata, records)
            records.settle(staged.day, claim, version)
        if self._storage.local:
            log = self._storage.path(*staged.table, LOG)
            flush(f"{log}/{version:020d}.json")
            flush(log)
        files = tuple(self._storage.uri(*staged.table, file.path) for file in staged.files)
        size = sum(file.bytes for file in staged.files)
        return PublishedPartition(staged.table, staged.day, version, staged.rows, size, files, staged.data_version)

    def discard(self, staged: StagedPartition) -> None:
        """Removes staged files that will not be published; those already gone are no error.

        Raises:
            LakeError: the files are live; nothing is removed.
        """
        opened = self._snapshot(staged.table)
        if opened and {file.path for file in staged.files} & set(opened.paths(staged.day)):
            raise LakeError(
                f"{'/'.join(staged.table)}, day {staged.day}: the staged files are published already. Nothing was "
                "removed. Do not discard a partition after its commit."
            )
        for file in staged.files:
            self._storage.remove(self._storage.path(*staged.table, file.path))

    def vacuum(self, table: Table, retention_hours: int = 24) -> list[str]:
        """Removes files that no version younger than `retention_hours` uses, orphans of killed writers included.

        Versions older than that can no longer be read. Files younger than that are spared: they may be staged. So are
        those of a commit under way, however old; a partition that is staged and not yet being committed loses its files
        where it is older, and its commit is refused. Commits that Delta no longer needs (of 30 days ago and before) are
        removed from the log, which gets a checkpoint of its own; what `history` knows stays.

        Returns:
            Relative paths of the removed files; empty when there is no such table.

        Raises:
            LakeError: the table's folder holds files of something else, which would be removed too, what is known of a
                commit is damaged, or the log has lost one. Nothing is removed.
        """
        before = self._snapshot(table)
        if before is None:
            return []
        opened = before.opened
        records = Publications(self._storage, checked_key(table))
        if opened.metadata().partition_columns:
            records.keep_log()
            self.refuse_lost(table)
        # A dry run: Delta would remove what was committed since it looked, and counts its own vacuums as versions.
        dated = bool(opened.metadata().partition_columns)
        look = partial(opened.vacuum, dry_run=True, enforce_retention_duration=False)
        try:
            # Nothing claims the files of a table without days; they are written and committed within seconds.
            unused = look(retention_hours, full=True) if dated else look(max(retention_hours, 1), full=True)
            if not dated:
                unused = sorted({*unused, *look(retention_hours)})  # and those that a commit has replaced
        except DeltaError as error:
            raise LakeError(
                f"{'/'.join(table)}: Delta cannot list the files of {self.table_uri(table)}: {error}. Nothing was "
                "removed. Move away what is not the table's, such as a file whose name is not UTF-8."
            ) from error
        # Delta also names the files that earlier vacuums removed, for as long as its log remembers them.
        there = set(self._storage.find(*table))
        unused = [path for path in unused if self._storage.path(*table, path) in there]
        # Delta itself names the files of a table without days.
        own = f"{DAY}=" if dated else "part-"
        if foreign := [path for path in unused if not path.startswith(own)]:
            raise LakeError(
                f"{self.table_uri(table)} holds {foreign[0]} and {len(foreign) - 1} more that are not this table's. "
                "Nothing was removed. Keep tables and checkpoints in separate folders; move these away."
            )
        with records.sweeping(unused) as claimed:
            # Opened after the claims were read: a claim that was settled before is live by now.
            now = DeltaTable(self.table_uri(table))
            spared = claimed | set(pl.DataFrame(now.get_add_actions())["path"])
            removed = [path for path in unused if path not in spared]
            for path in removed:
                self._storage.remove(self._storage.path(*table, path))
        if dated:
            records.sweep(paths_by_day(live_actions(now)), now.version())
        self._clean_log(table, now)
        return removed

    def _clean_log(self, table: Table, opened: DeltaTable) -> None:
        """Writes a checkpoint of the log where there is none of this version, and removes commits of 30 days ago."""
        pointer = self._storage.read(self._storage.path(*table, LOG, "_last_checkpoint"))
        # A damaged pointer is written anew.
        written = (pointer or b"").decode(errors="replace").replace(" ", "")
        if f'"version":{opened.version()},' not in written:
            opened.create_checkpoint()
        opened.cleanup_metadata()

    def _version_of(self, staged: StagedPartition, records: Publications) -> int | None:
        """The version in which staged files are live that were committed before; None where they are not."""
        files = files_of([file.path for file in staged.files])
        if not any(record.files == files and record.version is not None for record in records.of_day(staged.day)):
            return None
        opened = self._snapshot(staged.table)
        live = opened and files_of(opened.paths(staged.day)) == files
        return opened.version if opened and live else None

    def _refuse_unless_there(self, staged: StagedPartition, being_swept: set[str]) -> None:
        where = f"{'/'.join(staged.table)}, day {staged.day}: staged file"
        for file in staged.files:
            if file.path in being_swept:
                raise LakeError(
                    f"{where} {file.path} is being removed by a vacuum that spares only younger files. Stage the "
                    "partition again, and vacuum with more --older-than-hours than a run takes."
                )
            size = self._storage.size(self._storage.path(*staged.table, file.path))
            if size != file.bytes:
                raise LakeError(
                    f"{where} {file.path} has {size} bytes, expected {file.bytes}. It was discarded, vacuumed or cut. "
                    "Stage the partition again."
                )

    def sweep(self, older_than_hours: int = 24) -> dict[str, int]:
        """Vacuums every table below the root; tables are found by their Delta logs, whatever files lie about.

        Files of a writer that was killed before its table's first commit are below no log, so they stay.

        Returns:
            URI of each table, in order -> how many files were removed, 0 included.

        Raises:
            LakeError: as `vacuum`, at the first table that raises; those before it are swept.
        """
        tables = sorted(self._tables())
        return {self.table_uri(table): len(self.vacuum(table, older_than_hours)) for table in tables}

    def _tables(self) -> Iterator[Table]:
        root = self._storage.path()
        for folder, below, _ in self._storage.fs.walk(root, topdown=True):
            if LOG in below:
                yield tuple(folder.removeprefix(root).strip("/").split("/"))
                below.clear()  # `walk` goes no deeper: the days of a table can be many
