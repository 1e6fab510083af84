"""Files of scores: Parquet or CSV, by their ending, written a batch at a time; a file appears once it is whole."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.frames.files import PARQUET_ENDINGS

_ENDINGS = (*PARQUET_ENDINGS, ".csv")


def check_target(target: Path) -> None:
    """Raises ScoringError for a folder, a place that is not there, or an ending that says no form."""
    if target.is_dir():
        raise ScoringError(f"--output: {target} is a folder; name a file in it, e.g. {target / 'scores.parquet'}")
    if not target.parent.is_dir():
        raise ScoringError(f"--output: no folder {target.parent}; make it first")
    if not target.name.lower().endswith(_ENDINGS):
        raise ScoringError(f"--output: {target}: expected a name that ends in one of {', '.join(_ENDINGS)}")


def check_writable(columns: pl.DataFrame, target: Path) -> None:
    """Raises ScoringError for columns that CSV has no text for."""
    if not _is_csv(target):
        return
    wrong = [f"{name} ({dtype})" for name, dtype in columns.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if wrong:
        raise ScoringError(f"--keep: CSV cannot hold {', '.join(wrong)}; leave them out, or write --output as Parquet")


@contextmanager
def scores_file(target: Path, record: Mapping[str, str]) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Gives what appends a frame, always of the same columns; the target is replaced at the end, or left on an error.

    Args:
        record: names and values for the metadata of a Parquet file; CSV has no place for them.
    """
    temporary = target.with_name(f".{target.name}-{uuid4().hex}")
    try:
        with _csv(temporary) if _is_csv(target) else _parquet(temporary, record) as append:
            yield append
        if temporary.exists():
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _is_csv(target: Path) -> bool:
    return target.name.lower().endswith(".csv")


@contextmanager
def _parquet(path: Path, record: Mapping[str, str]) -> Iterator[Callable[[pl.DataFrame], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[Any] = []

    def append(frame: pl.DataFrame) -> None:
        table = frame.to_arrow()
        if not writers:
            writers.append(pq.ParquetWriter(path, table.schema.with_metadata(dict(record)), compression="zstd"))
        writers[0].write_table(table.cast(pa.schema(writers[0].schema)))

    try:
        yield append
    finally:
        for writer in writers:
            writer.close()


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    with path.open("wb") as file:
        # Digits enough for each prediction to be read back as it is.
        yield lambda frame: frame.write_csv(file, include_header=file.tell() == 0)
