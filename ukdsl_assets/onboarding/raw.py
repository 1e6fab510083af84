"""Raw files of a team: which there are, in which format, and a sample of their rows."""

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ukdsl_assets.errors import OnboardingError, in_own_words

RawFormat = Literal["parquet", "csv", "tsv", "ndjson", "feather"]
# Rows that guesses are made of: some thousand requests.
SAMPLE_ROWS = 200_000
# In the name of the first column: another mark between columns than the format's, and what is no UTF-8.
_OTHER_MARKS, _NOT_UTF8 = (",", ";", "\t", "|"), "\ufffd"


@dataclass(frozen=True)
class Reader:
    """How files of a format are read.

    Attributes:
        endings: of their names, in any case.
        typed: whether columns' types are guessed from text, so that a script must say them.
        call: how a script reads `file`; `types` are those of a typed format.
        scan: how a sample is read.
        expected: of a file that cannot be read so: what it is not, and how to make it so.
    """

    endings: tuple[str, ...]
    typed: bool
    call: str
    scan: Callable[[Path], pl.LazyFrame]
    expected: str

    @property
    def quoted_endings(self) -> str:
        """The endings as a script has them, with commas."""
        return ", ".join(f'"{ending}"' for ending in self.endings)


def _csv(separator: str) -> Callable[[Path], pl.LazyFrame]:
    return lambda path: pl.scan_csv(path, separator=separator, infer_schema_length=SAMPLE_ROWS)


def _text(between: str) -> str:
    return (
        f"UTF-8 text with {between} between columns, a header, and as many columns on each line; of another encoding: "
        "iconv -f LATIN1 -t UTF-8 FILE > NEW.csv"
    )


READERS: dict[RawFormat, Reader] = {
    "parquet": Reader(
        (".parquet", ".parq", ".pq"),
        False,
        "pl.scan_parquet(file, hive_partitioning=False)",
        lambda path: pl.scan_parquet(path, hive_partitioning=False),
        "a whole Parquet file",
    ),
    "csv": Reader((".csv", ".csv.gz"), True, "pl.scan_csv(file, schema_overrides=types)", _csv(","), _text("commas")),
    "tsv": Reader(
        (".tsv", ".tsv.gz"),
        True,
        'pl.scan_csv(file, separator="\\t", schema_overrides=types)',
        _csv("\t"),
        _text("tabs"),
    ),
    "ndjson": Reader(
        (".jsonl", ".ndjson", ".json"),
        True,
        "pl.scan_ndjson(file, schema_overrides=types)",
        lambda path: pl.scan_ndjson(path, infer_schema_length=SAMPLE_ROWS),
        "one JSON object on each line, as UTF-8; of a file that is one array: jq -c '.[]' FILE > FILE.jsonl",
    ),
    "feather": Reader(
        (".feather", ".arrow", ".ipc"),
        False,
        "pl.scan_ipc(file)",
        lambda path: pl.scan_ipc(path),
        "a whole file of Arrow",
    ),
}


@dataclass(frozen=True)
class RawFiles:
    """Files of one format in order of their names, and how a person named them."""

    place: str
    files: tuple[Path, ...]
    format: RawFormat

    def sample(self, rows: int = SAMPLE_ROWS) -> pl.DataFrame:
        """The first rows of each file, about as many of each, so that each file's day is among them.

        Raises:
            OnboardingError: a file cannot be read, or has other columns than the first; or there are no rows.
        """
        each = -(-rows // len(self.files))
        parts = [_head(file, self.format, each) for file in self.files]
        try:
            sample = pl.concat(parts, how="vertical_relaxed")
        except pl.exceptions.PolarsError as error:
            differing = next(
                (file for file, part in zip(self.files, parts, strict=True) if part.columns != parts[0].columns),
                self.files[-1],
            )
            raise OnboardingError(
                f"{differing} has other columns than {self.files[0]}: {in_own_words(error)}. Give files of one kind"
            ) from error
        if not len(sample):
            raise OnboardingError(f"{self.place}: no rows; expected some below the header, or the columns' names")
        return sample


def find_raw_files(place: str, option: str) -> RawFiles:
    """The files that a person means: a file, those of a folder and its folders, or those of a pattern.

    Raises:
        OnboardingError: there is none, their format is not known by their names, or they have several.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
    elif path.is_file():
        found = [path]
    else:
        found = sorted(Path(each) for each in glob.glob(str(path), recursive=True) if Path(each).is_file())
    known = [(file, form) for file in found if (form := _format_of(file)) is not None]
    endings = ", ".join(ending for reader in READERS.values() for ending in reader.endings)
    if not known:
        seen = f"; saw {', '.join(file.name for file in found[:5])}" if found else ": there is nothing"
        raise OnboardingError(
            f"{option} {place}: no file to read{seen}; expected a file, a folder or a pattern of files that end in "
            f"{endings}"
        )
    forms = sorted({form for _, form in known})
    if len(forms) > 1:
        raise OnboardingError(
            f"{option} {place}: files of several formats, {' and '.join(forms)}; name those of one, e.g. with a pattern"
        )
    return RawFiles(str(path.resolve()), tuple(file.resolve() for file, _ in known), forms[0])


def _format_of(file: Path) -> RawFormat | None:
    name = file.name.lower()
    return next((form for form, reader in READERS.items() if name.endswith(reader.endings)), None)


def _head(file: Path, form: RawFormat, rows: int) -> pl.DataFrame:
    reader = READERS[form]
    if not file.stat().st_size:
        raise OnboardingError(f"{file}: holds nothing, 0 bytes; expected {reader.expected}")
    try:
        head = reader.scan(file).head(rows).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        # What a library says after its first sentence is advice on its own options.
        words = in_own_words(error).partition("\n")[0]
        raise OnboardingError(f"{file}: cannot be read as {form}: {words}; expected {reader.expected}") from error
    if form in ("csv", "tsv") and any(mark in head.columns[0] for mark in (*_OTHER_MARKS, _NOT_UTF8)):
        raise OnboardingError(f"{file}: its first column is called {head.columns[0]!r}; expected {reader.expected}")
    return head
