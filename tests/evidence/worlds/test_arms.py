"""What the arms change in a training, and nothing else."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.evidence.worlds.arms import CONSIDERATION, IMPRESSION, RECIPES, Learner, Recipe, debiased, subsampled
from ukdsl_assets.learning.metrics.calibration import calibration
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training


def rows(requests: int = 150) -> pl.DataFrame:
    frame = training_rows(requests)
    truth = frame.filter(domain="CD").select("request_id", "candidate_id", teacher="target")
    return frame.join(truth, on=["request_id", "candidate_id"], how="left", maintain_order="left")


def test_every_recipe_is_a_valid_declaration() -> None:
    for recipe in RECIPES.values():
        declared = recipe.of(STUDENT)
        assert type(declared).model_validate(declared.model_dump()) == declared


def test_a_learner_warm_starts_as_the_graph_does() -> None:
    learner = Learner(RECIPES["two heads"], CASCADE, STUDENT)
    first, second = rows(), rows(80)
    learner.train(first)
    learner.train(second)
    before = fit_student(Training.of(CASCADE, STUDENT, "distilled", first)).student
    expected = predict_student(
        fit_student(Training.of(CASCADE, STUDENT, "distilled", second, previous=before)).student, second
    )
    found = learner.predict(second)
    assert list(found) == [IMPRESSION, CONSIDERATION]
    assert all(np.array_equal(found[head], expected[head]) for head in found)


def test_the_platt_layer_moves_the_level_of_the_control_and_never_its_order() -> None:
    day = rows(400)
    control, layer = (Learner(RECIPES[name], CASCADE, STUDENT) for name in ("equal-effort control", "Platt layer"))
    for learner in (control, layer):
        learner.train(day)
    heads = layer.predict(day)
    assert np.array_equal(heads[IMPRESSION], control.predict(day)[IMPRESSION])
    order = np.argsort(heads[IMPRESSION], kind="stable")
    assert (np.diff(heads[CONSIDERATION][order]) >= 0).all()
    considered = (day["domain"] == "CD").to_numpy()
    taught = day["target"].to_numpy()[considered]
    assert calibration(heads[CONSIDERATION][considered], taught) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("how", ["shift", "line"])
def test_a_debiased_teacher_agrees_with_the_labels_of_what_was_shown(how: str) -> None:
    day = rows(400).with_columns(teacher=pl.col("teacher") * 0.5)
    shown = day.filter(domain="IMP").select("teacher", "target")
    moved = debiased(day, [shown, shown], how)  # type: ignore[arg-type]
    assert moved.filter(domain="IMP").equals(day.filter(domain="IMP"))
    keys = ["request_id", "candidate_id"]
    again = moved.filter(domain="CD").join(day.filter(domain="IMP").select(keys), on=keys, how="semi")
    assert again["target"].mean() == pytest.approx(shown["target"].mean(), rel=1e-4)


def test_a_line_undoes_a_teacher_that_exaggerates() -> None:
    rng = np.random.default_rng(0)
    truth = sigmoid(rng.normal(-2, 1, 40_000))
    label = (rng.random(len(truth)) < truth).astype(np.float32)
    teacher = sigmoid(1.5 * (logit(truth.astype(np.float32)) + 2) - 1.7).astype(np.float32)
    day = pl.DataFrame({"domain": pl.repeat("CD", len(truth), eager=True), "teacher": teacher, "target": teacher})
    shown = pl.DataFrame({"teacher": teacher, "target": label}).filter(pl.Series(teacher > 0.2))
    moved = debiased(day, [shown], "line")["target"].to_numpy()
    assert calibration(moved, truth) == pytest.approx(1, abs=0.03)
    shifted = debiased(day, [shown], "shift")["target"].to_numpy()
    assert calibration(shifted, truth) < 0.9


def test_a_subsample_keeps_all_labels_and_the_weighted_sums_of_considered_rows() -> None:
    day = rows(2_000)
    some = subsampled(day, 0.4)
    assert some.filter(domain="IMP").equals(day.filter(domain="IMP"))
    every, kept = day.filter(domain="CD"), some.filter(domain="CD")
    assert len(kept) == pytest.approx(0.4 * len(every), rel=0.1)
    assert kept["weight"].sum() == pytest.approx(len(every), rel=0.03)
    assert (kept["weight"] * kept["target"]).sum() == pytest.approx(every["target"].sum(), rel=0.03)


def test_a_window_trains_on_the_last_days_together() -> None:
    recipe = Recipe("window", student={"window_days": 2})
    learner = Learner(recipe, CASCADE, STUDENT)
    days = [rows(40).with_columns(pl.col("request_id") + 1_000 * day) for day in range(3)]
    for day in days:
        learner.train(day)
    student = recipe.of(STUDENT)
    fitted: FittedStudent | None = None
    for trained in (days[0], pl.concat(days[:2]), pl.concat(days[1:])):
        fitted = fit_student(Training.of(CASCADE, student, "distilled", trained, previous=fitted)).student
    assert fitted is not None
    expected = predict_student(fitted, days[2])
    assert np.array_equal(learner.predict(days[2])[CONSIDERATION], expected[CONSIDERATION])
