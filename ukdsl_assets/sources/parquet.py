"""A user's own logs: a folder of Parquet files by day, local or on any file system that fsspec knows."""

from collections.abc import Mapping
from datetime import date

import fsspec
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.cascade import ParquetSource as Declaration
from ukdsl_assets.errors import SourceError
from ukdsl_assets.sources.contract import (
    DayOfLogs,
    candidate_log_dtypes,
    conform,
    event_log_dtypes,
    report_unused,
)

CANDIDATE_ORDER = ("request_id", "candidate_id")
EVENT_ORDER = ("request_id", "candidate_id", "occurred_at", "event")


class ParquetSource:
    """Reads `candidate_log/day=YYYY-MM-DD/*.parquet` and `event_log/day=YYYY-MM-DD/*.parquet` under `source.path`."""

    def __init__(self, cascade: Cascade) -> None:
        """Take the declaration; nothing is read yet.

        Raises:
            SourceError: the cascade's source is not of kind `parquet`, or `source.columns` names unknown columns.
        """
        if not isinstance(cascade.source, Declaration):
            raise SourceError(f"{cascade.origin}: source is of kind `{cascade.source.kind}`, expected `parquet`")
        self.cascade = cascade
        self.path = cascade.source.path
        self.columns = cascade.source.columns
        known = {*candidate_log_dtypes(cascade), *event_log_dtypes(cascade)}
        if unknown := sorted(set(self.columns) - known):
            raise SourceError(
                f"{cascade.origin}: source.columns: unknown contract column(s) {', '.join(unknown)}, expected "
                f"keys among {', '.join(sorted(known))}; write `<contract column>: <your column>`"
            )

    def read(self, day: date) -> DayOfLogs:
        """One day of both logs, in the contract's types and order. Values are for the audit to judge.

        Raises:
            SourceError: a folder or day is missing or holds no Parquet file, or a file cannot be read.
            ContractError: a column is missing or of a type that cannot be cast.
        """
        candidates = self._read_log("candidate_log", day, candidate_log_dtypes(self.cascade))
        events = self._read_log("event_log", day, event_log_dtypes(self.cascade))
        return DayOfLogs(candidates.sort(CANDIDATE_ORDER), events.sort(EVENT_ORDER))

    def _read_log(self, log: str, day: date, dtypes: Mapping[str, pl.DataType]) -> pl.DataFrame:
        files, names = self._files(log, day)
        return pl.concat([self._read_file(files, name, dtypes) for name in names])

    def _files(self, log: str, day: date) -> tuple[fsspec.AbstractFileSystem, list[str]]:
        files, root = fsspec.core.url_to_fs(self.path)
        files.invalidate_cache()
        folder = f"{root.rstrip('/')}/{log}"
        if not files.isdir(folder):
            raise SourceError(
                f"{self.path}/{log}: no such folder; expected {log}/day=YYYY-MM-DD/*.parquet under source.path of "
                f"{self.cascade.origin or self.cascade.name}"
            )
        names = sorted(files.glob(f"{folder}/day={day}/*.parquet"))
        if not names:
            fix = "; a day without events needs an empty file" if log == "event_log" else ""
            raise SourceError(
                f"{self.path}/{log}/day={day}: missing, or holds no *.parquet file; nearest days that are there: "
                f"{_nearest_days(files, folder, day)}; write the day's logs first{fix}"
            )
        return files, names

    def _read_file(
        self, files: fsspec.AbstractFileSystem, name: str, dtypes: Mapping[str, pl.DataType]
    ) -> pl.DataFrame:
        theirs = {self.columns.get(column, column): column for column in dtypes}
        where = files.unstrip_protocol(name)
        try:
            with files.open(name, "rb") as handle:
                present = pl.read_parquet_schema(handle)
                handle.seek(0)
                frame = pl.read_parquet(handle, columns=[column for column in theirs if column in present])
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{where}: not readable as Parquet: {error}; write the file again") from error
        for column, ours in theirs.items():
            if column not in present and ours in self.columns:
                raise SourceError(
                    f"{where}: column `{column}`, which source.columns gives for `{ours}`, is missing, saw "
                    f"{', '.join(present)}; correct source.columns"
                )
        report_unused(set(present) - set(theirs), where)
        return conform(frame.rename({column: theirs[column] for column in frame.columns}), dtypes, where)


def _nearest_days(files: fsspec.AbstractFileSystem, folder: str, day: date, count: int = 3) -> str:
    days = []
    for name in files.glob(f"{folder}/day=*"):
        try:
            days.append(date.fromisoformat(name.rstrip("/").rsplit("day=", 1)[1]))
        except ValueError:
            continue
    nearest = sorted(days, key=lambda other: (abs((other - day).days), other))[:count]
    return ", ".join(str(other) for other in sorted(nearest)) or "none"
