"""A user's own logs: a folder of Parquet files by day, local or on any file system that fsspec knows.

Files are read one after the other, in slices of rows, so that neither a day nor a file need fit in memory.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sources import ParquetSource as Declaration
from ukdsl_assets.errors import SourceError
from ukdsl_assets.frames.conform import conform, report_unused
from ukdsl_assets.logs.by_shard import whole_day
from ukdsl_assets.logs.contract import ROWS_AT_ONCE, DayOfLogs, LogName, candidate_log_dtypes, event_log_dtypes, reading


class ParquetReader:
    """Reads `candidate_log/day=YYYY-MM-DD/*.parquet` and `event_log/day=YYYY-MM-DD/*.parquet` under `source.path`."""

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

        Files come by name, rows in their order in the file. Values are for the gates to judge.

        Raises:
            SourceError: the store cannot be reached, a folder or day is missing or holds no Parquet file, or a file
                cannot be read.
            ContractError: a column is missing or of a type that cannot be cast.
        """
        no_candidates, no_events = (pl.DataFrame(schema=dtypes) for dtypes in self.dtypes.values())
        with reading("candidate_log"):
            for _, candidates in self._slices("candidate_log", day):
                yield DayOfLogs(candidates, no_events)
        with reading("event_log"):
            for _, events in self._slices("event_log", day):
                yield DayOfLogs(no_candidates, events)

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

    def _slices(
        self, log: LogName, day: date, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """URI of a file and rows of it, in some of the contract's columns or all; an empty file gives no rows once."""
        files, names = self._files(log, day)
        dtypes = {name: dtype for name, dtype in self.dtypes[log].items() if columns is None or name in columns}
        for name in names:
            where = files.unstrip_protocol(name)
            with _on_disk(files, name, where) as path:
                for rows in self._slices_of(path, where, log, dtypes):
                    yield where, conform(rows, dtypes, where)

    def _files(self, log: LogName, day: date) -> tuple[fsspec.AbstractFileSystem, list[str]]:
        with _reaching(self.path, f"source.path of {self.cascade.origin or self.cascade.name}"):
            files, root = fsspec.core.url_to_fs(self.path)
            files.invalidate_cache()
            folder = f"{root.rstrip('/')}/{log}"
            has_folder = files.isdir(folder)
            names = sorted(files.glob(f"{folder}/day={day}/*.parquet"))
            nearest = "" if names else _nearest_days(files, folder, day)
        if not has_folder:
            raise SourceError(
                f"{self.path}/{log}: no such folder; expected {log}/day=YYYY-MM-DD/*.parquet under source.path of "
                f"{self.cascade.origin or self.cascade.name}"
            )
        if not names:
            fix = "; a day without events needs an empty file" if log == "event_log" else ""
            raise SourceError(
                f"{self.path}/{log}/day={day}: missing, or holds no *.parquet file; nearest days that are there: "
                f"{nearest}; write the day's logs first{fix}"
            )
        return files, names

    def _slices_of(self, path: str, where: str, log: LogName, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Those of the columns that a file has, under the contract's names."""
        ours = {self.columns.get(column, column): column for column in self.dtypes[log]}
        scanned = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        with _readable(where):
            present, rows = scanned.collect_schema(), scanned.select(pl.len()).collect().item()
        wanted = [column for column in ours if ours[column] in columns]
        for column in wanted:
            if column not in present and ours[column] in self.columns:
                raise SourceError(
                    f"{where}: column `{column}`, which source.columns gives for `{ours[column]}`, is missing, saw "
                    f"{', '.join(present)}; correct source.columns"
                )
        report_unused(set(present) - set(ours), where)
        held = scanned.select(pl.col(column).alias(ours[column]) for column in wanted if column in present)
        for start in range(0, max(rows, 1), ROWS_AT_ONCE):
            with _readable(where):
                frame = held.slice(start, ROWS_AT_ONCE).collect()
            yield frame


@contextmanager
def _on_disk(files: fsspec.AbstractFileSystem, name: str, where: str) -> Iterator[str]:
    """Path of a file that slices can be read of: its own, or that of a copy, which is then removed."""
    if isinstance(files, LocalFileSystem):
        yield name
        return
    with TemporaryDirectory() as folder:
        path = f"{folder}/copy.parquet"
        with _reaching(where, "the store"):
            files.get_file(name, path)
        yield path


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn what polars raises on a file into SourceError."""
    try:
        with _reaching(where, "the store"):
            yield
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{where}: not readable as Parquet: {error}; write the file again") from error


@contextmanager
def _reaching(place: str, declared: str) -> Iterator[None]:
    """Turn what a store raises into SourceError; every store has errors of its own, so that all are caught."""
    try:
        yield
    except pl.exceptions.PolarsError:
        raise
    except ImportError as error:
        raise SourceError(f"{place}: no client for this store is installed: {error}") from error
    except Exception as error:
        raise SourceError(
            f"{place}: cannot be reached or read: {type(error).__name__}: {error}; check the protocol and address in "
            f"{declared}, the store's credentials in the environment (e.g. AWS_ACCESS_KEY_ID) and the network"
        ) from error


def _nearest_days(files: fsspec.AbstractFileSystem, folder: str, day: date, count: int = 3) -> str:
    days = []
    for name in files.glob(f"{folder}/day=*"):
        try:
            days.append(date.fromisoformat(name.rstrip("/").rsplit("day=", 1)[1]))
        except ValueError:
            continue
    nearest = sorted(days, key=lambda other: (abs((other - day).days), other))[:count]
    return ", ".join(str(other) for other in sorted(nearest)) or "none"


def beside(origin: str, path: str) -> str:
    """A relative path of a declaration is relative to its file, wherever the command runs; URIs stay as they are."""
    return path if "://" in path or Path(path).is_absolute() else str(Path(origin).parent / path)
