"""The LightGBM teacher: learns, repeats itself, and survives its checkpoint."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, TEACHER, impressions
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.frames.splits import fold_of, withheld
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.teachers.trained import of_all_requests
from ukdsl_assets.learning.teachers.trees import (
    FittedTeacher,
    as_checkpoint,
    fit_teacher,
    from_checkpoint,
    predict_teacher,
)


@pytest.fixture(scope="module")
def teacher() -> FittedTeacher:
    return fit_teacher(CASCADE, TEACHER, impressions(), threads=1)


def test_learns_from_features_that_the_student_lacks(teacher: FittedTeacher) -> None:
    held = impressions(seed=1)
    labels = predict_teacher(teacher, held, threads=1)
    assert labels.columns == ["request_id", "candidate_id", "click_prediction", "conversion_prediction"]
    assert labels["request_id"].equals(held["request_id"])
    assert normalized_entropy(labels["click_prediction"].to_numpy(), held["click"].to_numpy()) < 0.9


def test_is_the_same_for_the_same_rows(teacher: FittedTeacher) -> None:
    again = fit_teacher(CASCADE, TEACHER, impressions(), threads=2)
    assert (again.text, again.figures) == (teacher.text, teacher.figures)


def test_checkpoint_round_trip_predicts_the_same(teacher: FittedTeacher) -> None:
    again = from_checkpoint(as_checkpoint(teacher), teacher.text)
    rows = impressions(seed=2)
    assert predict_teacher(again, rows, 1).equals(predict_teacher(teacher, rows, 1))


def test_unknown_ids_and_missing_vectors_are_predicted(teacher: FittedTeacher) -> None:
    rows = impressions(20).with_columns(ad=pl.lit(999), pair_signals=pl.lit(None, pl.Array(pl.Float32, 8)))
    assert predict_teacher(teacher, rows, 1)["click_prediction"].is_between(0, 1).all()


def test_a_task_without_both_outcomes_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"task click: 0 positives among 3000 rows; expected both outcomes"):
        fit_teacher(CASCADE, TEACHER, impressions().with_columns(click=pl.lit(0.0)), 1)


def test_a_teacher_teaches_what_its_stage_logs() -> None:
    assert CASCADE.tasks_taught(CASCADE.teacher("pre_ranking_logged")) == ["click"]
    assert CASCADE.tasks_taught(TEACHER) == ["click", "conversion"]


def test_with_folds_no_request_is_labelled_by_trees_that_have_seen_it() -> None:
    """Labels that contradict the rest in one fold alone are learnt by the trees of all, and not by those without it."""
    rows = impressions().filter(~withheld(impressions()["request_id"], CASCADE.withheld_share))
    folded = fit_teacher(CASCADE, TEACHER.model_copy(update={"folds": 3}), rows, threads=1)
    assert folded.models == fit_teacher(CASCADE, TEACHER, rows, threads=1).models
    fold = fold_of(rows["request_id"], 3)
    of_first = rows.filter(fold == 0)
    contrary = pl.concat([rows.filter(fold != 0), of_first.with_columns(click=1 - pl.col("click"))])
    other = fit_teacher(CASCADE, TEACHER.model_copy(update={"folds": 3}), contrary, threads=1)
    # Which ids and requests there are is as before, so that trees which have not seen the fold are the same.
    same = predict_teacher(folded, of_first, 1)["click_prediction"]
    assert predict_teacher(other, of_first, 1)["click_prediction"].equals(same)
    assert not predict_teacher(other, rows.filter(fold == 1), 1).equals(
        predict_teacher(folded, rows.filter(fold == 1), 1)
    )
    # Withheld requests, which no trees have seen, are labelled by those of all.
    held = impressions().filter(withheld(impressions()["request_id"], CASCADE.withheld_share))
    whole = of_all_requests(folded)
    assert isinstance(whole, FittedTeacher)
    assert predict_teacher(folded, held, 1).equals(predict_teacher(whole, held, 1))
    assert not predict_teacher(folded, rows, 1).equals(predict_teacher(whole, rows, 1))
    # In sample a label knows its own click.
    click = rows["click"].to_numpy()
    out, inside = (predict_teacher(each, rows, 1)["click_prediction"].to_numpy() for each in (folded, whole))
    assert normalized_entropy(inside, click) < normalized_entropy(out, click) - 0.005


def test_a_checkpoint_holds_the_boosters_of_all_folds() -> None:
    folded = fit_teacher(CASCADE, TEACHER.model_copy(update={"folds": 2, "trees": 5}), impressions(), threads=1)
    again = from_checkpoint(as_checkpoint(folded), folded.text)
    assert (again.models, again.folds) == (folded.models, folded.folds)
    rows = impressions(seed=2)
    assert predict_teacher(again, rows, 1).equals(predict_teacher(folded, rows, 1))
    with pytest.raises(ValueError, match="6 boosters of 2 tasks and 0 folds"):
        from_checkpoint({key: each for key, each in as_checkpoint(folded).items() if key != "folds"}, folded.text)


def test_a_fold_with_all_positive_labels_of_a_task_is_refused_by_name() -> None:
    rows = impressions()
    first = (fold_of(rows["request_id"], 2) == 0).to_numpy()
    rows = rows.with_columns(click=pl.Series(np.where(first, rows["click"].to_numpy(), 0), dtype=pl.Float32))
    with pytest.raises(TrainingError, match=r"task click, without fold 1: 0 positives among"):
        fit_teacher(CASCADE, TEACHER.model_copy(update={"folds": 2}), rows, 1)
