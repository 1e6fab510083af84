"""The student that is released is found below a lake, and scores a frame as `ukdsl score` scores a file."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from tests.fixtures.released import published, release, store_of
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.cli.app import app
from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, TwoTowerArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import ContractError, DeclarationError, LakeError, ScoringError
from ukdsl_assets.evidence.worlds.module_rankers import augmented, labelled_modules, trained_teacher
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.serving.released import load_student
from ukdsl_assets.serving.scorer import BATCH_ROWS
from ukdsl_assets.simulation.item_page import ItemPageWorld

ROWS = training_rows(60).filter(domain="CD").drop("domain", "target", "weight")
FIRST, SECOND, THIRD = (CASCADE.first_day + timedelta(days=count) for count in range(3))
TREES = LightGbmArchitecture(kind="lightgbm", trees=5, minimum_leaf_rows=20)


def fitted(seed: int = 0, architecture: Architecture | None = None, arm: str = "distilled") -> FittedStudent:
    changes = {"architecture": architecture or TwoTowerArchitecture(), "seed": seed}
    return fit_student(Training.of(CASCADE, STUDENT.model_copy(update=changes), arm, training_rows(60))).student  # type: ignore[arg-type]


def written(lake: Path, cascade: Cascade, student: str, rows: pl.DataFrame, *more: str) -> pl.DataFrame:
    """What `ukdsl score` writes for the rows."""
    source, target = lake.parent / "in.parquet", lake.parent / "out.parquet"
    rows.write_parquet(source)
    command = ["score", cascade.name, student, "--input", str(source), "--output", str(target), *more]
    done = CliRunner().invoke(app, command, env={"UKDSL_LAKE": str(lake)}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return pl.read_parquet(target)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The second day is released; the third was refused, and its seed is another."""
    folder = tmp_path / "lake"
    published(folder, CASCADE, STUDENT.name, fitted(1), FIRST)
    published(folder, CASCADE, STUDENT.name, fitted(3, arm="baseline"), SECOND, arm="baseline")
    release(folder, published(folder, CASCADE, STUDENT.name, fitted(2), SECOND))
    published(folder, CASCADE, STUDENT.name, fitted(4), THIRD)
    store_of(folder).refuse((CASCADE.name, STUDENT.name), {"day": str(THIRD), "reasons": ["calibration"]})
    return folder


@pytest.mark.parametrize("day", [None, FIRST, THIRD])
def test_a_frame_is_scored_as_the_command_scores_a_file_of_it(lake: Path, day: date | None) -> None:
    student = load_student(CASCADE, STUDENT.name, day, lake)
    assert student.day == (day or SECOND)
    said = predict_student(student, ROWS)
    of_day = ("--day", str(day)) if day else ()
    rows = ROWS.sample(fraction=1, shuffle=True, seed=1)
    assert student.score(rows).equals(written(lake, CASCADE, STUDENT.name, rows, *of_day))
    of_head = ("--head", "impression", *of_day)
    found = written(lake, CASCADE, STUDENT.name, ROWS, *of_head)
    assert student.score(ROWS, head="impression").equals(found)
    np.testing.assert_allclose(said["impression"], found["prediction"], rtol=5e-7)
    others = [predict_student(fitted(seed), ROWS)["impression"] for seed in (1, 2, 4)]
    assert sum(np.array_equal(said["impression"], each) for each in others) == 1


def test_trees_come_back_as_they_were_saved(tmp_path: Path) -> None:
    trees = fitted(architecture=TREES)
    saved = published(tmp_path, CASCADE, STUDENT.name, trees, FIRST)
    release(tmp_path, saved)
    found = load_student(CASCADE, STUDENT.name, lake=tmp_path)
    assert (found.day, found.version, found.heads, found.text) == (FIRST, saved.version, trees.heads, trees.text)
    assert np.array_equal(predict_student(found, ROWS)["consideration"], predict_student(trees, ROWS)["consideration"])


def test_candidates_without_a_slot_are_scored_with_its_declared_value_as_the_command_does(tmp_path: Path) -> None:
    cascade = read_cascade(SHIPPED / "simulated_item_page.yaml")
    world = ItemPageWorld(100)
    candidates = labelled_modules(world.serve(0, 300, world.static_configuration), 0)
    rows = augmented(cascade, candidates, trained_teacher(cascade, [candidates.filter("shown")]))["click"]
    quick = cascade.student("module_click").model_copy(update={"requests_per_batch": 8})
    student = fit_student(Training.of(cascade, quick, "distilled", rows)).student
    lake = tmp_path / "lake"
    release(lake, published(lake, cascade, "module_click", student, cascade.first_day))
    found = load_student(cascade, "module_click", lake=lake)
    # The rows have the slots of what was shown, which neither the command nor the loaded student reads.
    scores = found.score(candidates)
    assert scores.equals(written(lake, cascade, "module_click", candidates))
    said = predict_student(found, candidates.with_columns(as_scored(cascade.features)))[found.heads[-1]]
    np.testing.assert_allclose(said, scores["prediction"], atol=1e-6)
    assert np.abs(predict_student(found, candidates)[found.heads[-1]] - said).max() > 1e-3


def test_the_lake_is_that_of_the_settings_where_none_is_given(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKDSL_LAKE", str(lake))
    assert load_student(CASCADE, STUDENT.name).version == load_student(CASCADE, STUDENT.name, lake=lake).version


def test_what_is_not_there_is_told_with_what_is(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"no student `pre_ranking_clik`; .*did you mean `pre_ranking_click`"):
        load_student(CASCADE, "pre_ranking_clik", lake=lake)
    with pytest.raises(ScoringError, match=r"simulated_ads/retrieval_click: nothing is released below .*`ukdsl run"):
        load_student(CASCADE, "retrieval_click", lake=lake)
    with pytest.raises(ScoringError, match=r"nothing is released below .*empty"):
        load_student(CASCADE, STUDENT.name, lake=tmp_path / "empty")
    with pytest.raises(LakeError, match="no checkpoint is published"):
        load_student(CASCADE, STUDENT.name, THIRD + timedelta(days=1), lake)


@pytest.mark.parametrize("day", ["2026-01-01", datetime(2026, 1, 1)])
def test_a_day_that_is_no_date_is_refused(lake: Path, day: Any) -> None:
    with pytest.raises(ScoringError, match=r"day: saw .*2026.*, expected a datetime.date"):
        load_student(CASCADE, STUDENT.name, day, lake)


def test_rows_of_several_batches_and_with_unknown_ids_are_scored_as_a_file_of_them(lake: Path) -> None:
    new = pl.when(pl.int_range(pl.len()) % 3 == 0).then(10**12).otherwise("ad").alias("ad")
    rows = pl.concat([ROWS] * 100).with_columns(new)
    assert len(rows) > BATCH_ROWS
    student = load_student(CASCADE, STUDENT.name, lake=lake)
    scores = student.score(rows)
    assert scores.equals(written(lake, CASCADE, STUDENT.name, rows))
    assert scores["prediction"].null_count() == 0
    assert student.score(rows.clear()).schema == scores.schema


def test_the_baseline_of_a_day_is_scored_where_it_is_asked_for(lake: Path) -> None:
    baseline = load_student(CASCADE, STUDENT.name, SECOND, lake, arm="baseline")
    assert (baseline.arm, baseline.heads) == ("baseline", ("impression",))
    asked = ("--day", str(SECOND), "--arm", "baseline")
    scores = written(lake, CASCADE, STUDENT.name, ROWS, *asked)
    assert baseline.score(ROWS).equals(scores)
    assert not load_student(CASCADE, STUDENT.name, SECOND, lake).score(ROWS, head="impression").equals(scores)
    with pytest.raises(ScoringError, match="a baseline is never released; name the day"):
        load_student(CASCADE, STUDENT.name, lake=lake, arm="baseline")
    with pytest.raises(ScoringError, match="arm: saw 'teacher', expected distilled or baseline"):
        load_student(CASCADE, STUDENT.name, SECOND, lake, arm="teacher")  # type: ignore[arg-type]


def test_a_cascade_may_be_named(lake: Path) -> None:
    named = load_student(CASCADE.name, STUDENT.name, lake=lake)
    assert named.version == load_student(CASCADE, STUDENT.name, lake=lake).version
    with pytest.raises(DeclarationError, match=r"no cascade `simulated_adz`; .*did you mean `simulated_ads`"):
        load_student("simulated_adz", STUDENT.name, lake=lake)
    with pytest.raises(DeclarationError, match="saw 3, expected a name, or a Cascade"):
        load_student(3, STUDENT.name, lake=lake)  # type: ignore[arg-type]


def test_a_frame_that_cannot_be_scored_is_refused_with_what_to_do(lake: Path) -> None:
    student = load_student(CASCADE, STUDENT.name, lake=lake)
    first = pl.int_range(pl.len()) == 0
    with pytest.raises(ScoringError, match=r"frame: saw .*LazyFrame, expected a polars DataFrame"):
        student.score(ROWS.lazy())  # type: ignore[arg-type]
    with pytest.raises(ScoringError, match=r"head: the checkpoint has .*, saw 'click'"):
        student.score(ROWS, head="click")
    with pytest.raises(ScoringError, match=r"the frame: 1 feature\(s\) of the student are missing: ad"):
        student.score(ROWS.drop("ad"))
    with pytest.raises(ScoringError, match=r"the frame, 720 rows: .*`ad` in 1 row\(s\), first in row 1 "):
        student.score(ROWS.with_columns(ad=pl.when(~first).then("ad")))
    with pytest.raises(ContractError, match="the frame: column `ad` is String, expected Int64"):
        student.score(ROWS.with_columns(pl.col("ad").cast(pl.String)))
    with pytest.raises(ScoringError, match=r"keep: the frame has no column add; .*did you mean `ad`"):
        student.score(ROWS, keep=["add"])
    assert student.score(ROWS, keep=["ad"]).columns == ["ad", "prediction"]
