"""Importance of a student's features, of every architecture."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.fitted_students import HELD, fitted
from tests.fixtures.missing import MODELS, NAMES, lost
from tests.fixtures.missing import fitted as fitted_to_missing
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
    DeepFmArchitecture,
    LightGbmArchitecture,
    MlpArchitecture,
    TwoTowerArchitecture,
)
from ukdsl_assets.errors import SelectionError
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.selection.importance.any_predictor import permuted_one_by_one
from ukdsl_assets.selection.importance.importance import importance_of, student_importance
from ukdsl_assets.selection.importance.passes import PART
from ukdsl_assets.selection.importance.sample import sample_of
from ukdsl_assets.selection.importance.student_columns import row_features, row_predictor

SINGLY = {feature.name: [feature.name] for feature in CASCADE.features_of(STUDENT)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        DeepFmArchitecture(kind="deepfm", hidden=(16,)),
        LightGbmArchitecture(kind="lightgbm", trees=20, minimum_leaf_rows=20),
    ],
    ids=lambda each: each.kind,
)
def test_the_features_that_the_truth_depends_on_are_told_from_those_it_does_not(architecture: Architecture) -> None:
    student = fitted(architecture)
    found = student_importance(student, HELD, SINGLY, head="consideration", repeats=2, seed=3)
    base = normalized_entropy(predict_student(student, HELD)["consideration"], HELD["target"], HELD["weight"])
    assert found.base == pytest.approx(base, rel=1e-6)
    assert found.rows == len(HELD)
    score = dict(zip(found.names, found.score, strict=True))
    error = dict(zip(found.names, found.standard_error, strict=True))
    first, second, third = sorted(score, key=lambda name: -score[name])[:3]
    assert {first, second} == {"ad", "user_segment"}
    assert score[second] > 3 * abs(score[third])
    assert score[second] > 4 * error[second]


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        LightGbmArchitecture(kind="lightgbm", trees=20, minimum_leaf_rows=20),
        MlpArchitecture(kind="mlp", embedding=3, hidden=(20,)),
        MlpArchitecture(kind="mlp", hidden=(33, 16, 9)),
        TwoTowerArchitecture(),
    ],
    ids=lambda each: f"{each.kind}{getattr(each, 'hidden', '')}",
)
def test_kernels_give_what_predicting_every_permuted_frame_gives(architecture: Architecture) -> None:
    student = fitted(architecture)
    rows = HELD.with_columns(weight=pl.Series(np.random.default_rng(0).exponential(size=len(HELD)), dtype=pl.Float32))
    # Groups may share features, which takes more than one pass.
    groups = {
        "ad": ["ad"],
        "ads": ["ad", "advertiser"],
        "user": ["user_segment", "user_profile"],
        "both": ["user_segment", "ad"],
    }
    told: list[str] = []
    found = student_importance(student, rows, groups, head="consideration", repeats=2, seed=3, log=told.append)
    assert not any("predicting" in line for line in told)
    features = row_features(student.encoder, rows)
    expected = importance_of(
        row_predictor(student, "consideration", threads=1),
        features.columns,
        groups,
        rows["target"],
        rows["weight"],
        repeats=2,
        seed=3,
        request=features.request,
    )
    assert np.abs(expected.per_repeat).min() > 1e-6
    near = 1e-13 if architecture.kind == "lightgbm" else 1e-7
    assert np.allclose(found.per_repeat, expected.per_repeat, rtol=0, atol=near)
    assert np.allclose(found.standard_error, expected.standard_error, rtol=0, atol=near)
    assert found.base == pytest.approx(expected.base, abs=near)


@pytest.mark.parametrize(
    "architecture", [TwoTowerArchitecture(), MlpArchitecture(kind="mlp", hidden=(40, 20))], ids=str
)
def test_a_number_alone_or_beside_an_id_moves_what_predicting_its_permuted_rows_moves(
    architecture: Architecture,
) -> None:
    numbers = {name: {"kind": "numeric"} for name in ("hour", "format")}
    cascade = CASCADE.model_copy(
        update={"features": tuple(f.model_copy(update=numbers.get(f.name, {})) for f in CASCADE.features)}
    )
    changes = {"architecture": architecture, "requests_per_batch": 16, "learning_rate": 0.01}
    student = fit_student(
        Training.of(cascade, STUDENT.model_copy(update=changes), "distilled", training_rows(50))
    ).student
    groups = {"hour": ["hour"], "format": ["format"], "two": ["hour", "format"], "beside": ["format", "ad"]}
    found = student_importance(student, HELD, groups, head="consideration", repeats=2, seed=3)
    features = row_features(student.encoder, HELD)
    sample = sample_of(HELD["target"], HELD["weight"], features.request, 2, 3)
    plain = permuted_one_by_one(row_predictor(student, "consideration", 1), features.columns, groups, sample)[0]
    assert np.abs(plain.of_repeat).min() > 1e-3
    assert np.allclose(found.per_repeat * sample.scale, plain.of_repeat, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "architecture", [TwoTowerArchitecture(), MlpArchitecture(kind="mlp", hidden=(33, 16, 9))], ids=str
)
def test_bits_of_a_network_do_not_depend_on_the_threads(architecture: Architecture) -> None:
    rows = training_rows(1500, considered=12, seed=2).filter(domain="CD")
    assert len(rows) > PART
    one, two = (
        student_importance(fitted(architecture), rows, SINGLY, head="impression", threads=threads) for threads in (1, 2)
    )
    assert one.per_repeat.tobytes() == two.per_repeat.tobytes()
    assert one.standard_error.tobytes() == two.standard_error.tobytes()


def test_a_number_that_is_nan_makes_every_score_nan() -> None:
    missing = pl.Series("user_profile", [[float("nan")] * 4] * len(HELD), dtype=pl.Array(pl.Float32, 4))
    found = student_importance(fitted(TwoTowerArchitecture()), HELD.with_columns(missing), SINGLY, head="impression")
    assert np.isnan(found.score).all()
    assert np.isnan(found.standard_error).all()
    assert np.isnan(found.base)


def test_an_unknown_head_or_feature_is_refused() -> None:
    student = fitted(LightGbmArchitecture(kind="lightgbm", trees=1))
    with pytest.raises(SelectionError, match="head: the student has impression and consideration, saw 'click'"):
        student_importance(student, HELD, SINGLY, head="click")
    with pytest.raises(SelectionError, match=r"group g: saw \['colour'\]"):
        student_importance(student, HELD, {"g": ["colour"]}, head="impression")


def test_without_rows_scores_are_nan() -> None:
    found = student_importance(
        fitted(LightGbmArchitecture(kind="lightgbm", trees=1)), HELD[:0], SINGLY, head="impression"
    )
    assert found.rows == 0
    assert np.isnan(found.score).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.kind)
def test_a_permuted_value_brings_with_it_that_it_is_missing(model: Architecture) -> None:
    student, held = fitted_to_missing(lost(training_rows(80)), model), lost(training_rows(40, seed=1))
    held, groups = held.filter(domain="CD"), {name: [name] for name in NAMES}
    found = student_importance(student, held, groups, head="consideration", repeats=2, seed=3)
    features = row_features(student.encoder, held)
    sample = sample_of(held["target"], held["weight"], features.request, 2, 3)
    plain = permuted_one_by_one(row_predictor(student, "consideration", 1), features.columns, groups, sample)[0]
    assert np.allclose(found.per_repeat * sample.scale, plain.of_repeat, rtol=1e-3, atol=1e-3)
    # Both tell of the target by their absence alone.
    assert found.score[NAMES.index("ad")] > 0.05
    assert found.score[NAMES.index("user_profile")] > 0.05
