"""A user's own logs: a folder of Parquet files by day, local or on any file system that fsspec knows.

Files are read one after the other, in slices of rows, so that neither a day nor a file need fit in memory; or each part
of them by another process.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.sources import ParquetSource as Declaration
from ukdsl_assets.errors import SourceError, redacted
from ukdsl_assets.frames.arrow import to_polars
from ukdsl_assets.frames.conform import conform, missing_column, report_unused
from ukdsl_assets.frames.files import files_of_rows
from ukdsl_assets.logs.by_shard import whole_day
from ukdsl_assets.logs.contract import ROWS_AT_ONCE, DayOfLogs, LogName, candidate_log_dtypes, event_log_dtypes, reading
from ukdsl_assets.logs.sources.folders import beside, files_of_day, opened, reaching

# A file is read in no more parts: for each its footer is read once more.
MOST_PARTS = 32


@dataclass(frozen=True)
class FilePart:
    """Rows of a log's file.

    Attributes:
        name: of the file, as its file system has it.
        groups: the first row group and the one after the last; None for all that the file has.
        written: size and time of the file when it was divided; None where it was not.
    """

    log: LogName
    name: str
    groups: tuple[int, int] | None = None
    written: tuple[int, int] | None = None


class ParquetReader:
    """Reads `candidate_log/day=YYYY-MM-DD/*.parquet` and `event_log/day=YYYY-MM-DD/*.parquet` under `source.path`.

    Files may lie in folders below the day's, such as `hour=01`.
    """

    def __init__(self, cascade: Cascade) -> None:
        """Take the declaration; nothing is read yet.

        Raises:
            SourceError: the cascade's source is not of kind `parquet`, or `source.columns` names unknown columns.
        """
        if not isinstance(cascade.source, Declaration):
            raise SourceError(f"{cascade.origin}: source is of kind `{cascade.source.kind}`, expected `parquet`")
        self.cascade = cascade
        self.path = beside(cascade.origin, cascade.source.path)
        self.columns = cascade.source.columns
        self.time_zone = cascade.source.time_zone
        self.dtypes: dict[LogName, dict[str, pl.DataType]] = {
            "candidate_log": candidate_log_dtypes(cascade),
            "event_log": event_log_dtypes(cascade),
        }
        known = set().union(*self.dtypes.values())
        if unknown := sorted(set(self.columns) - known):
            raise SourceError(
                f"{cascade.origin}: source.columns: unknown contract column(s) {', '.join(unknown)}, expected "
                f"keys among {', '.join(sorted(known))}; write `<contract column>: <your column>`"
            )

    def read(self, day: date) -> DayOfLogs:
        """The whole day in the contract's order, as `read_in_parts` gives it."""
        return whole_day(self.read_in_parts(day))

    def read_in_parts(self, day: date) -> Iterator[DayOfLogs]:
        """Slices of the candidate log's files, then of the event log's, in the contract's types.

        Files come by path, rows in their order in the file. Values are for the gates to judge.

        Raises:
            SourceError: the store cannot be reached, a folder or day is missing or holds no Parquet file or files that
                would not be read, or a file cannot be read.
            ContractError: a column is missing or of a type that cannot be cast.
        """
        for log in self.dtypes:
            with reading(log):
                for _, rows in self._slices(log, day):
                    yield self._alone(log, rows)

    @property
    def local(self) -> bool:
        """Whether the files are of this machine."""
        return "://" not in self.path or self.path.startswith(("file://", "local://"))

    def parts(self, log: LogName, day: date) -> list[FilePart]:
        """The files of a log's day by path, or parts of them, so that slices are those of `read_in_parts`.

        A local file is divided where a slice ends with a row group, as it does in what polars and pyarrow write. One of
        a store is a part: to read any of it, it is copied.

        Raises:
            SourceError: as `read_in_parts`, but for files that cannot be read.
        """
        with reading(log):
            files, names = files_of_day(self.path, log, day, self.cascade.origin or self.cascade.name)
        if not isinstance(files, LocalFileSystem):
            return [FilePart(log, name) for name in names]
        return [part for name in names for part in _parts_of(log, name)]

    def read_part(self, part: FilePart) -> Iterator[DayOfLogs]:
        """Slices of it, in the contract's types.

        Raises:
            SourceError, ContractError: as `read_in_parts`; SourceError too where the file was written again meanwhile.
        """
        with reading(part.log):
            with reaching(self.path, f"source.path of {self.cascade.origin or self.cascade.name}"):
                files, _ = opened(self.path)
            for _, rows in self._slices_of(files, part, self.dtypes[part.log]):
                yield self._alone(part.log, rows)

    def _alone(self, log: LogName, rows: pl.DataFrame) -> DayOfLogs:
        """Rows of one log, and none of the other."""
        return DayOfLogs(*(rows if each == log else pl.DataFrame(schema=self.dtypes[each]) for each in self.dtypes))

    def read_columns(
        self, day: date, candidates: Sequence[str], events: Sequence[str]
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """`read_in_parts` of some of the contract's columns, in the order asked for; no other is read.

        Raises:
            SourceError, ContractError: as `read_in_parts`.
        """
        none_of = {log: pl.DataFrame(schema=self.dtypes[log]) for log in self.dtypes}
        no_candidates, no_events = none_of["candidate_log"].select(candidates), none_of["event_log"].select(events)
        with reading("candidate_log"):
            for _, rows in self._slices("candidate_log", day, candidates):
                yield rows.select(candidates), no_events
        with reading("event_log"):
            for _, rows in self._slices("event_log", day, events):
                yield no_candidates, rows.select(events)

    def locate(self, log: LogName, day: date, keys: pl.DataFrame) -> dict[tuple[Any, ...], list[str]]:
        """The files of a day that hold rows of each key, sorted by name; reads the keys' columns of every file.

        Args:
            keys: unique rows of some of the contract's columns, in its types; nulls equal nulls.

        Returns:
            URIs by key (a row of `keys`); a key that no file holds is absent.

        Raises:
            SourceError, ContractError: as `read`.
        """
        files_of: dict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
        for where, held in self._slices(log, day, keys.columns):
            for key in keys.join(held, on=keys.columns, how="semi", nulls_equal=True).rows():
                files_of[key][where] = None
        return {key: list(files) for key, files in files_of.items()}

    def fingerprint(self, log: LogName, day: date) -> str:
        """Hash of the names, sizes and times or tags of a day's files, below its folder too; empty where it has none.

        Raises:
            SourceError: the store cannot be reached.
        """
        with reaching(self.path, f"source.path of {self.cascade.origin or self.cascade.name}"):
            files, root = opened(self.path)
            folder = f"{root.rstrip('/')}/{log}/day={day}"
            found = files_of_rows(files, folder).read if files.isdir(folder) else []
            held = [(name.removeprefix(folder), files.info(name)) for name in found]
        told = [f"{name} {facts.get('size')} {_written(facts)}" for name, facts in held]
        return sha256("\n".join(told).encode()).hexdigest()[:16] if told else ""

    def _slices(
        self, log: LogName, day: date, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """URI of a file and rows of it, in some of the contract's columns or all; an empty file gives no rows once."""
        files, names = files_of_day(self.path, log, day, self.cascade.origin or self.cascade.name)
        dtypes = {name: dtype for name, dtype in self.dtypes[log].items() if columns is None or name in columns}
        for name in names:
            yield from self._slices_of(files, FilePart(log, name), dtypes)

    def _slices_of(
        self, files: fsspec.AbstractFileSystem, part: FilePart, dtypes: Mapping[str, pl.DataType]
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        where = redacted(files.unstrip_protocol(part.name))
        with _on_disk(files, part.name, where) as path:
            for rows in self._theirs_of(path, where, part, dtypes):
                yield where, conform(rows, dtypes, where, self.time_zone)

    def _theirs_of(
        self, path: str, where: str, part: FilePart, dtypes: Mapping[str, pl.DataType]
    ) -> Iterator[pl.DataFrame]:
        """Those columns of a file, under the contract's names; no other is read, so that it may hold anything."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _readable(where):
            # Where its writer left checksums, a flipped bit is seen.
            opened = pq.ParquetFile(path, page_checksum_verification=True)
        with opened:
            with _readable(where):
                if part.written is not None and part.written != _size_and_time(path):
                    raise SourceError(
                        f"{where}: written again while it was read, expected the file that was there when the day "
                        "began to be read; run the day again once all files are there"
                    )
            present = opened.schema_arrow.names
            theirs = self._theirs(present, where, dtypes)
            if part.groups is None or part.groups[0] == 0:
                report_unused(
                    set(present) - {self.columns.get(column, column) for column in self.dtypes[part.log]}, where
                )
            wanted = list(dict.fromkeys(theirs.values()))
            groups = [*range(*(part.groups or (0, opened.num_row_groups)))]
            height = sum(opened.metadata.row_group(group).num_rows for group in groups)
            batches = opened.iter_batches(ROWS_AT_ONCE, groups, wanted)
            table = pa.schema([opened.schema_arrow.field(name) for name in wanted]).empty_table()
            for start in range(0, max(height, 1), ROWS_AT_ONCE):
                with _readable(where):
                    if start < height:
                        table = pa.Table.from_batches([next(batches)]).select(wanted)
                held = to_polars(table, where)
                yield held.select(pl.col(their).alias(column) for column, their in theirs.items())

    def _theirs(self, present: Sequence[str], where: str, dtypes: Mapping[str, pl.DataType]) -> dict[str, str]:
        """The file's column for each of the contract's; one may serve for several.

        Both logs have the keys, and one of them may have them by the contract's names.
        """
        theirs = {column: self.columns.get(column, column) for column in dtypes}
        theirs |= {key: key for key in KEYS if key in theirs and theirs[key] not in present and key in present}
        for column, their in theirs.items():
            if present.count(their) > 1:
                raise SourceError(
                    f"{where}: column `{their}` is there {present.count(their)} times, expected it once; write one of "
                    "them under another name"
                )
            if their in present:
                continue
            if column in self.columns:
                raise SourceError(
                    f"{where}: column `{their}`, which source.columns gives for `{column}`, is missing, saw "
                    f"{', '.join(present)}; correct source.columns"
                )
            raise missing_column(column, dtypes[column], present, where)
        return theirs


def _parts_of(log: LogName, path: str) -> list[FilePart]:
    """A local file where it can be cut, or as a whole; whoever reads it tells what is wrong with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        written = _size_and_time(path)
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return [FilePart(log, path)]
    before = accumulate((footer.row_group(group).num_rows for group in range(footer.num_row_groups)), initial=0)
    cuts = [group for group, rows in enumerate(before) if rows % ROWS_AT_ONCE == 0 and rows < footer.num_rows]
    cuts = [*cuts[:: ceil(len(cuts) / MOST_PARTS) or 1], footer.num_row_groups]
    return [FilePart(log, path, groups, written) for groups in pairwise(cuts)] or [FilePart(log, path)]


def _size_and_time(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def _on_disk(files: fsspec.AbstractFileSystem, name: str, where: str) -> Iterator[str]:
    """Path of a file that slices can be read of: its own, or that of a copy, which is then removed."""
    if isinstance(files, LocalFileSystem):
        yield name
        return
    with TemporaryDirectory() as folder:
        path = f"{folder}/copy.parquet"
        with reaching(where, "the store"):
            files.get_file(name, path)
        yield path


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn what a file's reader raises into SourceError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise SourceError(f"{where}: cannot be read: {error}; check that the file may be read") from error
        raise SourceError(f"{where}: not readable as Parquet: {error}; write the file again") from error


def _written(facts: Mapping[str, Any]) -> str:
    """When a file was last written, or the store's tag of its content: each store has a name of its own for it."""
    names = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")
    return next((str(facts[name]) for name in names if facts.get(name) is not None), "")
