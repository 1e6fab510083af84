"""Scores for candidates in Parquet files, read and written batch by batch, whatever the files' size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import polars as pl
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.frames.arrow import to_polars
from ukdsl_assets.frames.conform import conform, feature_dtype
from ukdsl_assets.frames.files import files_of_rows
from ukdsl_assets.frames.missing import missing_in
from ukdsl_assets.learning.features.encoding import values_of
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.student import FittedStudent

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
# Above this share of unknown ids a feature says little, and something is likely to be wrong.
MOSTLY_UNKNOWN = 0.5
# Called with rows done, rows in all and seconds since the start.
ScoringProgress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class ScoredFiles:
    """What was scored: rows, seconds, their mean prediction (NaN without rows), and for each feature of ids the share
    of them that the student was not trained on."""

    rows: int
    seconds: float
    mean: float
    unknown: Mapping[str, float]


def unknown_id_messages(unknown: Mapping[str, float], trained: str) -> list[str]:
    """What to know of ids that the student was not trained on, a line each; empty where all ids are known.

    Args:
        unknown: of `ScoredFiles`; trained: the day of the checkpoint.
    """
    unknown_shares = {name: share for name, share in unknown.items() if share > 0}
    if not unknown_shares:
        return []
    shares = ", ".join(f"{name} {share:.2%}" for name, share in unknown_shares.items())
    messages = [f"Rows with an id that the student was not trained on: {shares}"]
    if most := [name for name, share in unknown_shares.items() if share > MOSTLY_UNKNOWN]:
        messages.append(
            f"Most ids of {', '.join(most)} are unknown, so the predictions hardly use them. That usually "
            "means ids of another space than the training logs' (another identifier, a hash, another surface), a "
            "renamed or shifted column under the feature's name, or a checkpoint that is older than the candidates (it "
            f"is of {trained}). Compare some values with "
            "that day's candidate log; if they are the same kind of id, run more or newer days and score again."
        )
    return messages


def score_files(
    fitted: FittedStudent,
    source: Path,
    target: Path,
    head: str,
    record: Mapping[str, str] | None = None,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
    progress: ScoringProgress | None = None,
) -> ScoredFiles:
    """Write request_id and candidate_id, where the input has them, and float32 `prediction` in the input's order.

    Args:
        source: a Parquet file, or a folder whose Parquet files are taken in order of their paths, as `files_of_rows`
            finds them; it must have the student's features, other columns are not read, whatever is in them. Unknown
            ids take the feature's unknown row; a value may be missing only where the feature was declared so. A feature
            with `served_as` is not read: all candidates are scored with that value.
        target: Parquet file; it appears, or is replaced, once it is whole.
        head: which output; record: names and values for the file's metadata.

    Raises:
        ScoringError: no input, a file in the folder that would not be read, an unknown head, an output that is the
            input, a folder, in the input's folder or has none, identifiers that differ between files, a feature
            without its column or without a value in some row.
        ContractError: a feature of another type. A wrong schema of any file is refused before anything is scored.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = _files(source)
    _check_arguments(fitted, source, files, target, head)
    _check_schemas(fitted, files)
    columns = [feature.name for feature in _read_features(fitted)]
    total = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    predict = predictor(fitted, threads)
    started = time.monotonic()
    rows, mass = 0, 0.0
    # Ids that the student was not trained on, and all ids; of lists each id counts.
    counts = {feature.name: np.zeros(2, np.int64) for feature in fitted.encoder.of_ids}
    temporary = target.with_name(f".{target.name}-{uuid4().hex}")
    writer = None
    try:
        for file in files:
            for frame in _batches(file, columns, batch_rows):
                where = f"{file}, rows {rows} to {rows + len(frame)}" if len(files) == 1 else str(file)
                features = _features(fitted, frame, where)
                if any(_without_value(features, feature).any() for feature in _read_features(fitted)):
                    raise _counted(fitted, file, batch_rows)
                prediction = predict(features)[head]
                for name, count in counts.items():
                    count += _unknown_ids(fitted, name, features)
                identifiers = [frame[name] for name in KEYS if name in frame.columns]
                scored = pl.Series("prediction", prediction, dtype=pl.Float32)
                table = pl.DataFrame([*identifiers, scored]).to_arrow()
                if writer is None:
                    schema = table.schema.with_metadata({**(record or {}), "head": head})
                    writer = pq.ParquetWriter(temporary, schema, compression="zstd")
                writer.write_table(table.cast(pa.schema(writer.schema)))
                rows, mass = rows + len(frame), mass + float(prediction.sum(dtype=np.float64))
                if progress is not None:
                    progress(rows, total, time.monotonic() - started)
        if writer is not None:
            writer.close()
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    shares = {name: float(count[0] / count[1]) if count[1] else 0.0 for name, count in counts.items()}
    return ScoredFiles(rows, time.monotonic() - started, mass / rows if rows else float("nan"), shares)


def _files(source: Path) -> list[Path]:
    files = [source]
    if source.is_dir():
        found = files_of_rows(LocalFileSystem(), str(source.absolute()))
        if found.refused:
            raise ScoringError(f"--input: {source}: {found.refusal}")
        files = [source / Path(file).relative_to(source.absolute()) for file in found.read]
    if not files or not files[0].is_file():
        raise ScoringError(f"--input: {source} is no Parquet file and no folder of them; name one that exists")
    return files


def _check_arguments(fitted: FittedStudent, source: Path, files: list[Path], target: Path, head: str) -> None:
    if head not in fitted.heads:
        raise ScoringError(f"--head: the checkpoint has {' and '.join(fitted.heads)}, saw {head!r}")
    if target.is_dir():
        raise ScoringError(f"--output: {target} is a folder; name a file in it, e.g. {target / 'scores.parquet'}")
    if not target.parent.is_dir():
        raise ScoringError(f"--output: no folder {target.parent}; make it first")
    if target.resolve() in [file.resolve() for file in files]:
        raise ScoringError(f"--output: {target} is the input; choose another name")
    if source.is_dir() and source.resolve() in target.resolve().parents:
        raise ScoringError(f"--output: {target} is in the input's folder, where it would be input; choose another one")


def _check_schemas(fitted: FittedStudent, files: list[Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = _read_features(fitted)
    identifiers: list[dict[str, str]] = []
    for file in files:
        try:
            schema = pq.ParquetFile(file).schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise ScoringError(f"{file}: not readable as Parquet: {error}") from error
        missing = [feature.name for feature in features if feature.name not in schema.names]
        if missing:
            raise ScoringError(
                f"{file}: {len(missing)} feature(s) of the student are missing: {', '.join(missing)}; "
                f"saw {', '.join(sorted(schema.names))}; write every feature that the student was trained on"
            )
        if twice := [name for name in (*KEYS, *(each.name for each in features)) if schema.names.count(name) > 1]:
            raise ScoringError(f"{file}: there more than once: {', '.join(twice)}; write each column once")
        # Types alone, so that the last file's are refused before the first is scored.
        nothing = to_polars(_wanted(schema, [feature.name for feature in features]).empty_table(), str(file))
        _conformed(nothing, features, str(file))
        identifiers.append({name: str(nothing.schema[name]) for name in KEYS if name in nothing.columns})
        if identifiers[-1] != identifiers[0]:
            raise ScoringError(
                f"{file}: its identifiers are {identifiers[-1] or 'none'}, those of {files[0]} are "
                f"{identifiers[0] or 'none'}; write the same columns and types in every file"
            )


def _batches(file: Path, columns: list[str], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Frames of at most `batch_rows` rows; one without rows for a file without any."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file, page_checksum_verification=True)
    wanted = _wanted(opened.schema_arrow, columns)
    if opened.metadata.num_rows == 0:
        yield to_polars(wanted.empty_table(), str(file))
    try:
        for batch in opened.iter_batches(batch_size=batch_rows, columns=wanted.names):
            yield to_polars(pa.Table.from_batches([batch]).select(wanted.names), str(file))
    except (pa.ArrowException, OSError) as error:
        raise ScoringError(f"{file}: damaged, not readable to its end: {error}; write it again") from error


def _wanted(schema: pa.Schema, columns: list[str]) -> pa.Schema:
    """Those of a file's columns that scoring reads: its keys, if it has them, and the student's features."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in dict.fromkeys((*KEYS, *columns)) if name in schema.names])


def _conformed(frame: pl.DataFrame, features: Iterable[Feature], where: str) -> pl.DataFrame:
    return conform(frame, {feature.name: feature_dtype(feature) for feature in features}, where, trained=True)


def _features(fitted: FittedStudent, frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The student's features with a request_id of their own for each run of rows that share the request's features."""
    features = _read_features(fitted)
    conformed = _conformed(frame, features, where)
    served = [pl.lit(f.served_as, feature_dtype(f)).alias(f.name) for f in fitted.encoder.features if f not in features]
    of_request = [feature.name for feature in features if feature.side == "request"]
    changed = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in of_request]
    starts = conformed.select(pl.any_horizontal(*changed) if changed else pl.lit(False).repeat_by(pl.len()).explode())
    return conformed.with_columns(*served, request_id=starts.to_series().fill_null(True).cast(pl.Int64).cum_sum())


def _read_features(fitted: FittedStudent) -> tuple[Feature, ...]:
    """The features that candidates have before anything is shown."""
    return tuple(feature for feature in fitted.encoder.features if feature.served_as is None)


def _unknown_ids(fitted: FittedStudent, name: str, features: pl.DataFrame) -> tuple[int, int]:
    """Ids of a feature that the student was not trained on, and all ids that are there; a hashed feature knows all."""
    ids = values_of(features[name]).drop_nulls()
    if name not in fitted.encoder.vocabularies:
        return 0, len(ids)
    return int((~ids.is_in(fitted.encoder.vocabularies[name][0].implode())).sum()), len(ids)


def _without_value(frame: pl.DataFrame, feature: Feature) -> NDArray[np.bool_]:
    """Which rows [rows] are missing where none may be, or hold a null, a NaN or an infinity."""
    column = frame[feature.name]
    wrong = column.is_null().to_numpy().copy()
    if not feature.of_ids:
        finite = np.isfinite(column.drop_nulls().to_numpy())
        wrong[~wrong] = ~(finite.all(axis=1) if finite.ndim == 2 else finite)
    return wrong & ~missing_in(frame, feature) if feature.may_be_missing else wrong


def _counted(fitted: FittedStudent, file: Path, batch_rows: int) -> ScoringError:
    """The refusal of a file's rows that lack a value or hold one that is not finite, counted over the whole file."""
    read = {feature.name: feature for feature in _read_features(fitted)}
    dtypes = {name: feature_dtype(feature) for name, feature in read.items()}
    counts, firsts, before = dict.fromkeys(dtypes, 0), dict.fromkeys(dtypes, 0), 0
    for frame in _batches(file, list(dtypes), batch_rows):
        conformed = conform(frame, dtypes, str(file), trained=True)
        for name, feature in read.items():
            wrong = _without_value(conformed, feature)
            if wrong.any():
                firsts[name] = firsts[name] if counts[name] else before + int(wrong.argmax()) + 1
                counts[name] += int(wrong.sum())
        before += len(frame)
    columns = [
        f"`{name}` in {count:,} row(s), first in row {firsts[name]:,}" for name, count in counts.items() if count
    ]
    fixes = []
    if any(count and not read[name].may_be_missing for name, count in counts.items()):
        fixes.append(
            "fill them as the logs that the student was trained on do, or declare the features with `missing: allowed` "
            "and train it on such logs"
        )
    if broken := [name for name, count in counts.items() if count and read[name].may_be_missing]:
        fixes.append(f"{', '.join(broken)} may be missing: write null in place of what is not finite as a whole")
    return ScoringError(
        f"{file}, {before:,} rows: null, NaN or infinite: {'; '.join(columns)} (rows count from 1); expected a value "
        f"in every row; {'; '.join(fixes)}"
    )
