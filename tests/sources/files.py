"""A user's logs as Parquet files, for tests."""

from datetime import date

import fsspec
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.sources.contract import DayOfLogs

DAY = date(2026, 1, 3)


def declared(cascade: Cascade, path: str, columns: dict[str, str] | None = None) -> Cascade:
    source = {"kind": "parquet", "path": path, "columns": columns or {}}
    return Cascade.model_validate({**cascade.model_dump(), "source": source})


def write(frame: pl.DataFrame, uri: str) -> None:
    with fsspec.open(uri, "wb", auto_mkdir=True) as handle:
        frame.write_parquet(handle)


def write_day(logs: DayOfLogs, root: str, day: date = DAY) -> None:
    """Two shuffled files of candidates, one of events."""
    mixed = logs.candidate_log.sample(fraction=1, shuffle=True, seed=1)
    write(mixed.head(100), f"{root}/candidate_log/day={day}/part-0.parquet")
    write(mixed.slice(100), f"{root}/candidate_log/day={day}/part-1.parquet")
    write(logs.event_log.reverse(), f"{root}/event_log/day={day}/part-0.parquet")
