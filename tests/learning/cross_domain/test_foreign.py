"""Another cascade's model on this cascade's rows: names are translated, what is absent gets its default."""

import pickle
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.fixtures.other_cascade import ABSENT, BY_STUDENT, BY_TEACHER, HERE, here
from tests.fixtures.rows import CASCADE as ADS
from tests.fixtures.rows import STUDENT, TEACHER, impressions, training_rows
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.learning.cross_domain.foreign import foreign_labels, foreign_model, translated
from ukdsl_assets.learning.students import student as students
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers import trees as teachers


def test_columns_are_renamed_and_absent_ones_filled() -> None:
    rows = impressions(50)
    seen = translated(BY_TEACHER, ADS.features, here(rows))
    assert seen.columns == ["request_id", "candidate_id", *(feature.name for feature in ADS.features)]
    for name in ("request_id", "user_segment", "placement", "ad", "pair_signals", "user_profile"):
        assert seen[name].equals(rows[name]), name
    assert seen["age_group"].null_count() == 50
    assert seen["age_group"].dtype == pl.Int64
    assert seen["device"].to_list() == [7] * 50
    assert seen["user_profile_detail"].dtype == pl.Array(pl.Float32, 4)
    assert seen["user_profile_detail"].to_list() == [[0.0, 1.0, 2.0, 3.0]] * 50
    assert translated(BY_TEACHER, ADS.features, here(rows).clear()).is_empty()


def test_a_trained_teacher_predicts_every_mapped_task() -> None:
    rows = impressions()
    fitted = teachers.fit_teacher(ADS, TEACHER, rows, threads=1)
    model = foreign_model(teachers.as_checkpoint(fitted), None, fitted.text, threads=1)
    labels = foreign_labels(HERE, BY_TEACHER, model, here(rows))
    absent = {"age_group": None, "device": 7, "format": None, "user_profile_detail": [0.0, 1.0, 2.0, 3.0]}
    asked = rows.with_columns(**{name: pl.lit(value, rows.schema[name]) for name, value in absent.items()})
    expected = teachers.predict_teacher(fitted, asked, 1)["click_prediction"]
    assert labels.columns == ["request_id", "candidate_id", "click_prediction", "conversion_prediction"]
    assert labels["click_prediction"].equals(expected)
    assert labels["conversion_prediction"].equals(expected, check_names=False)


def test_of_a_teacher_with_folds_the_trees_of_all_its_requests_predict_here() -> None:
    rows = impressions()
    fitted = teachers.fit_teacher(ADS, TEACHER.model_copy(update={"folds": 2, "trees": 5}), rows, threads=1)
    model = foreign_model(teachers.as_checkpoint(fitted), None, fitted.text, threads=1)
    # These are the ids of requests that it was trained on, and of other requests here.
    labels = foreign_labels(HERE, BY_TEACHER, model, here(rows))
    whole = foreign_model(teachers.as_checkpoint(replace(fitted, folds=())), None, replace(fitted, folds=()).text, 1)
    assert labels.equals(foreign_labels(HERE, BY_TEACHER, whole, here(rows)))


def test_a_student_predicts_with_the_head_that_serves_and_unknown_ids() -> None:
    rows = training_rows(60).filter(domain="CD")
    fitted = fit_student(Training.of(ADS, STUDENT, "distilled", training_rows(60))).student
    declared = {"declaration": STUDENT.model_dump(mode="json")}
    model = foreign_model({**students.as_checkpoint(fitted), **declared}, fitted.tensors, None, threads=1)
    columns = [*HERE.features, *ADS.features]
    missing = {f.name: pl.lit(None, pl.Array(pl.Float32, f.width)) for f in columns if f.name == "pair_signals"}
    labels = foreign_labels(HERE, BY_STUDENT, model, here(rows.with_columns(**missing)))
    unknown = rows.with_columns(**{name: pl.lit(None, pl.Int64) for name in ABSENT})
    expected = predict_student(fitted, unknown)["consideration"]
    np.testing.assert_array_equal(labels["click_prediction"].to_numpy(), expected)
    strange = foreign_labels(HERE, BY_STUDENT, model, here(rows.with_columns(ad=pl.lit(-5), **missing)))
    absent = foreign_labels(HERE, BY_STUDENT, model, here(rows.with_columns(ad=pl.lit(None, pl.Int64), **missing)))
    assert strange.equals(absent)
    # Sent to a worker after it was used here.
    sent = pickle.loads(pickle.dumps(model))
    assert foreign_labels(HERE, BY_STUDENT, sent, here(rows.with_columns(**missing))).equals(labels)
    assert len(pickle.dumps(sent)) < 1.1 * len(pickle.dumps(fitted))


def test_a_checkpoint_of_another_declaration_is_refused() -> None:
    fitted = teachers.fit_teacher(ADS, TEACHER, impressions(), threads=1)
    model = foreign_model(teachers.as_checkpoint(fitted), None, fitted.text, threads=1)
    with pytest.raises(DeclarationError, match=r"simulated_ads/pre_ranking_click .*\n.*needs `user_profile_detail`"):
        foreign_labels(HERE, BY_STUDENT, model, here(impressions()))


def test_what_has_not_been_shown_is_labelled_for_this_cascades_own_served_as() -> None:
    fitted = teachers.fit_teacher(ADS, TEACHER, impressions(), threads=1)
    model = foreign_model(teachers.as_checkpoint(fitted), None, fitted.text, threads=1)
    features = tuple(
        each.model_copy(update={"side": "candidate", "served_as": 3}) if each.name == "seller" else each
        for each in HERE.features
    )
    cascade, rows = HERE.model_copy(update={"features": features}), here(impressions())
    unshown, third = (rows.with_columns(seller=pl.lit(seller, pl.Int64)) for seller in (None, 3))
    labels = foreign_labels(cascade, BY_TEACHER, model, unshown)
    assert labels.equals(foreign_labels(HERE, BY_TEACHER, model, third))
    assert not labels.equals(foreign_labels(HERE, BY_TEACHER, model, unshown))
    assert foreign_labels(cascade, BY_TEACHER, model, rows).equals(foreign_labels(HERE, BY_TEACHER, model, rows))
