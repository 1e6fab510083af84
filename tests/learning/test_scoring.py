"""Scores of Parquet files are the student's predictions, whatever the batches and the order of rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.learning.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.architectures import Architecture, LightGbmArchitecture, TwoTowerArchitecture
from ukdsl_assets.errors import ContractError, ScoringError
from ukdsl_assets.learning.scoring import score_files
from ukdsl_assets.learning.students import FittedStudent, fit_student, predict_student

ROWS = training_rows(60).filter(domain="CD").drop("domain", "target", "weight")


def fitted(architecture: Architecture | None = None) -> FittedStudent:
    declared = STUDENT.model_copy(update={"architecture": architecture or TwoTowerArchitecture()})
    return fit_student(CASCADE, declared, "distilled", training_rows(60)).student


def scores(tmp_path: Path, rows: pl.DataFrame, student: FittedStudent | None = None, **more: object) -> pl.DataFrame:
    rows.write_parquet(tmp_path / "in.parquet")
    head = str(more.pop("head", "consideration"))
    score_files(student or fitted(), tmp_path / "in.parquet", tmp_path / "out.parquet", head, **more)  # type: ignore[arg-type]
    return pl.read_parquet(tmp_path / "out.parquet")


@pytest.mark.parametrize("batch_rows", [1, 7, 100_000])
@pytest.mark.parametrize("head", ["impression", "consideration"])
def test_scores_are_the_students_predictions_in_batches_of_any_size(tmp_path: Path, batch_rows: int, head: str) -> None:
    student = fitted()
    rows = ROWS.head(60)
    found = scores(tmp_path, rows, student, batch_rows=batch_rows, head=head)
    assert found.columns == ["request_id", "candidate_id", "prediction"]
    assert found.select("request_id", "candidate_id").equals(rows.select("request_id", "candidate_id"))
    assert np.allclose(found["prediction"], predict_student(student, rows)[head], atol=1e-6)


@pytest.mark.parametrize("kind", ["two_tower", "lightgbm"])
def test_rows_may_come_in_any_order_and_without_ids_of_requests(tmp_path: Path, kind: str) -> None:
    trees = LightGbmArchitecture(kind="lightgbm", trees=5, minimum_leaf_rows=20)
    student = fitted(trees if kind == "lightgbm" else None)
    expected = ROWS.with_columns(p=pl.Series(predict_student(student, ROWS)["consideration"]))
    shuffled = expected.sample(fraction=1, shuffle=True, seed=1)
    for given in (shuffled.drop("p"), shuffled.drop("p", "request_id", "candidate_id")):
        assert np.allclose(scores(tmp_path, given, student)["prediction"], shuffled["p"], atol=1e-6)


def test_a_folder_is_scored_in_order_of_names_and_told_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ROWS[:100].write_parquet(folder / "a.parquet")
    ROWS[100:].write_parquet(folder / "b.parquet")
    told: list[tuple[int, int]] = []
    student = fitted()
    done = score_files(
        student, folder, tmp_path / "out.parquet", "consideration", told=lambda r, n, s: told.append((r, n))
    )
    assert told == [(100, len(ROWS)), (len(ROWS), len(ROWS))]
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert np.allclose(found["prediction"], predict_student(student, ROWS)["consideration"], atol=1e-6)
    assert done.rows == len(ROWS)
    assert done.mean == pytest.approx(found["prediction"].mean())


def test_unknown_ids_are_scored_and_counted(tmp_path: Path) -> None:
    half = pl.int_range(pl.len()) % 2 == 0
    ads = pl.when(half).then(pl.lit(10**12)).otherwise(pl.lit(None, pl.Int64)).alias("ad")
    ROWS.with_columns(ads).write_parquet(tmp_path / "in.parquet")
    done = score_files(fitted(), tmp_path / "in.parquet", tmp_path / "out.parquet", "consideration")
    assert done.unknown["ad"] == 1
    assert done.unknown["category"] == 0


def test_no_rows_give_a_file_without_rows(tmp_path: Path) -> None:
    found = scores(tmp_path, ROWS.clear())
    assert found.schema == {"request_id": pl.Int64, "candidate_id": pl.Int64, "prediction": pl.Float32}
    assert len(found) == 0


def test_the_file_says_what_it_was_made_with(tmp_path: Path) -> None:
    scores(tmp_path, ROWS, record={"checkpoint": "2026-01-01/abc"})
    metadata = pq.ParquetFile(tmp_path / "out.parquet").schema_arrow.metadata
    assert metadata[b"checkpoint"] == b"2026-01-01/abc"
    assert metadata[b"head"] == b"consideration"


def test_wrong_input_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    first = pl.int_range(pl.len()) == 0
    vector = pl.lit([0.0, float("nan"), 0.0, 0.0], pl.Array(pl.Float32, 4))
    cases: list[tuple[pl.DataFrame, type[Exception], str]] = [
        (ROWS.drop("ad", "hour"), ScoringError, r"2 feature\(s\) of the student are missing: hour, ad"),
        (ROWS.with_columns(pl.col("ad").cast(pl.String)), ContractError, "column `ad` is String, expected Int64"),
        (ROWS.with_columns(user_profile=pl.when(~first).then("user_profile")), ScoringError, "`user_profile` has 1"),
        (ROWS.with_columns(user_profile=pl.when(first).then(vector).otherwise("user_profile")), ScoringError, "has 1"),
    ]
    student = fitted()
    for rows, error, message in cases:
        with pytest.raises(error, match=message):
            scores(tmp_path, rows, student)
        assert [file.name for file in tmp_path.iterdir()] == ["in.parquet"]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "in.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet")
    student, out = fitted(), tmp_path / "out.parquet"
    with pytest.raises(ScoringError, match="is no Parquet file and no folder"):
        score_files(student, tmp_path / "none.parquet", out, "consideration")
    with pytest.raises(ScoringError, match="not readable as Parquet"):
        score_files(student, tmp_path / "text.parquet", out, "consideration")
    with pytest.raises(ScoringError, match="has impression and consideration, saw 'click'"):
        score_files(student, tmp_path / "in.parquet", out, "click")
    with pytest.raises(ScoringError, match="is the input"):
        score_files(student, tmp_path / "in.parquet", tmp_path / "in.parquet", "consideration")
    with pytest.raises(ScoringError, match="make it first"):
        score_files(student, tmp_path / "in.parquet", tmp_path / "no" / "out.parquet", "consideration")
