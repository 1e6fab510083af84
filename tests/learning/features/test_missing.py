"""Missing values of every kind of feature: a value of their own in every model, scored as trained."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.missing import LOST, MODELS, fitted, lost
from tests.fixtures.rows import STUDENT, TEACHER, impressions, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
)
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.features.matrix import present_means
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.warm_start import carried, carried_encoder
from ukdsl_assets.learning.teachers.trees import (
    FittedTeacher,
    as_checkpoint,
    fit_teacher,
    from_checkpoint,
    predict_teacher,
)
from ukdsl_assets.selection.gates import no_leakage
from ukdsl_assets.selection.rules.clusters import likeness
from ukdsl_assets.serving.files import score_files

NAN = float("nan")


def feature(name: str, kind: str, **more: object) -> Feature:
    content = {"name": name, "kind": kind, "side": "candidate", "missing": "allowed", **more}
    return Feature.model_validate(content)


AD, TAGS = feature("ad", "categorical"), feature("tags", "multi_valued")
WORD = feature("word", "categorical", hash_buckets=4)
SIZE, IMAGE = feature("size", "numeric"), feature("image", "vector", width=2)
EVERY = (AD, WORD, TAGS, SIZE, IMAGE)
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "ad": pl.Int64, "word": pl.Int64, "tags": pl.List(pl.Int64), "size": pl.Float32, "image": pl.Array(pl.Float32, 2),
}  # fmt: skip
HERE: dict[str, object] = {"ad": 1, "word": 2, "tags": [1, 2], "size": 1.0, "image": [1.0, 5.0]}
THERE: dict[str, object] = {"ad": 2, "word": 3, "tags": [], "size": 3.0, "image": [3.0, 7.0]}
GONE: dict[str, object] = dict.fromkeys(HERE)


def table(*rows: Mapping[str, object]) -> pl.DataFrame:
    return pl.DataFrame([dict(row) for row in rows], schema=SCHEMA).with_row_index("request_id")


def test_a_missing_value_is_an_id_of_its_own_or_the_mean_beside_an_input_that_says_so() -> None:
    encoder = Encoder(EVERY).extended(table(HERE, THERE, GONE))
    side = encoder.encode(table(HERE, THERE, GONE, GONE | {"size": NAN, "image": [NAN, NAN]})).candidate
    assert side.numbers[:, 0].tolist() == [-1, 1, 0, 0]
    assert side.numbers[:, 1].tolist() == [0, 0, 1, 1]
    assert side.numbers[:, 2:4].tolist() == [[-1, -1], [1, 1], [0, 0], [0, 0]]
    assert side.numbers[:, 4].tolist() == [0, 0, 1, 1]
    # Three unknown rows, four buckets, three missing rows, then ids.
    assert side.ids[2].tolist() == side.ids[3].tolist() == [7, 8, -1, 9]
    assert not {7, 8, 9} & set(side.ids[:2].ravel().tolist())
    assert encoder.size == 3 + 4 + 3 + 2 + 2
    again = encoder.extended(table(HERE | {"ad": 5}, GONE))
    assert again.encode(table(HERE, GONE)).candidate.ids.tolist() == side.ids[[0, 2]].tolist()


def test_what_no_training_saw_missing_is_an_unknown_id_or_the_mean_until_one_does() -> None:
    before = Encoder(EVERY).extended(table(HERE, THERE))
    side = before.encode(table(GONE, HERE | {"ad": 99, "tags": [99]})).candidate
    assert side.ids[0].tolist() == [0, 1, 2]
    assert side.ids[1, [0, 2]].tolist() == [0, 2]
    assert side.numbers[0].tolist() == [0] * 5
    after = before.extended(table(GONE))
    assert after.encode(table(GONE)).candidate.ids.tolist() == [[7, 8, 9]]
    assert after.encode(table(GONE)).candidate.numbers.tolist() == [[0, 1, 0, 0, 1]]
    once, still = (each.encode(table(HERE)).candidate.numbers[0].tolist() for each in (before, after))
    assert once == still


def test_a_column_that_does_not_vary_is_scaled_by_the_first_training_in_which_it_does() -> None:
    # As a history that is empty on the first day.
    size = SIZE.model_copy(update={"missing": "refused"})
    days = [table(*({**HERE, "size": value} for value in day)) for day in ([0, 0], [10, 30], [500, 900])]
    encoder = Encoder((size,))
    for day in days:
        encoder = encoder.extended(day)
    assert encoder.scales["size"] == ([20.0], [10.0])
    assert encoder.encode(days[1]).candidate.numbers[:, 0].tolist() == [-1, 1]
    places = [table(*({**HERE, "image": [value, 4 * value + add]} for value in (1.0, 1.0))) for add in (0.0, 1.0)]
    vectors = Encoder((IMAGE,)).extended(pl.concat(places)).extended(table(HERE, THERE))
    assert vectors.scales["image"] == ([2.0, 4.5, 0.0], [1.0, 0.5, 0.0])


def test_a_declaration_without_the_key_is_written_as_before() -> None:
    plain = AD.model_copy(update={"missing": "refused"})
    assert "missing" not in plain.model_dump(mode="json")
    assert "missing" not in Encoder((plain,)).as_json()["features"][0]
    assert Feature.model_validate(AD.model_dump(mode="json")) == AD
    assert present_means((plain, SIZE.model_copy(update={"missing": "refused"})), table(HERE)) == {}
    assert "means" not in as_checkpoint(FittedTeacher({}, {}, (plain,)))


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.kind)
def test_every_model_learns_what_missing_means(model: Architecture) -> None:
    student, held = fitted(lost(training_rows(80)), model), lost(training_rows(40, seed=1))
    held = held.filter(domain="CD")
    prediction = predict_student(student, held)["consideration"]
    assert np.isfinite(prediction).all()
    for name in ("ad", "user_profile"):
        missing = held[name].is_null().to_numpy()
        assert prediction[missing].mean() > prediction[~missing].mean() + 0.15


def test_trained_teachers_learn_what_missing_means_and_keep_it_in_their_checkpoint() -> None:
    rows = impressions(2000)
    no_ad = pl.int_range(pl.len()) % 3 == 0
    no_profile = pl.int_range(pl.len()) % 5 == 0
    rows = rows.with_columns(
        ad=pl.when(~no_ad).then("ad"),
        user_profile=pl.when(~no_profile).then("user_profile"),
        click=pl.when(no_ad | no_profile).then(1.0).otherwise((pl.int_range(pl.len()) % 7 == 0).cast(pl.Float32)),
    )
    teacher = fit_teacher(LOST, TEACHER, rows, threads=1)
    again = from_checkpoint(as_checkpoint(teacher), teacher.text)
    for of in (teacher, again):
        said = predict_teacher(of, rows, 1)["click_prediction"].to_numpy()
        for missing in (rows["ad"].is_null(), rows["user_profile"].is_null()):
            assert said[missing.to_numpy()].mean() > said[~missing.to_numpy()].mean() + 0.2
    full = fit_teacher(LOST, TEACHER, impressions(2000), threads=1)
    means = np.array(full.means["user_profile"], np.float32)
    rows = impressions(20, seed=3)
    nowhere = rows.with_columns(ad=pl.lit(None, pl.Int64), user_profile=pl.lit(None, rows.schema["user_profile"]))
    unknown = rows.with_columns(ad=pl.lit(10**9), user_profile=pl.lit(means.tolist(), rows.schema["user_profile"]))
    assert predict_teacher(full, nowhere, 1).equals(predict_teacher(full, unknown, 1))


def test_scoring_takes_missing_values_where_they_are_declared_and_names_the_key_elsewhere(tmp_path: Path) -> None:
    rows = lost(training_rows(40))
    student, held = fitted(rows, MODELS[1]), lost(training_rows(10, seed=1)).filter(domain="CD")
    held.write_parquet(tmp_path / "in.parquet")
    done = score_files(student, tmp_path / "in.parquet", tmp_path / "out.parquet", "consideration")
    scored = pl.read_parquet(tmp_path / "out.parquet")["prediction"].to_numpy()
    assert np.allclose(scored, predict_student(student, held)["consideration"], atol=1e-6)
    assert done.unknown["ad"] == 0
    fixes = {"user_segment": "`missing: allowed`", "user_profile": "user_profile may be missing: write null"}
    for name, value in (("user_segment", None), ("user_profile", [None, *[1.0] * 15])):
        width = held.schema["user_profile"].size  # type: ignore[attr-defined]
        value = value if value is None else value[:width]
        broken = held.with_columns(pl.lit(value, held.schema[name]).alias(name))
        broken.write_parquet(tmp_path / "in.parquet")
        with pytest.raises(ScoringError, match=rf"`{name}` in 120 row.*{fixes[name]}") as told:
            score_files(student, tmp_path / "in.parquet", tmp_path / "out.parquet", "consideration")
        assert [fix for fix in fixes.values() if fix in str(told.value)] == [fixes[name]]


def test_a_carried_student_knows_what_missing_meant() -> None:
    before = fitted(lost(training_rows(40)), MODELS[1])
    features = tuple(each for each in before.encoder.features if each.name != "user_segment")
    encoder, source = carried_encoder(before.encoder, features)
    ad = next(each for each in features if each.name == "ad")
    assert source[encoder.missing_row(ad)] == before.encoder.missing_row(ad)
    assert encoder.scales == before.encoder.scales
    same = carried(before, before.encoder.features, seed=0)
    held = lost(training_rows(10, seed=1))
    for head, probability in predict_student(before, held).items():
        assert np.array_equal(predict_student(same, held)[head], probability)


def test_likeness_keeps_all_rows_and_a_leak_by_absence_is_seen() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    frame = pl.DataFrame({"size": x, "other": x + 0.1 * random.normal(size=400)})
    frame = frame.with_columns(size=pl.when(pl.int_range(400) % 2 == 0).then("size"))
    other = feature("other", "numeric", missing="refused")
    assert likeness(frame, (SIZE, other))[0, 1] > 0.6
    # Logged for what was not clicked alone.
    for name in ("ad", "user_profile"):
        rows = training_rows(40).with_columns(target=pl.col("target").round())
        rows = rows.with_columns(pl.when(pl.col("target") == 0).then(name).alias(name))
        told = no_leakage(0.5, {}, rows, LOST.features_of(STUDENT))
        assert f"`{name}`: it is the label" in told.message
