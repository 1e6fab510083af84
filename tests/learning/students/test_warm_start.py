"""A student whose features change keeps what it knows of those that stay."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import DeepFmArchitecture, MlpArchitecture
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.features.encoding import EMBEDDING, Encoder
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.warm_start import carried, carried_encoder, continued

NAMES = ("user_segment", "hour", "user_profile", "ad", "category")
SELECTING: Student = STUDENT.model_copy(
    update={"selection": Selection(budget=5), "epochs": 4, "learning_rate": 0.01, "requests_per_batch": 16}
)


def with_features(*names: str, **changes: object) -> Student:
    return SELECTING.model_copy(update={"features": names, **changes})


def fitted(student: Student) -> FittedStudent:
    return fit_student(Training.of(CASCADE, student, "distilled", training_rows())).student


@pytest.mark.parametrize("kind", ["two_tower", "mlp"])
def test_without_the_dropped_features_it_predicts_as_before(kind: str) -> None:
    changes = {"architecture": MlpArchitecture(kind="mlp", hidden=(16,))} if kind == "mlp" else {}
    before, rows = fitted(with_features(*NAMES, **changes)), training_rows(seed=1)
    declared = with_features("user_segment", "device", "user_profile", "ad", "format", **changes)
    after = continued(before, CASCADE, declared, "distilled")
    assert after is not None
    whole = after.__class__(**{**after.__dict__, "encoder": after.encoder.extended(rows)})
    size = whole.encoder.size - len(after.tensors[EMBEDDING])
    added = np.ones((size, after.tensors[EMBEDDING].shape[1]), np.float32)
    table = np.concatenate([after.tensors[EMBEDDING], added])
    whole = after.__class__(**{**whole.__dict__, "tensors": {**after.tensors, EMBEDDING: table}})
    # Rows on which the dropped features say nothing: an id without an embedding.
    silent = dict(before.tensors)
    silent[EMBEDDING] = silent[EMBEDDING].copy()
    places = {feature.name: row for row, feature in enumerate(before.encoder.of_ids)}
    silent[EMBEDDING][[places["hour"], places["category"]]] = 0
    unknown = rows.with_columns(hour=pl.lit(10**6), category=pl.lit(10**6))
    expected = predict_student(before.__class__(**{**before.__dict__, "tensors": silent}), unknown)
    for head, probability in predict_student(whole, rows).items():
        assert np.allclose(probability, expected[head], atol=1e-6)


def test_the_same_features_are_carried_bit_by_bit() -> None:
    before, rows = fitted(with_features(*NAMES)), training_rows(seed=1)
    after = carried(before, before.encoder.features, seed=0)
    for head, probability in predict_student(before, rows).items():
        assert np.array_equal(predict_student(after, rows)[head], probability)


def test_a_carried_student_begins_where_a_new_one_does_not() -> None:
    student = with_features("user_segment", "device", "user_profile", "ad", "format", epochs=1)
    before = continued(fitted(with_features(*NAMES)), CASCADE, student, "distilled")
    warm = fit_student(Training.of(CASCADE, student, "distilled", training_rows(seed=2), previous=before))
    cold = fit_student(Training.of(CASCADE, student, "distilled", training_rows(seed=2)))
    assert warm.figures["loss"] < cold.figures["loss"]
    assert [feature.name for feature in warm.student.encoder.features] == [
        feature.name for feature in CASCADE.features_of(student)
    ]


def test_what_cannot_be_carried_starts_anew() -> None:
    before = fitted(with_features(*NAMES))
    assert continued(before, CASCADE, with_features(*NAMES), "distilled") is before
    other = with_features("user_segment", "ad")
    assert continued(before, CASCADE, other, "distilled") is not None
    assert continued(before, CASCADE, other, "baseline") is None
    assert continued(before, CASCADE, other.model_copy(update={"selection": None}), "distilled") is None
    # Nothing of the request stays.
    assert continued(before, CASCADE, with_features("device", "ad"), "distilled") is None
    deepfm = {"architecture": DeepFmArchitecture(kind="deepfm", hidden=(8,))}
    assert (
        continued(fitted(with_features(*NAMES, **deepfm)), CASCADE, with_features(*NAMES[:4], **deepfm), "distilled")
        is None
    )


def test_hashed_ids_and_new_numbers_are_encoded_as_before() -> None:
    def feature(name: str, kind: str, **more: object) -> Feature:
        return Feature.model_validate({"name": name, "kind": kind, "side": "candidate", **more})

    features = (
        feature("id", "categorical"),
        feature("hashed", "categorical", hash_buckets=8),
        feature("x", "numeric"),
        feature("other", "categorical"),
    )
    rows = pl.DataFrame(
        {"request_id": range(6), "id": [3, 1, 2, 3, 1, 9], "hashed": [5, 6, 7, 5, 6, 7], "x": [1.0, 2, 3, 4, 5, 6]}
    ).with_columns(other=pl.col("id") + 1, y=pl.col("x") * 10)
    before = Encoder(features).extended(rows)
    now = (features[1], features[2], features[3], feature("y", "numeric"))
    after, source = carried_encoder(before, now)
    after = after.extended(rows.with_columns(other=pl.col("other") + 100))
    old, new = before.encode(rows), after.encode(rows)
    # hashed and other stand in columns 1 and 2 before, 0 and 1 now; their rows come from the same rows.
    assert np.array_equal(source[new.candidate.ids], old.candidate.ids[:, 1:])
    assert after.scales["x"] == before.scales["x"]
    assert after.scales["y"][0] == [35.0]
