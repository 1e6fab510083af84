"""Scores of Parquet files are the student's predictions, whatever the batches and the order of rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, TwoTowerArchitecture
from ukdsl_assets.errors import ContractError, ScoringError
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.serving.files import score_files

MAP = pa.map_(pa.string(), pa.int64())
ROWS = training_rows(60).filter(domain="CD").drop("domain", "target", "weight")


def fitted(architecture: Architecture | None = None) -> FittedStudent:
    declared = STUDENT.model_copy(update={"architecture": architecture or TwoTowerArchitecture()})
    return fit_student(Training.of(CASCADE, declared, "distilled", training_rows(60))).student


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
    told: list[tuple[int, int | None]] = []
    student = fitted()
    done = score_files(
        student, folder, tmp_path / "out.parquet", "consideration", progress=lambda r, n, s: told.append((r, n))
    )
    assert told == [(100, len(ROWS)), (len(ROWS), len(ROWS))]
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert np.allclose(found["prediction"], predict_student(student, ROWS)["consideration"], atol=1e-6)
    assert done.rows == len(ROWS)
    assert done.mean == pytest.approx(found["prediction"].mean())


def test_unknown_ids_are_scored_and_counted(tmp_path: Path) -> None:
    half = pl.int_range(pl.len()) % 2 == 0
    ads = pl.when(half).then(pl.lit(10**12)).otherwise("ad").alias("ad")
    ROWS.with_columns(ads).write_parquet(tmp_path / "in.parquet")
    done = score_files(fitted(), tmp_path / "in.parquet", tmp_path / "out.parquet", "consideration")
    # A count by twice as many: a half is exact.
    assert done.unknown["ad"] == 0.5
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
        (ROWS.with_columns(user_profile=pl.when(~first).then("user_profile")), ScoringError, "1 row.*first in row 1 "),
        (ROWS.with_columns(ad=pl.when(~first).then("ad")), ScoringError, "`ad` in 1 row.*`missing: allowed`"),
        (ROWS.with_columns(user_profile=pl.when(first).then(vector).otherwise("user_profile")), ScoringError, "1 row"),
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
    with pytest.raises(ScoringError, match="is no Parquet or CSV file and no folder"):
        score_files(student, tmp_path / "none.parquet", out, "consideration")
    with pytest.raises(ScoringError, match="not readable as Parquet"):
        score_files(student, tmp_path / "text.parquet", out, "consideration")
    with pytest.raises(ScoringError, match="has impression and consideration, saw 'click'"):
        score_files(student, tmp_path / "in.parquet", out, "click")
    with pytest.raises(ScoringError, match="is the input"):
        score_files(student, tmp_path / "in.parquet", tmp_path / "in.parquet", "consideration")
    with pytest.raises(ScoringError, match="make it first"):
        score_files(student, tmp_path / "in.parquet", tmp_path / "no" / "out.parquet", "consideration")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ScoringError, match="is a folder; name a file in it"):
        score_files(student, tmp_path / "in.parquet", tmp_path / "folder", "consideration")
    with pytest.raises(ScoringError, match="is in the input's folder"):
        score_files(student, tmp_path, out, "consideration")
    one_head = fit_student(Training.of(CASCADE, STUDENT, "baseline", training_rows(60))).student
    with pytest.raises(ScoringError, match="the checkpoint has impression, saw 'consideration'"):
        score_files(one_head, tmp_path / "in.parquet", out, "consideration")


@pytest.mark.parametrize("batch_rows", [50, 1000])
def test_what_is_not_finite_is_counted_over_the_whole_file_with_its_first_row(tmp_path: Path, batch_rows: int) -> None:
    values = ROWS["user_profile"].to_list()
    values[130][1], values[400][0], values[401], values[500][3] = float("inf"), float("nan"), None, None
    wrong = ROWS.with_columns(pl.Series("user_profile", values, dtype=ROWS["user_profile"].dtype))
    with pytest.raises(ScoringError, match=r"720 rows: .*`user_profile` in 4 row\(s\), first in row 131 "):
        scores(tmp_path, wrong, batch_rows=batch_rows)


def test_files_that_differ_are_refused_before_anything_is_scored(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ROWS.write_parquet(folder / "a.parquet")
    told: list[int] = []
    cases: list[tuple[pl.DataFrame, type[Exception], str]] = [
        (ROWS.drop("request_id"), ScoringError, "its identifiers are {'candidate_id': 'Int64'}, those of"),
        (ROWS.with_columns(pl.col("request_id").cast(pl.Int32)), ScoringError, "'request_id': 'Int32'.*'Int64'"),
        (ROWS.with_columns(pl.col("ad").cast(pl.String)), ContractError, "b.parquet: column `ad` is String"),
    ]
    for second, error, message in cases:
        second.write_parquet(folder / "b.parquet")
        with pytest.raises(error, match=message):
            score_files(
                fitted(), folder, tmp_path / "out.parquet", "consideration", progress=lambda rows, *_: told.append(rows)
            )
    assert told == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in"]


def test_a_file_with_damaged_pages_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    ROWS.write_parquet(file)
    content = file.read_bytes()
    file.write_bytes(content[:1000] + bytes(1000) + content[2000:])
    with pytest.raises(ScoringError, match=r"in\.parquet: damaged, not readable to its end"):
        score_files(fitted(), file, tmp_path / "out.parquet", "consideration")
    assert [each.name for each in tmp_path.iterdir()] == ["in.parquet"]


def test_trees_score_shuffled_rows_bit_by_bit_and_networks_to_the_last_places(tmp_path: Path) -> None:
    shuffled = ROWS.sample(fraction=1, shuffle=True, seed=2)
    whole = predict_student(fitted(), shuffled.sort("request_id", maintain_order=True))["consideration"]
    order = shuffled.with_row_index("at").sort("request_id", maintain_order=True)["at"].to_numpy()
    found = scores(tmp_path, shuffled, fitted(), batch_rows=64)["prediction"].to_numpy()[order]
    # A matrix product's last place depends on how many rows it has.
    np.testing.assert_allclose(found, whole, rtol=5e-7)
    trees = fitted(LightGbmArchitecture(kind="lightgbm", trees=5, minimum_leaf_rows=20))
    exact = predict_student(trees, shuffled.sort("request_id", maintain_order=True))["consideration"]
    assert np.array_equal(scores(tmp_path, shuffled, trees, batch_rows=64)["prediction"].to_numpy()[order], exact)


def test_a_folder_is_scored_by_the_rule_of_the_logs_so_that_no_file_is_left_out(tmp_path: Path) -> None:
    folder, student = tmp_path / "in", fitted()
    (folder / "hour=01").mkdir(parents=True)
    ROWS[:100].write_parquet(folder / "hour=01" / "part-0.PARQUET")
    ROWS[100:].write_parquet(folder / "part-0.parq")
    (folder / "_SUCCESS").touch()
    (folder / ".part-1.parquet").write_bytes(b"half")
    assert score_files(student, folder, tmp_path / "out.parquet", "consideration").rows == len(ROWS)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert np.allclose(found["prediction"], predict_student(student, ROWS)["consideration"], atol=1e-6)
    with pytest.raises(ScoringError, match="is in the input's folder"):
        score_files(student, folder, folder / "hour=01" / "out.parquet", "consideration")
    ROWS[:1].write_parquet(folder / "part-1.snappy")
    with pytest.raises(ScoringError, match=r"--input: .*/in: 1 file\(s\) that would not be read: part-1\.snappy;"):
        score_files(student, folder, tmp_path / "out.parquet", "consideration")


def test_columns_that_are_not_read_may_hold_anything_and_types_follow_the_rule_of_the_logs(tmp_path: Path) -> None:
    student, file = fitted(), tmp_path / "in.parquet"
    rows = ROWS.with_columns(pl.col("ad").cast(pl.Float64), pl.col("hour").cast(pl.Decimal(10, 0)))
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    moments = pa.array([0] * len(rows), pa.timestamp("us", "+05:30"))
    table = table.append_column("received_at", moments).append_column("m", pa.array([[("a", 1)]] * len(rows), MAP))
    codes = table["category"].combine_chunks().dictionary_encode()
    pq.write_table(table.set_column(table.schema.get_field_index("category"), "category", codes), file)
    score_files(student, file, tmp_path / "out.parquet", "consideration")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert np.allclose(found["prediction"], predict_student(student, ROWS)["consideration"], atol=1e-6)
    pq.write_table(table.append_column("ad", table["ad"]), file)
    with pytest.raises(ScoringError, match=r"in\.parquet: there more than once: ad;"):
        score_files(student, file, tmp_path / "out.parquet", "consideration")
    with pytest.raises(ContractError, match=r"column `ad` is String, expected Int64; write it as Int64$"):
        scores(tmp_path, ROWS.with_columns(pl.col("ad").cast(pl.String)), student)
