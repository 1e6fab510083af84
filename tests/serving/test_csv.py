"""CSV in and out: the same predictions as of Parquet, ids as they are written, and errors that name line and column."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.serving.files import score_files

ROWS = training_rows(60).filter(domain="CD").drop("domain", "target", "weight")
HEAD = "consideration"


@pytest.fixture(scope="module")
def student() -> FittedStudent:
    return fit_student(Training.of(CASCADE, STUDENT, "distilled", training_rows(60))).student


def as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Lists as JSON, as a CSV file has them."""
    lists = [name for name, dtype in rows.schema.items() if dtype.is_nested()]
    texts = [pl.format("[{}]", pl.col(name).cast(pl.List(pl.String)).list.join(", ")).alias(name) for name in lists]
    return rows.with_columns(texts)


def scored(student: FittedStudent, source: Path, target: str = "out.parquet", **more: object) -> pl.DataFrame:
    score_files(student, source, source.parent / target, HEAD, **more)  # type: ignore[arg-type]
    return (pl.read_csv if target.endswith("csv") else pl.read_parquet)(source.parent / target)


@pytest.mark.parametrize("batch_rows", [100, 65_536])
def test_a_csv_file_is_scored_as_a_parquet_file_of_the_same_rows(
    student: FittedStudent, tmp_path: Path, batch_rows: int
) -> None:
    ROWS.write_parquet(tmp_path / "in.parquet")
    as_text(ROWS).write_csv(tmp_path / "in.csv")
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress((tmp_path / "in.csv").read_bytes()))
    expected = scored(student, tmp_path / "in.parquet", batch_rows=batch_rows)["prediction"]
    for name in ("in.csv", "in.csv.gz"):
        assert scored(student, tmp_path / name, batch_rows=batch_rows)["prediction"].equals(expected)


def test_predictions_in_csv_are_read_back_as_they_are(student: FittedStudent, tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "in.parquet")
    parquet, csv = scored(student, tmp_path / "in.parquet"), scored(student, tmp_path / "in.parquet", "out.csv")
    assert csv.columns == ["request_id", "candidate_id", "prediction"]
    assert csv.cast(parquet.schema).equals(parquet)
    ROWS.clear().write_parquet(tmp_path / "none.parquet")
    scored(student, tmp_path / "none.parquet", "none.csv")
    assert (tmp_path / "none.csv").read_text() == "request_id,candidate_id,prediction\n"


def test_ids_and_kept_columns_of_csv_come_out_as_they_were_written(student: FittedStudent, tmp_path: Path) -> None:
    ids = pl.format("00{}", "request_id").alias("request_id")
    rows = as_text(ROWS).with_columns(ids, note=pl.lit('a "quoted", text'))
    rows.write_csv(tmp_path / "in.csv")
    found = scored(student, tmp_path / "in.csv")
    assert found["request_id"].equals(rows["request_id"])
    kept = scored(student, tmp_path / "in.csv", keep=["note", "request_id"])
    assert kept.columns == ["note", "request_id", "prediction"]
    assert kept.select("note", "request_id").equals(rows.select("note", "request_id"))
    assert np.array_equal(kept["prediction"], found["prediction"])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("ad", "17.0", r"in\.csv, line 4: column `ad`: saw '17\.0', expected a whole number, such as 3 \(not 3\.0\)"),
        (
            "user_profile",
            "0.5",
            r"column `user_profile` holds lists of numbers: saw '0\.5', expected JSON such as \[0.25",
        ),
        ("user_profile", "[0.5, x]", r"column `user_profile` holds lists of numbers: saw '\[0\.5, x\]'"),
        ("ad", None, r"in\.csv, 720 rows: null, NaN or infinite: `ad` in 1 row\(s\), first in row 3 "),
    ],
)
def test_a_wrong_cell_is_told_by_column_with_what_is_expected(
    student: FittedStudent, tmp_path: Path, column: str, value: str | None, said: str
) -> None:
    third = pl.int_range(pl.len()) == 2
    texts = as_text(ROWS).with_columns(
        pl.when(third).then(pl.lit(value)).otherwise(pl.col(column).cast(pl.String)).alias(column)
    )
    texts.write_csv(tmp_path / "in.csv")
    with pytest.raises(ScoringError, match=said):
        scored(student, tmp_path / "in.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]


def test_files_that_are_no_such_csv_are_refused_by_what_is_wrong(student: FittedStudent, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    as_text(ROWS).write_csv(source, separator=";")
    with pytest.raises(ScoringError, match="its columns stand between ';'; write commas"):
        scored(student, source)
    as_text(ROWS).drop("ad").write_csv(source)
    with pytest.raises(ScoringError, match=r"1 feature\(s\) of the student are missing: ad"):
        scored(student, source)
    as_text(ROWS).write_csv(source)
    source.write_text(source.read_text() + "1,2\n")
    with pytest.raises(ScoringError, match=r"in\.csv, line 722: it has 2 value\(s\), expected"):
        scored(student, source)
    source.write_text("")
    with pytest.raises(ScoringError, match="it is empty; expected a line with the names"):
        scored(student, source)
    source.write_bytes(b"\xff\xfe,a\n1,2\n")
    with pytest.raises(ScoringError, match="not readable as CSV in UTF-8"):
        scored(student, source)


def test_outputs_that_cannot_be_written_are_refused_before_anything_is_scored(
    student: FittedStudent, tmp_path: Path
) -> None:
    ROWS.write_parquet(tmp_path / "in.parquet")
    with pytest.raises(ScoringError, match=r"--keep: CSV cannot hold user_profile \(Array"):
        scored(student, tmp_path / "in.parquet", "out.csv", keep=["request_id", "user_profile"])
    with pytest.raises(ScoringError, match=r"--keep: .* has no column requestid; .*did you mean `request_id`"):
        scored(student, tmp_path / "in.parquet", keep=["requestid"])
    ROWS.with_columns(prediction=0.5).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(ScoringError, match="--keep: `prediction` is the column that is written"):
        scored(student, tmp_path / "in.parquet", keep=["prediction"])
    with pytest.raises(ScoringError, match=r"out\.json: expected a name that ends in one of \.parquet, "):
        scored(student, tmp_path / "in.parquet", "out.json")
    assert [each.name for each in tmp_path.iterdir()] == ["in.parquet"]
