"""Outputs that only training has: several teacher's tasks, further labels, and a matched hidden layer."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import MlpArchitecture
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.networks.inputs import Heads
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import baseline_shapes, load_model, predict_student, student_hidden_layer
from ukdsl_assets.learning.students.student import Arm, FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training.gates import serves_the_main_task_alone
from ukdsl_assets.learning.training.outputs import Output, outputs_of
from ukdsl_assets.learning.training.rows import surveyed, targets

MLP = MlpArchitecture(kind="mlp", hidden=(16,))
FAST = {"epochs": 4, "requests_per_batch": 16, "learning_rate": 0.01, "architecture": MLP}


def student(*heads: str, **changes: object) -> Student:
    return STUDENT.model_copy(update={**FAST, "heads": heads, **changes})


def rows(requests: int = 200, seed: int = 0) -> pl.DataFrame:
    """Conversion is labelled on half of the shown rows; the teacher labels it too, and has a layer of three places."""
    frame = training_rows(requests, seed=seed)
    shown, truth = frame["domain"] == "IMP", frame["target"]
    layer = np.stack([np.sin(5 * truth), 4 * truth - 1, np.ones(len(truth))], axis=1).astype(np.float32)
    known = shown & (frame["candidate_id"] < 2)
    return frame.with_columns(
        conversion=pl.when(known).then(pl.col("target")),
        conversion_prediction=pl.when(~shown).then(pl.col("target") ** 2),
        representation=pl.when(~shown).then(pl.Series(layer, dtype=pl.Array(pl.Float32, 3)).arr.to_list()),
    )


ROWS = rows()
ARMS = {
    "two tasks": student("impression", "auxiliary", auxiliary_tasks=("click", "conversion")),
    "another task": student("impression", "auxiliary", auxiliary_tasks=("conversion",)),
    "further labels": student("impression", "consideration", label_tasks=("conversion",)),
    "representation": student("impression", "representation"),
    "all": student("impression", "dependent", "auxiliary", "representation", label_tasks=("conversion",)),
}


def fitted(declared: Student, arm: Arm = "distilled", frame: pl.DataFrame = ROWS) -> FittedStudent:
    return fit_student(Training.of(CASCADE, declared, arm, frame)).student


@pytest.mark.parametrize("declared", ARMS.values(), ids=ARMS)
def test_nothing_of_the_tasks_is_served(declared: Student) -> None:
    for arm in ("baseline", "distilled"):
        found = fitted(declared.model_copy(update={"epochs": 1}), arm)
        assert found.heads == (("impression",) if arm == "baseline" else declared.served_heads)
        if len(found.heads) == 1:
            assert serves_the_main_task_alone(found.tensors, baseline_shapes(found)).passed
        assert predict_student(found, ROWS)["impression"].shape == (len(ROWS),)


@pytest.mark.parametrize("declared", [each for name, each in ARMS.items() if name != "further labels"])
def test_every_task_of_the_teacher_helps_on_what_has_no_label(declared: Student) -> None:
    held = training_rows(seed=1).filter(domain="CD")
    truth = held["target"].to_numpy()
    taught, alone = (predict_student(fitted(declared, arm), held)["impression"] for arm in ("distilled", "baseline"))
    assert normalized_entropy(taught, truth) < normalized_entropy(alone, truth)


def test_further_labels_shape_both_arms_and_rows_without_them_do_not_count() -> None:
    declared = ARMS["further labels"]
    plain = declared.model_copy(update={"label_tasks": ()})
    unlabelled = ROWS.with_columns(conversion=pl.lit(None, pl.Float32))
    for arm in ("baseline", "distilled"):
        with_labels, without, none = (
            predict_student(fitted(each, arm, frame), ROWS)["impression"]
            for each, frame in ((declared, ROWS), (plain, ROWS), (declared, unlabelled))
        )
        assert not np.array_equal(with_labels, without)
        np.testing.assert_allclose(none, without, atol=1e-4)


def test_a_row_trains_the_outputs_of_its_domain_that_have_a_target() -> None:
    declared = ARMS["all"].model_copy(update={"auxiliary_tasks": ("click", "conversion")})
    found = surveyed(Training.of(CASCADE, declared, "distilled", ROWS).rows, fitted(declared).encoder, 1)
    outputs = outputs_of(declared, ("impression",), baseline=False, width=found.width)
    kinds = ["head", "label", "dependent", "auxiliary", "auxiliary", "representation"]
    assert [output.kind for output in outputs] == kinds
    assert outputs[-1].width == found.width == 3
    made = targets(declared, ROWS, outputs, found, found.encoder.encode(ROWS).offsets)
    shown, labelled = (ROWS["domain"] == "IMP").to_numpy(), ROWS["conversion"].is_not_null().to_numpy()
    expected = [shown, labelled, *[~shown] * 6]
    assert made.squared == 3
    np.testing.assert_array_equal(made.weight > 0, np.stack(expected, axis=1))
    np.testing.assert_allclose(made.target[~shown, 4], ROWS["conversion_prediction"].drop_nulls())
    # The layer has a mean square of 1 over rows and places; its weight is shared by the places.
    assert np.square(made.target[~shown, 5:]).mean() == pytest.approx(1, rel=1e-5)
    assert made.weight[:, 5:].sum() == pytest.approx(declared.loss.representation, rel=1e-5)


def test_the_projection_learns_the_teachers_layer() -> None:
    declared = student("impression", "representation", epochs=20)
    losses = [
        fit_student(Training.of(CASCADE, declared.model_copy(update={"epochs": epochs}), "distilled", ROWS)).figures[
            "loss"
        ]
        for epochs in (1, 20)
    ]
    assert losses[1] < losses[0] - 0.2


def test_layers_of_two_widths_are_refused() -> None:
    short = pl.when(pl.col("request_id") == 5).then(pl.col("representation").list.head(2)).otherwise("representation")
    with pytest.raises(TrainingError, match=r"`representation` of teacher_augmented have \[2, 3\] places"):
        fitted(ARMS["representation"], frame=ROWS.with_columns(short))


def test_the_hidden_layer_is_what_the_output_reads() -> None:
    found = fitted(student("impression"))
    layer = student_hidden_layer(found, ROWS)
    assert layer.shape == (len(ROWS), 16)
    assert student_hidden_layer(found, ROWS.clear()).shape == (0, 16)
    heads = load_model(found).network.heads
    assert isinstance(heads, Heads)
    logit = layer @ heads.weight.detach().numpy()[0] + heads.bias.item()
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), predict_student(found, ROWS)["impression"], atol=1e-6)
    with pytest.raises(TrainingError, match="architecture two_tower has no hidden layer"):
        student_hidden_layer(fitted(student("impression", architecture=STUDENT.architecture, epochs=1)), ROWS)


def test_labels_alone_set_the_level_that_the_main_head_starts_at() -> None:
    """One step from the start the mean prediction is that of labels, whatever the teacher says."""
    loud = ROWS.with_columns(target=pl.when(domain="CD").then(0.9).otherwise("target").cast(pl.Float32))
    once = student("impression", "auxiliary", epochs=1, requests_per_batch=1000, learning_rate=1e-6)
    mean = ROWS.filter(domain="IMP")["target"].mean()
    assert predict_student(fitted(once, frame=loud), ROWS)["impression"].mean() == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"auxiliary_tasks": ["click"]}, "`auxiliary_tasks` is for head auxiliary"),
        ({"label_tasks": ["click"]}, "`click` is the student's own task"),
        ({"label_tasks": ["conversion"], "architecture": "lightgbm"}, "`label_tasks` share a network's layers"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Student.model_validate({**STUDENT.model_dump(), **changes})


def test_outputs_of_a_plain_student_are_its_heads() -> None:
    one = Output("head", "target", ("IMP", "CD"))
    assert outputs_of(student("impression"), ("impression",), baseline=True) == (one,)
    two = outputs_of(student("impression", "consideration"), ("impression", "consideration"), baseline=False)
    assert [output.domains for output in two] == [("IMP",), ("CD",)]
