"""Features of what was shown alone: null until then, and scored as the declared value."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, MlpArchitecture
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.evidence.worlds.module_rankers import augmented, labelled_modules, trained_teacher
from ukdsl_assets.frames.served_as import as_scored, filled, shown_as_scored
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers.trees import fit_teacher, predict_teacher
from ukdsl_assets.serving.files import score_files
from ukdsl_assets.simulation.item_page import ItemPageWorld

CASCADE = read_cascade(SHIPPED / "simulated_item_page.yaml")
WORLD = ItemPageWorld(100)
CANDIDATES = labelled_modules(WORLD.serve(0, 1500, WORLD.static_configuration), 0)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """What the click student is trained on."""
    return augmented(CASCADE, CANDIDATES, trained_teacher(CASCADE, [CANDIDATES.filter("shown")]))["click"]


def student_of(rows: pl.DataFrame, architecture: Architecture) -> FittedStudent:
    declared = CASCADE.student("module_click").model_copy(
        update={"architecture": architecture, "requests_per_batch": 16}
    )
    return fit_student(Training.of(CASCADE, declared, "distilled", rows)).student


@pytest.mark.parametrize(
    "architecture",
    [MlpArchitecture(kind="mlp"), LightGbmArchitecture(kind="lightgbm", trees=40, minimum_leaf_rows=20)],
    ids=["mlp", "lightgbm"],
)
def test_a_student_scores_a_candidate_without_a_slot_as_in_the_first(
    tmp_path: Path, rows: pl.DataFrame, architecture: Architecture
) -> None:
    fitted = student_of(rows, architecture)
    head = fitted.heads[0]
    scored = CANDIDATES.with_columns(as_scored(CASCADE.features))
    said = {slot: predict_student(fitted, scored.with_columns(slot=pl.lit(slot)))[head] for slot in (1, 6)}
    assert np.array_equal(predict_student(fitted, scored)[head], said[1])
    # The slot is a feature like others: further down, fewer click.
    assert said[6].mean() < 0.95 * said[1].mean()
    # A file needs no slot to be scored, and one that has it, such as a log, is scored alike.
    for name, frame in (("without", CANDIDATES.drop("slot")), ("with", CANDIDATES)):
        frame.write_parquet(tmp_path / f"{name}.parquet")
        done = score_files(fitted, tmp_path / f"{name}.parquet", tmp_path / "scores.parquet", head)
        assert done.unknown["slot"] == 0
        np.testing.assert_allclose(pl.read_parquet(tmp_path / "scores.parquet")["prediction"], said[1], atol=1e-6)


def test_a_trained_teacher_labels_a_candidate_without_a_slot_as_in_the_first() -> None:
    teacher = TrainedTeacher(name="trees", kind="trained", stage="module_ranking", trees=40, minimum_leaf_rows=20)
    fitted = fit_teacher(CASCADE, teacher, CANDIDATES.filter("shown"), threads=1)
    scored = CANDIDATES.with_columns(as_scored(CASCADE.features))
    first, last = (predict_teacher(fitted, scored.with_columns(slot=pl.lit(slot)), 1) for slot in (1, 6))
    assert predict_teacher(fitted, scored, 1).equals(first)
    assert last["click_prediction"].mean() < 0.9 * first["click_prediction"].mean()  # type: ignore[operator]


def test_rows_are_made_as_before_they_were_shown_and_found_where_that_is_how_they_were() -> None:
    scored = CANDIDATES.with_columns(as_scored(CASCADE.features))
    assert scored.schema == CANDIDATES.schema
    assert scored["slot"].is_null().all()
    assert scored.drop("slot").equals(CANDIDATES.drop("slot"))
    assert CANDIDATES.filter(shown_as_scored(CASCADE.features)).equals(CANDIDATES.filter(slot=1))
    ads = read_cascade(SHIPPED / "simulated_ads.yaml")
    assert as_scored(ads.features) == []
    assert pl.DataFrame({"any": [1, 2]}).filter(shown_as_scored(ads.features)).height == 2


def test_only_null_is_filled_and_only_where_a_value_is_declared() -> None:
    slot, module = (next(each for each in CASCADE.features if each.name == name) for name in ("slot", "module"))
    column = pl.Series("slot", [3, None])
    assert filled(column, slot).to_list() == [3, 1]
    assert filled(column, module) is column
