"""Head `scored`: the level of all that a stage scores, learnt from rare rows of large weight, with the order kept."""

import datetime as dt
import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, MlpArchitecture
from ukdsl_assets.declaration.columns import CD, IMP, REJECTED
from ukdsl_assets.declaration.students import LossWeights, Student
from ukdsl_assets.learning.metrics.calibration import calibration
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.students.fit import Fit, fit_student
from ukdsl_assets.learning.students.fit_level import FITTED, level_of
from ukdsl_assets.learning.students.level import Level
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import as_checkpoint, from_checkpoint, parameters_of
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.vectors import tower_vectors
from ukdsl_assets.learning.students.warm_start import can_continue, continued
from ukdsl_assets.selection.importance.importance import importance_of, student_importance
from ukdsl_assets.selection.importance.student_columns import row_features, row_predictor

HEADS = ("impression", "consideration", "scored")
SCORED = STUDENT.model_copy(update={"heads": HEADS, "epochs": 4, "requests_per_batch": 16, "learning_rate": 0.01})
RATE = 0.2


def scored_rows(requests: int = 200, seed: int = 0) -> pl.DataFrame:
    """Rows of which two thirds of the considered ones are rejected ones of half the teacher's prediction."""
    rows = training_rows(requests, seed=seed)
    rejected = (pl.col("domain") == CD) & (pl.col("candidate_id") % 3 != 0)
    return rows.with_columns(
        domain=pl.when(rejected).then(pl.lit(REJECTED)).otherwise("domain"),
        target=pl.when(rejected).then(pl.col("target") / 2).otherwise("target"),
    )


def probed(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with a share of the rejected ones, each of weight 1 / share."""
    rejected = pl.col("domain") == REJECTED
    drawn = pl.Series(np.random.default_rng(5).random(len(rows)) < RATE)
    return rows.filter(~rejected | drawn).with_columns(
        weight=pl.when(rejected).then(pl.lit(1 / RATE, pl.Float32)).otherwise("weight")
    )


ROWS = probed(scored_rows())
WITHOUT = ROWS.filter(pl.col("domain") != REJECTED)


def fit(student: Student = SCORED, rows: pl.DataFrame = ROWS, **more: Any) -> Fit:
    return fit_student(Training.of(CASCADE, student, "distilled", rows, **more))


FIT = fit()


def bytes_of(fitted: Fit) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in fitted.student.tensors.items()}


def test_a_line_moves_probabilities_in_their_logit() -> None:
    p = np.array([0.1, 0.5, 0.9], np.float32)
    assert Level(0.5, -1.0).moved(p) == pytest.approx(sigmoid(0.5 * logit(p) - 1.0), rel=1e-6)
    assert Level().moved(p) == pytest.approx(p, rel=1e-6)


def test_the_level_of_all_scored_rows_is_learnt_where_that_of_the_trained_head_is_of_what_went_on() -> None:
    held = scored_rows(300, seed=1).filter(pl.col("domain") != "IMP")
    predicted, teacher = predict_student(FIT.student, held), held["target"].to_numpy()
    assert list(predicted) == list(HEADS)
    assert calibration(predicted["scored"], teacher) == pytest.approx(1, abs=0.08)
    assert calibration(predicted["consideration"], teacher) > 1.2


def test_on_what_it_was_fitted_to_the_weighted_means_agree_to_the_last_digits() -> None:
    taught = ROWS.filter(pl.col("domain") != "IMP")
    scored = predict_student(FIT.student, taught)["scored"]
    assert calibration(scored, taught["target"], taught["weight"]) == pytest.approx(1, abs=1e-5)
    assert FIT.figures["rows_rejected"] == len(taught.filter(domain=REJECTED))
    assert FIT.figures["weight_rejected"] == pytest.approx(FIT.figures["rows_rejected"] / RATE)


def test_the_order_of_predictions_is_that_of_the_trained_head() -> None:
    predicted = predict_student(FIT.student, training_rows(100, seed=2))
    assert FIT.student.level is not None
    assert FIT.student.level.slope > 0
    in_order = predicted["scored"][np.argsort(predicted["consideration"], kind="stable")]
    assert (np.diff(in_order) >= 0).all()


def test_without_a_rejected_row_the_level_is_that_of_what_went_on_and_the_figures_say_so() -> None:
    alone = fit(rows=WITHOUT)
    considered = WITHOUT.filter(domain=CD)
    assert calibration(predict_student(alone.student, considered)["scored"], considered["target"]) == pytest.approx(
        1, abs=1e-5
    )
    assert alone.figures["rows_rejected"] == 0
    assert "no rejected row" in alone.figures["level"]


def test_days_without_a_rejected_row_are_left_out_of_the_level_in_whatever_shards_they_come() -> None:
    first = ROWS.with_columns(day=dt.date(2026, 1, 1))
    second = WITHOUT.with_columns(pl.col("request_id") + 10**6, day=dt.date(2026, 1, 2))
    both = pl.concat([first, second]).with_columns(shard=pl.col("request_id").hash(3) % 2)
    shards = [both.filter(shard=shard).drop("shard").sort("request_id", maintain_order=True) for shard in (0, 1)]
    # Rejected rows are in one shard alone: of the other the days are known none the less.
    shards[0] = shards[0].filter(pl.col("domain") != REJECTED)
    training = Training.of(CASCADE, SCORED, "distilled", [partial(_itself, each) for each in shards])
    level, figures = level_of(_served, training.labelled_rows)
    of_first = replace(training, readers=[partial(_itself, _first(shard)) for shard in shards])
    expected, alone = level_of(_served, of_first.labelled_rows)
    assert (level.slope, level.intercept) == pytest.approx((expected.slope, expected.intercept), rel=1e-9)
    assert figures["level"] == f"{FITTED}; 1 of 2 days left out, which have no rejected row with a label"
    assert alone["level"] == FITTED
    assert figures["rows_rejected"] == alone["rows_rejected"] > 0


def test_targets_that_are_all_0_leave_the_head_as_it_is_and_the_figures_say_so() -> None:
    zero = Training.of(CASCADE, SCORED, "distilled", ROWS.with_columns(target=pl.lit(0.0, pl.Float32)))
    level, figures = level_of(_served, zero.labelled_rows)
    assert level == Level()
    assert figures["level"] == "as the head: its predictions do not differ, or all targets are 0 or all 1"


def _served(rows: pl.DataFrame) -> NDArray[np.float32]:
    return predict_student(FIT.student, rows)["consideration"]


def _first(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(day=dt.date(2026, 1, 1))


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def test_tomorrow_goes_on_from_the_trained_heads_so_that_lines_do_not_add_up() -> None:
    as_it_was = replace(FIT.student, heads=HEADS[:2], level=None)
    two_heads = SCORED.model_copy(update={"heads": HEADS[:2]})
    assert continued(FIT.student, CASCADE, SCORED, "distilled") is FIT.student
    # The head may come and go.
    assert can_continue(as_it_was, CASCADE, SCORED, "distilled")
    assert can_continue(FIT.student, CASCADE, two_heads, "distilled")
    assert bytes_of(fit(previous=FIT.student)) == bytes_of(fit(previous=as_it_was))


def test_probes_weigh_no_more_in_the_loss_than_was_declared() -> None:
    lighter = ROWS.with_columns(pl.col("weight").clip(upper_bound=2.0))
    capped = SCORED.model_copy(update={"loss": LossWeights(rejected=2.0)})
    assert bytes_of(fit(capped)) == bytes_of(fit(capped, lighter))
    outside = SCORED.model_copy(update={"loss": LossWeights(rejected=0.0)})
    assert bytes_of(fit(outside)) == bytes_of(fit(outside, WITHOUT))
    assert bytes_of(fit(capped)) != bytes_of(fit(outside))


def test_a_probe_weighs_as_a_considered_row_that_is_given_as_much() -> None:
    rows = ROWS.with_columns(given_probability=pl.lit(0.25, pl.Float32))
    (read,) = Training.of(CASCADE, SCORED, "distilled", rows).rows.readers
    considered = read().filter(domain=CD)
    assert REJECTED in rows["domain"]
    assert len(considered) == len(rows.filter(pl.col("domain") != IMP))
    assert considered["weight"].unique().to_list() == [0.25]


def test_rejected_rows_matter_to_no_student_without_the_head_unless_its_teacher_labels_them_itself() -> None:
    two_heads = SCORED.model_copy(update={"heads": HEADS[:2]})
    assert bytes_of(fit(two_heads)) == bytes_of(fit(two_heads, WITHOUT))
    own = replace(Training.of(CASCADE, two_heads, "distilled", ROWS), labels_rejected=True)
    considered = ROWS.with_columns(pl.col("domain").replace(REJECTED, CD))
    assert bytes_of(fit_student(own)) == bytes_of(fit(two_heads, considered))


def test_a_teacher_of_the_students_own_stage_labels_rejected_rows_itself() -> None:
    assert not Training.of(CASCADE, SCORED, "distilled", ROWS).labels_rejected
    trained = CASCADE.teachers[0].model_copy(update={"name": "own", "stage": "pre_ranking"})
    cascade = CASCADE.model_copy(update={"teachers": (*CASCADE.teachers, trained)})
    taught = SCORED.model_copy(update={"teacher": "own"})
    assert Training.of(cascade, taught, "distilled", ROWS).labels_rejected


def test_the_baseline_has_no_such_head_and_sees_no_probe() -> None:
    both = [fit_student(Training.of(CASCADE, SCORED, "baseline", rows)) for rows in (ROWS, WITHOUT)]
    assert both[0].student.heads == ("impression",)
    assert bytes_of(both[0]) == bytes_of(both[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [MlpArchitecture(kind="mlp", hidden=(8,)), LightGbmArchitecture(kind="lightgbm", trees=3, minimum_leaf_rows=20)],
    ids=lambda each: each.kind,
)
def test_every_architecture_has_the_head_and_its_checkpoint_and_importance_know_it(architecture: Architecture) -> None:
    student = fit(SCORED.model_copy(update={"architecture": architecture, "epochs": 1})).student
    _alike(student)


def test_two_towers_checkpoint_importance_and_vectors_know_the_head() -> None:
    held = _alike(FIT.student)
    request, candidate = tower_vectors(FIT.student, held, "scored")
    request_of_row = held["request_id"].rank("dense").to_numpy() - 1
    logits = (request[request_of_row] * candidate).sum(1)
    assert sigmoid(logits) == pytest.approx(predict_student(FIT.student, held)["scored"], rel=1e-4)


def _alike(student: Any) -> pl.DataFrame:
    """Rows on which the head of the reloaded student, and of both ways to importance, is the student's own."""
    held = training_rows(20, seed=3).filter(domain=CD)
    content = json.loads(json.dumps({"level": as_checkpoint(student)["level"]}))
    restored = from_checkpoint({**as_checkpoint(student), **content}, student.tensors, student.text)
    expected = predict_student(student, held)["scored"]
    assert np.array_equal(predict_student(restored, held)["scored"], expected)
    assert parameters_of(student)["level"].shape == (2,)
    groups = {"ad": ["ad"], "user": ["user_segment", "user_profile"]}
    columns = row_features(student.encoder, held).columns
    naive = row_predictor(student, "scored", threads=1)
    assert naive(columns) == pytest.approx(expected, rel=1e-5)
    found = student_importance(student, held, groups, head="scored", repeats=2, seed=3)
    slow = importance_of(
        naive, columns, groups, held["target"], held["weight"], repeats=2, seed=3, request=held["request_id"]
    )
    assert found.score == pytest.approx(slow.score, abs=1e-5)
    return held
