"""Scores for candidates in files, read and written batch by batch, whatever the files' size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.serving.candidates import CandidateFile, candidate_paths, open_candidates
from ukdsl_assets.serving.scorer import BATCH_ROWS, Scorer, kept_columns, with_prediction
from ukdsl_assets.serving.scores import check_target, check_writable, scores_file

# Above this share of unknown ids a feature says little, and something is likely to be wrong.
MOSTLY_UNKNOWN = 0.5
# Called with rows done, rows in all (None where that is not known) and seconds since the start.
ScoringProgress = Callable[[int, int | None, float], None]


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
    keep: Sequence[str] | None = None,
) -> ScoredFiles:
    """Write columns of the input beside float32 `prediction`, in the input's order.

    Args:
        source: a Parquet or CSV file by its ending, or a folder whose Parquet files are taken in order of their paths;
            it must have the student's features, other columns are not read, whatever is in them. Unknown ids take the
            feature's unknown row; a value may be missing only where the feature was declared so. A feature with
            `served_as` is not read: all candidates are scored with that value.
        target: Parquet or CSV file by its ending; it appears, or is replaced, once it is whole.
        head: which output; record: names and values for a Parquet file's metadata.
        keep: columns of the input to write beside the prediction; None for request_id and candidate_id, where the input
            has them. From CSV they come as texts.

    Raises:
        ScoringError: no input, a file in the folder that would not be read, an unknown head, an output that is the
            input, a folder, in the input's folder, has none or no known ending, kept columns that are not there or
            differ between files, a feature without its column or without a value in some row, a text in a CSV file
            that is not of the column's type.
        ContractError: a feature of another type. A wrong schema of any file is refused before anything is scored.
    """
    paths, scorer = candidate_paths(source), Scorer(fitted, threads)
    scorer.checked_head(head, "--head")
    check_target(target)
    _check_places(source, paths, target)
    files = [open_candidates(path) for path in paths]
    kept = _checked_columns(scorer, files, target, keep)
    total = None if any(file.rows is None for file in files) else sum(file.rows or 0 for file in files)
    started = time.monotonic()
    rows, mass = 0, 0.0
    counts: dict[str, np.ndarray] = {}
    with scores_file(target, {**(record or {}), "head": head}) as append:
        for file in files:
            for frame in file.batches(scorer.dtypes, kept, batch_rows):
                where = f"{file.path}, rows {rows} to {rows + len(frame)}" if len(files) == 1 else str(file.path)
                prepared = scorer.prepared(frame, where)
                if scorer.lacks_values(prepared):
                    raise scorer.refusal(file.batches(scorer.dtypes, (), batch_rows), str(file.path))
                prediction = scorer.predictions(prepared, head)
                for name, count in scorer.unknown_ids(prepared).items():
                    counts[name] = counts.get(name, 0) + count
                append(with_prediction(frame, kept, prediction))
                rows, mass = rows + len(frame), mass + float(prediction.sum(dtype=np.float64))
                if progress is not None:
                    progress(rows, total, time.monotonic() - started)
    shares = {name: float(count[0] / count[1]) if count[1] else 0.0 for name, count in counts.items()}
    return ScoredFiles(rows, time.monotonic() - started, mass / rows if rows else float("nan"), shares)


def _check_places(source: Path, paths: Sequence[Path], target: Path) -> None:
    if target.resolve() in [path.resolve() for path in paths]:
        raise ScoringError(f"--output: {target} is the input; choose another name")
    if source.is_dir() and source.resolve() in target.resolve().parents:
        raise ScoringError(f"--output: {target} is in the input's folder, where it would be input; choose another one")


def _checked_columns(
    scorer: Scorer, files: Sequence[CandidateFile], target: Path, keep: Sequence[str] | None
) -> list[str]:
    """The columns to keep, once every file has them and the features, each once and in types that can be scored."""
    first: pl.DataFrame | None = None
    kept: list[str] = []
    for file in files:
        where = str(file.path)
        scorer.check_columns(file.names, where)
        here = kept_columns(file.names, keep, where, "--keep")
        if twice := [name for name in dict.fromkeys((*KEYS, *here, *scorer.dtypes)) if file.names.count(name) > 1]:
            raise ScoringError(f"{where}: there more than once: {', '.join(twice)}; write each column once")
        # Types alone, so that the last file's are refused before the first is scored.
        nothing = file.empty(scorer.dtypes, here)
        scorer.conformed(nothing, where)
        columns = nothing.select(here)
        if first is None:
            first, kept = columns, here
            check_writable(columns, target)
        if columns.schema != first.schema:
            seen, expected = ({name: str(dtype) for name, dtype in each.schema.items()} for each in (columns, first))
            raise ScoringError(
                f"{where}: its identifiers are {seen or 'none'}, those of {files[0].path} are {expected or 'none'}; "
                "write the same columns and types in every file"
            )
    return kept
