"""Files of candidates: Parquet or CSV, by their ending, opened and read a batch at a time, whatever their size."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl
from fsspec.implementations.local import LocalFileSystem

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.frames.arrow import to_polars
from ukdsl_assets.frames.files import PARQUET_ENDINGS, files_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

CSV_ENDINGS = (".csv", ".csv.gz")
# Of a list of whole numbers in JSON; the parser would cut off a fraction in silence.
_WHOLE = r"^\s*\[\s*((-?\d+|null)\s*(,\s*(-?\d+|null)\s*)*)?\]\s*$"
# What a text must be, by the type that its column is read as.
_EXPECTED = {"int64": "a whole number, such as 3 (not 3.0)", "double": "a number, such as 0.25"}


class CandidateFile(Protocol):
    """One file; `rows` is None where only reading to the end would tell."""

    @property
    def path(self) -> Path: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def rows(self) -> int | None: ...

    def empty(self, features: Mapping[str, pl.DataType], kept: Sequence[str]) -> pl.DataFrame:
        """No rows, with those columns in the types that `batches` gives."""
        ...

    def batches(
        self, features: Mapping[str, pl.DataType], kept: Sequence[str], batch_rows: int
    ) -> Iterator[pl.DataFrame]:
        """Frames of `batch_rows` rows, the last with what is left; one without rows for a file without any."""
        ...


def candidate_paths(source: Path) -> list[Path]:
    """The file, or the Parquet files of a folder in order of their paths, as `files_of_rows` finds them.

    Raises:
        ScoringError: there is none, or a file in the folder would not be read.
    """
    if not source.is_dir():
        if not source.is_file():
            raise ScoringError(
                f"--input: {source} is no Parquet or CSV file and no folder of Parquet files; name one that exists"
            )
        return [source]
    found = files_of_rows(LocalFileSystem(), str(source.absolute()))
    if found.refused:
        raise ScoringError(f"--input: {source}: {found.refusal}")
    if not found.read:
        raise ScoringError(f"--input: {source} has no Parquet file; name a folder that has, or a file")
    return [source / Path(file).relative_to(source.absolute()) for file in found.read]


def open_candidates(path: Path) -> CandidateFile:
    """A file as its ending says: CSV, or else Parquet; ScoringError where it cannot be read as that."""
    return _CsvFile(path) if path.name.lower().endswith(CSV_ENDINGS) else _ParquetFile(path)


class _ParquetFile:
    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path: Path = path
        try:
            opened = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            endings = ", ".join((*PARQUET_ENDINGS, *CSV_ENDINGS))
            raise ScoringError(f"{path}: not readable as Parquet: {error}; expected one of {endings}") from error
        self._schema = opened.schema_arrow
        self.names, self.rows = self._schema.names, opened.metadata.num_rows

    def empty(self, features: Mapping[str, pl.DataType], kept: Sequence[str]) -> pl.DataFrame:
        return to_polars(self._wanted(features, kept).empty_table(), str(self.path))

    def batches(
        self, features: Mapping[str, pl.DataType], kept: Sequence[str], batch_rows: int
    ) -> Iterator[pl.DataFrame]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        opened, wanted = pq.ParquetFile(self.path, page_checksum_verification=True), self._wanted(features, kept)
        if self.rows == 0:
            yield self.empty(features, kept)
        try:
            for batch in opened.iter_batches(batch_size=batch_rows, columns=wanted.names):
                yield to_polars(pa.Table.from_batches([batch]).select(wanted.names), str(self.path))
        except (pa.ArrowException, OSError) as error:
            raise ScoringError(f"{self.path}: damaged, not readable to its end: {error}; write it again") from error

    def _wanted(self, features: Iterable[str], kept: Sequence[str]) -> pa.Schema:
        """Of all columns those that scoring reads: whatever is in the others does not matter."""
        import pyarrow as pa

        return pa.schema([self._schema.field(name) for name in dict.fromkeys((*kept, *features))])


class _CsvFile:
    """Commas between values, a line of names first; an empty cell is null, `""` an empty text, a list is JSON.

    Columns that are kept and no features stay texts, as they are written.
    """

    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
                self.names = next(csv.reader(file), [])
        except (EOFError, OSError, UnicodeError, csv.Error) as error:
            raise ScoringError(f"{path}: not readable as CSV in UTF-8: {error}; write it again") from error
        if not self.names:
            raise ScoringError(f"{path}: it is empty; expected a line with the names of the columns")
        separators = [each for each in (";", "\t", "|") if len(self.names) == 1 and each in self.names[0]]
        if separators:
            raise ScoringError(f"{path}: its columns stand between {separators[0]!r}; write commas between them")

    def empty(self, features: Mapping[str, pl.DataType], kept: Sequence[str]) -> pl.DataFrame:
        import pyarrow as pa

        schema = pa.schema(list(self._types(features, kept).items()))
        return self._with_lists(to_polars(schema.empty_table(), str(self.path)), features)

    def batches(
        self, features: Mapping[str, pl.DataType], kept: Sequence[str], batch_rows: int
    ) -> Iterator[pl.DataFrame]:
        # Blocks of a file have as many rows as fit in so many bytes.
        waiting, given = self.empty(features, kept), False
        for block in self._blocks(features, kept):
            waiting = pl.concat([waiting, block])
            while len(waiting) >= batch_rows:
                given = True
                yield waiting[:batch_rows]
                waiting = waiting[batch_rows:]
        if len(waiting) or not given:
            yield waiting

    def _blocks(self, features: Mapping[str, pl.DataType], kept: Sequence[str]) -> Iterator[pl.DataFrame]:
        import pyarrow as pa
        import pyarrow.csv as pc

        types = self._types(features, kept)
        try:
            reader = pc.open_csv(
                str(self.path),
                # Only one thread counts rows, which messages name.
                read_options=pc.ReadOptions(use_threads=False),
                parse_options=pc.ParseOptions(newlines_in_values=True),
                convert_options=pc.ConvertOptions(
                    include_columns=list(types),
                    column_types=types,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            for batch in reader:
                frame = to_polars(pa.Table.from_batches([batch]), str(self.path))
                yield self._with_lists(frame, features)
        except (pa.ArrowException, OSError) as error:
            raise self._refusal(str(error), types) from error

    def _types(self, features: Mapping[str, pl.DataType], kept: Sequence[str]) -> dict[str, pa.DataType]:
        import pyarrow as pa

        whole, number, text = pa.int64(), pa.float64(), pa.string()
        read = {name: whole if dtype == pl.Int64 else number for name, dtype in features.items()}
        read |= {name: text for name, dtype in features.items() if dtype == pl.String or dtype.is_nested()}
        return {name: read.get(name, text) for name in dict.fromkeys((*kept, *features))}

    def _with_lists(self, frame: pl.DataFrame, features: Mapping[str, pl.DataType]) -> pl.DataFrame:
        nested = {name: dtype for name, dtype in features.items() if dtype.is_nested()}
        return frame.with_columns(self._lists(frame[name], dtype) for name, dtype in nested.items())

    def _lists(self, texts: pl.Series, dtype: pl.DataType) -> pl.Series:
        """Lists that are written as JSON; those of measures have 64 bits, as in any other file."""
        inner = {pl.Int64: pl.Int64, pl.String: pl.String}.get(dtype.inner, pl.Float64)  # type: ignore[attr-defined]
        shape = _WHOLE if inner is pl.Int64 else r"^\s*\[(?s).*\]\s*$"
        wrong = texts.filter(~texts.str.contains(shape).fill_null(True))
        if not len(wrong):
            try:
                return texts.str.json_decode(pl.List(inner))
            except pl.exceptions.PolarsError:
                wrong = pl.Series([text for text in texts.drop_nulls() if not _is_list(text, inner)][:1] or texts[:1])
        of, example = {pl.Int64: ("whole numbers", "[3, 5]"), pl.String: ("texts", '["a", "b"]')}.get(
            inner, ("numbers", "[0.25, -1]")
        )
        raise ScoringError(
            f"{self.path}: column `{texts.name}` holds lists of {of}: saw {wrong[0]!r:.60}, expected JSON such as "
            f"{example}; write them so, or write the candidates as Parquet"
        )

    def _refusal(self, error: str, types: Mapping[str, pa.DataType]) -> ScoringError:
        """An error of the reader in words of the file: its line, its column and what is expected there."""
        if told := re.search(
            r"column #(\d+): (?:Row #(\d+): )?CSV conversion error to (\S+): (?:invalid value )?(.*)", error
        ):
            name = [*self.names, ""][int(told[1])] if int(told[1]) < len(self.names) else f"number {told[1]}"
            line = f", line {int(told[2]):,}" if told[2] else ""
            return ScoringError(
                f"{self.path}{line}: column `{name}`: saw {told[4]}, expected {_EXPECTED.get(told[3], told[3])}, or "
                "an empty cell where the value is missing; correct the file, or write it as Parquet"
            )
        if told := re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", error):
            line = f", line {int(told[1]):,}" if told[1] else ""
            return ScoringError(
                f"{self.path}{line}: it has {told[3]} value(s), expected {told[2]}, one a column; put values that hold "
                "commas or line breaks in double quotes"
            )
        return ScoringError(f"{self.path}: not readable as CSV: {error}; write it again")


def _is_list(text: str, inner: object) -> bool:
    try:
        values = json.loads(text)
    except ValueError:
        return False
    wanted = str if inner is pl.String else int | float
    return isinstance(values, list) and all(value is None or isinstance(value, wanted) for value in values)
