"""Students learn, repeat themselves, continue, and are told apart by arm and head."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
    DcnV2Architecture,
    DeepFmArchitecture,
    LightGbmArchitecture,
    MlpArchitecture,
    TwoTowerArchitecture,
)
from ukdsl_assets.declaration.students import LossWeights
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import (
    FittedStudent,
    as_checkpoint,
    from_checkpoint,
    heads_of,
    parameters_of,
)
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.warm_start import can_continue
from ukdsl_assets.learning.training import precision as training_precision

LEARNING = STUDENT.model_copy(update={"epochs": 10, "requests_per_batch": 16, "learning_rate": 0.01})


def fitted(arm: str = "distilled", rows: pl.DataFrame | None = None, **changes: object) -> FittedStudent:
    student = LEARNING.model_copy(update=changes)
    return fit_student(Training.of(CASCADE, student, arm, training_rows() if rows is None else rows)).student  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_distilled_arm_learns_the_teachers_signal_on_requests_it_has_not_seen() -> None:
    held = training_rows(seed=1).filter(domain="CD")
    rows = training_rows(600)
    serving = predict_student(fitted(rows=rows), held)["consideration"]
    baseline = predict_student(fitted("baseline", rows=rows), held)["impression"]
    teacher = held["target"].to_numpy()
    best = normalized_entropy(teacher, teacher)
    assert best < normalized_entropy(serving, teacher) < best + 0.02 < normalized_entropy(baseline, teacher)
    assert calibration(serving, teacher) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        MlpArchitecture(kind="mlp", hidden=(32,)),
        DcnV2Architecture(kind="dcn_v2", hidden=(16,)),
        DeepFmArchitecture(kind="deepfm", hidden=(16,)),
        LightGbmArchitecture(kind="lightgbm", trees=100, minimum_leaf_rows=20),
    ],
    ids=lambda each: each.kind,
)
def test_every_architecture_learns_with_both_arms_repeats_itself_and_survives_its_checkpoint(
    architecture: Architecture,
) -> None:
    held, rows = training_rows(seed=1).filter(domain="CD"), training_rows(500)
    changes: dict[str, Any] = {
        "architecture": architecture,
        "learning_rate": 0.1 if architecture.kind == "lightgbm" else 0.01,
    }
    student, again = (fitted(rows=rows, **changes) for _ in range(2))
    assert student.text == again.text
    assert all(value.tobytes() == again.tensors[name].tobytes() for name, value in student.tensors.items())
    teacher = held["target"].to_numpy()
    baseline = predict_student(fitted("baseline", rows=rows, **changes), held)["impression"]
    heads = predict_student(student, held)
    serving = normalized_entropy(heads["consideration"], teacher)
    assert serving < normalized_entropy(teacher, teacher) + 0.06
    assert serving < normalized_entropy(baseline, teacher)
    assert calibration(heads["consideration"], teacher) == pytest.approx(1, abs=0.06)
    values, arrays = taken_out(as_checkpoint(student))
    restored = from_checkpoint(put_back(json.loads(json.dumps(values)), arrays), student.tensors, student.text)
    for head, probability in heads.items():
        assert np.array_equal(predict_student(restored, held)[head], probability)
    assert all(np.isfinite(values).all() and values.size for values in parameters_of(student).values())


def test_trees_are_grown_anew_each_day() -> None:
    declared = LEARNING.model_copy(update={"architecture": LightGbmArchitecture(kind="lightgbm", trees=3)})
    yesterday = fit_student(Training.of(CASCADE, declared, "distilled", training_rows())).student
    assert not can_continue(yesterday, CASCADE, declared, "distilled")


def test_a_temperature_flattens_what_the_student_learns_of_the_teacher_but_not_its_order() -> None:
    rows, held = training_rows(400), training_rows(seed=1).filter(domain="CD")
    plain = predict_student(fitted(rows=rows), held)["consideration"]
    warm = predict_student(fitted(rows=rows, loss=LossWeights(temperature=3)), held)["consideration"]
    assert np.corrcoef(plain, warm)[0, 1] > 0.9


@pytest.mark.parametrize("heads", [("impression",), ("impression", "consideration")])
def test_the_listwise_term_alone_teaches_the_order_inside_a_request_on_the_head_that_serves(
    heads: tuple[str, ...],
) -> None:
    rows, held = (
        training_rows(requests, seed=seed).with_columns(bid=pl.lit(2.0, pl.Float32))
        for requests, seed in ((400, 0), (200, 1))
    )
    held = held.filter(domain="CD")
    taught = {"rows": rows, "heads": heads, "loss": LossWeights(impression=1e-6, consideration=0, listwise=1.0)}
    serving = predict_student(fitted(**taught), held)[heads[-1]]  # type: ignore[arg-type]
    table = held.select("request_id", "target").with_columns(p=pl.Series(serving))
    correlations = table.group_by("request_id").agg(pl.corr("target", "p", method="spearman").alias("rho"))
    assert correlations["rho"].mean() > 0.7  # type: ignore[operator]


def test_without_its_weight_the_listwise_term_and_the_bid_change_no_byte() -> None:
    rows = training_rows(60)
    plain, with_bid = fitted(rows=rows), fitted(rows=rows.with_columns(bid=pl.lit(3.0, pl.Float32)))
    assert all(value.tobytes() == with_bid.tensors[name].tobytes() for name, value in plain.tensors.items())


def test_the_listwise_term_works_without_a_bid_where_the_cascade_has_none() -> None:
    without = CASCADE.model_copy(update={"has_bid": False})
    listwise = LEARNING.model_copy(update={"loss": LossWeights(listwise=0.5), "epochs": 2})
    rows = training_rows(60)
    alone = fit_student(Training.of(without, listwise, "distilled", rows)).student
    # Equal bids say nothing.
    equal = fit_student(
        Training.of(CASCADE, listwise, "distilled", rows.with_columns(bid=pl.lit(1.0, pl.Float32)))
    ).student
    plain = fit_student(
        Training.of(without, listwise.model_copy(update={"loss": LossWeights()}), "distilled", rows)
    ).student
    assert all(value.tobytes() == equal.tensors[name].tobytes() for name, value in alone.tensors.items())
    assert not np.array_equal(plain.tensors["bias"], alone.tensors["bias"])


def test_a_listwise_loss_without_its_bids_is_refused_by_name() -> None:
    with pytest.raises(TrainingError, match="column `bid` of teacher_augmented is missing in 3000 of 3000 rows"):
        fitted(loss=LossWeights(listwise=0.5))


def test_bfloat16_agrees_with_float32_to_its_own_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever this processor is faster with.
    monkeypatch.setattr(training_precision, "WORTHWHILE", 0.0)
    rows, held = training_rows(400), training_rows(seed=1).filter(domain="CD")
    mlp = MlpArchitecture(kind="mlp")
    full, half = (
        predict_student(fitted(rows=rows, architecture=mlp, precision=precision), held)["consideration"]
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(full, half)
    teacher = held["target"].to_numpy()
    assert normalized_entropy(half, teacher) == pytest.approx(normalized_entropy(full, teacher), abs=0.01)


def test_each_head_is_calibrated_on_the_domain_that_trains_it() -> None:
    # The teacher says half of what labels say, so no one output fits both.
    rows = training_rows(400).with_columns(
        target=pl.when(domain="CD").then(pl.col("target") / 2).otherwise("target").cast(pl.Float32)
    )
    equal = LossWeights(impression=1, consideration=1)
    heads = predict_student(fitted(rows=rows, epochs=30, requests_per_batch=64, loss=equal), rows)
    shown = (rows["domain"] == "IMP").to_numpy()
    target = rows["target"].to_numpy()
    assert calibration(heads["impression"][shown], target[shown]) == pytest.approx(1, abs=0.1)
    assert calibration(heads["consideration"][~shown], target[~shown]) == pytest.approx(1, abs=0.05)


def test_one_head_learns_from_both_domains() -> None:
    student = fitted(heads=("impression",))
    assert student.heads == ("impression",)
    assert predict_student(student, training_rows(3)).keys() == {"impression"}
    assert heads_of(STUDENT, "baseline") == ("impression",)


def test_the_same_inputs_give_the_same_bytes_whatever_the_threads() -> None:
    first, second = (
        fit_student(Training.of(CASCADE, STUDENT, "distilled", training_rows(), threads=threads)).student
        for threads in (1, 2)
    )
    for name, value in first.tensors.items():
        assert value.tobytes() == second.tensors[name].tobytes()


def test_another_seed_gives_another_student() -> None:
    assert not np.array_equal(fitted(epochs=1).tensors["bias"], fitted(epochs=1, seed=7).tensors["bias"])


def test_warm_start_continues_where_yesterday_ended() -> None:
    yesterday = fitted()
    today = training_rows(seed=1)
    student = LEARNING.model_copy(update={"epochs": 1})
    warm = fit_student(Training.of(CASCADE, student, "distilled", today, previous=yesterday)).figures["loss"]
    cold = fit_student(Training.of(CASCADE, student, "distilled", today)).figures["loss"]
    assert warm < cold


def test_a_step_of_no_length_leaves_a_warm_started_student_as_it_was() -> None:
    yesterday = fitted()
    held = training_rows(seed=2)
    same = fit_student(
        Training.of(
            CASCADE,
            LEARNING.model_copy(update={"learning_rate": 1e-12, "epochs": 1}),
            "distilled",
            held,
            previous=yesterday,
        )
    ).student
    for head, probability in predict_student(yesterday, training_rows()).items():
        assert np.allclose(predict_student(same, training_rows())[head], probability, atol=1e-6)


def test_ids_that_arrive_later_are_learnt_without_moving_the_old_ones_rows() -> None:
    rows = training_rows()
    early = rows.filter(pl.col("ad") < 20)
    yesterday = fitted(rows=early)
    today = fit_student(Training.of(CASCADE, LEARNING, "distilled", rows, previous=yesterday)).student
    assert today.encoder.size > yesterday.encoder.size
    old, kept = yesterday.encoder.encode(early).candidate.ids, today.encoder.encode(early).candidate.ids
    assert np.array_equal(old, kept)


def test_a_checkpoint_of_another_shape_is_not_continued() -> None:
    yesterday = fitted()
    assert can_continue(yesterday, CASCADE, LEARNING, "distilled")
    assert not can_continue(yesterday, CASCADE, LEARNING, "baseline")
    assert not can_continue(
        yesterday, CASCADE, LEARNING.model_copy(update={"architecture": TwoTowerArchitecture(hidden=8)}), "distilled"
    )
    assert not can_continue(yesterday, CASCADE, LEARNING.model_copy(update={"features": ("ad", "hour")}), "distilled")


def test_checkpoint_round_trip_predicts_the_same() -> None:
    student, rows = fitted(), training_rows(seed=3)
    again = from_checkpoint(as_checkpoint(student), student.tensors)
    for head, probability in predict_student(student, rows).items():
        assert np.array_equal(predict_student(again, rows)[head], probability)


def test_prediction_of_no_rows_is_empty() -> None:
    assert all(len(p) == 0 for p in predict_student(fitted(), training_rows().clear()).values())


def test_weights_count_as_repeated_rows() -> None:
    rows = training_rows(60)
    doubled = rows.with_columns(weight=pl.when(domain="CD").then(2.0).otherwise(1.0).cast(pl.Float32))
    plain, weighted = fitted(rows=rows, epochs=2), fitted(rows=doubled, epochs=2)
    # A domain's weights are taken relative to its total, so doubling them all changes nothing.
    for name, value in plain.tensors.items():
        assert np.allclose(value, weighted.tensors[name], atol=1e-6)


def test_both_arms_take_the_same_number_of_steps_where_few_requests_have_labels() -> None:
    rows = training_rows(200).filter((pl.col("domain") == "CD") | (pl.col("request_id") % 4 == 0))
    steps = [
        fit_student(Training.of(CASCADE, LEARNING, arm, rows)).figures["steps"] for arm in ("baseline", "distilled")
    ]
    assert steps == [13 * LEARNING.epochs] * 2


def test_a_null_number_is_refused_by_name() -> None:
    first = pl.int_range(pl.len()) == 0
    rows = training_rows().with_columns(user_profile=pl.when(~first).then("user_profile"))
    with pytest.raises(TrainingError, match="column `user_profile` of teacher_augmented is null in 1 of"):
        fitted(rows=rows)


def test_what_a_feature_costs_and_names_of_its_values_are_no_reason_for_a_cold_start() -> None:
    yesterday = fitted()
    dearer = [feature.model_copy(update={"cost": 9.0, "names": (("0", "none"),)}) for feature in CASCADE.features]
    assert can_continue(yesterday, CASCADE.model_copy(update={"features": tuple(dearer)}), LEARNING, "distilled")


def test_rows_of_a_domain_must_be_there() -> None:
    with pytest.raises(TrainingError, match="no row of domain CD"):
        fitted(rows=training_rows().filter(domain="IMP"))
    with pytest.raises(TrainingError, match="no row of domain IMP"):
        fitted("baseline", rows=training_rows().filter(domain="CD"))


def test_targets_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"target are not in \[0, 1\]"):
        fitted(rows=training_rows().with_columns(target=pl.lit(1.5, pl.Float32)))


def test_a_diverging_loss_is_told() -> None:
    with pytest.raises(TrainingError, match="lower learning_rate"):
        fitted(learning_rate=1e30, epochs=3)
