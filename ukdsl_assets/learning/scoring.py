"""Scores for candidates in Parquet files, read and written batch by batch, whatever the files' size."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.learning.students import FittedStudent, predictor
from ukdsl_assets.sources.contract import conform, feature_dtype

BATCH_ROWS = 65_536
IDENTIFIERS = ("request_id", "candidate_id")
# Called with rows done, rows in all and seconds since the start.
Told = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Scored:
    """What was scored: rows, seconds, their mean prediction (NaN without rows), and for each categorical feature the
    share of rows whose id the student was not trained on."""

    rows: int
    seconds: float
    mean: float
    unknown: Mapping[str, float]


def score_files(
    fitted: FittedStudent,
    source: Path,
    target: Path,
    head: str,
    record: Mapping[str, str] | None = None,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
    told: Told | None = None,
) -> Scored:
    """Write request_id and candidate_id, where the input has them, and float32 `prediction` in the input's order.

    Args:
        source: a Parquet file, or a folder whose *.parquet are taken in order of name; it must have the student's
            features, other columns are not read. Null and unknown ids take the feature's unknown row.
        target: Parquet file; it appears, or is replaced, once it is whole.
        head: which output; record: names and values for the file's metadata.

    Raises:
        ScoringError: no input, an unknown head, an output that is the input or has no folder, a feature that is
            missing, of another type, null or not finite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = _files(source)
    _check(fitted, files, target, head)
    columns = [feature.name for feature in fitted.encoder.features]
    total = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    predict = predictor(fitted, threads)
    started = time.monotonic()
    rows, mass = 0, 0.0
    unknown = dict.fromkeys(fitted.encoder.categorical, 0)
    temporary = target.with_name(f".{target.name}-{uuid4().hex}")
    writer = None
    try:
        for file in files:
            for frame in _batches(file, columns, batch_rows):
                where = f"{file}, rows {rows} to {rows + len(frame)}" if len(files) == 1 else str(file)
                features = _features(fitted, frame, where)
                prediction = predict(features)[head]
                for name in unknown:
                    unknown[name] += int((~features[name].is_in(fitted.encoder.vocabularies[name][0].implode())).sum())
                    unknown[name] += features[name].null_count()
                identifiers = [frame[name] for name in IDENTIFIERS if name in frame.columns]
                scored = pl.Series("prediction", prediction, dtype=pl.Float32)
                table = pl.DataFrame([*identifiers, scored]).to_arrow()
                if writer is None:
                    schema = table.schema.with_metadata({**(record or {}), "head": head})
                    writer = pq.ParquetWriter(temporary, schema, compression="zstd")
                writer.write_table(table.cast(pa.schema(writer.schema)))
                rows, mass = rows + len(frame), mass + float(prediction.sum(dtype=np.float64))
                if told is not None:
                    told(rows, total, time.monotonic() - started)
        if writer is not None:
            writer.close()
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    shares = {name: count / rows if rows else 0.0 for name, count in unknown.items()}
    return Scored(rows, time.monotonic() - started, mass / rows if rows else float("nan"), shares)


def _files(source: Path) -> list[Path]:
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise ScoringError(f"--input: {source} is no Parquet file and no folder of them; name one that exists")
    return files


def _check(fitted: FittedStudent, files: list[Path], target: Path, head: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if head not in fitted.heads:
        raise ScoringError(f"--head: the checkpoint has {' and '.join(fitted.heads)}, saw {head!r}")
    if not target.parent.is_dir():
        raise ScoringError(f"--output: no folder {target.parent}; make it first")
    if target.resolve() in [file.resolve() for file in files]:
        raise ScoringError(f"--output: {target} is the input; choose another name")
    for file in files:
        try:
            there = set(pq.ParquetFile(file).schema_arrow.names)
        except pa.ArrowInvalid as error:
            raise ScoringError(f"{file}: not readable as Parquet: {error}") from error
        missing = [feature.name for feature in fitted.encoder.features if feature.name not in there]
        if missing:
            raise ScoringError(
                f"{file}: {len(missing)} feature(s) of the student are missing: {', '.join(missing)}; "
                f"saw {', '.join(sorted(there))}; write every feature that the student was trained on"
            )


def _batches(file: Path, columns: list[str], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Frames of at most `batch_rows` rows; one without rows for a file without any."""
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file)
    wanted = [name for name in (*IDENTIFIERS, *columns) if name in opened.schema_arrow.names]
    if opened.metadata.num_rows == 0:
        yield pl.DataFrame(pl.from_arrow(opened.read(columns=wanted)))
    for batch in opened.iter_batches(batch_size=batch_rows, columns=wanted):
        yield pl.DataFrame(pl.from_arrow(batch))


def _features(fitted: FittedStudent, frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The student's features with a request_id of their own for each run of rows that share the request's features."""
    features = fitted.encoder.features
    conformed = conform(frame, {feature.name: feature_dtype(feature) for feature in features}, where)
    for feature in features:
        if feature.kind != "categorical":
            _check_numbers(conformed[feature.name], where)
    of_request = [feature.name for feature in features if feature.side == "request"]
    changed = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in of_request]
    starts = conformed.select(pl.any_horizontal(*changed) if changed else pl.lit(False).repeat_by(pl.len()).explode())
    return conformed.with_columns(request_id=starts.to_series().fill_null(True).cast(pl.Int64).cum_sum())


def _check_numbers(column: pl.Series, where: str) -> None:
    values = column.drop_nulls().to_numpy()
    wrong = column.null_count() + int((~np.isfinite(values)).sum())
    if wrong:
        raise ScoringError(
            f"{where}: column `{column.name}` has {wrong} value(s) that are null or not finite; expected numbers; "
            "fill them as the logs that the student was trained on do"
        )
