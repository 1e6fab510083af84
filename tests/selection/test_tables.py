"""Importance of a student's candidates on both sets."""

from functools import cache, partial

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.fixtures.engines import PicklingEngine
from tests.fixtures.fitted_students import fitted
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.architectures import (
    Architecture,
    DeepFmArchitecture,
    LightGbmArchitecture,
    MlpArchitecture,
)
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.selection.importance import passes
from ukdsl_assets.selection.importance.importance import Importance
from ukdsl_assets.selection.tables import MEANINGS, averaged, importance_tables, scores_from

FEATURES = CASCADE.features_of(STUDENT)
SELECTION = Selection(budget=4, repeats=2, rows=600)
ARCHITECTURES: dict[str, Architecture] = {
    "deepfm": DeepFmArchitecture(kind="deepfm", hidden=(16,)),
    "lightgbm": LightGbmArchitecture(kind="lightgbm", trees=20, minimum_leaf_rows=20),
}


@cache
def students() -> tuple[FittedStudent, ...]:
    declared = STUDENT.model_copy(
        update={"epochs": 6, "learning_rate": 0.01, "architecture": MlpArchitecture(kind="mlp", hidden=(16,))}
    )
    return tuple(
        fit_student(
            Training.of(CASCADE, declared.model_copy(update={"seed": seed}), "distilled", training_rows(300))
        ).student
        for seed in range(2)
    )


@cache
def tables() -> dict[str, pl.DataFrame]:
    return importance_tables(students(), training_rows(seed=1), FEATURES, SELECTION)


def test_what_the_truth_depends_on_is_found_on_both_sets() -> None:
    for domain, (head, reference) in {"IMP": ("impression", "label"), "CD": ("consideration", "teacher")}.items():
        table = tables()[domain]
        assert table.columns == list(MEANINGS)
        assert table["feature"].to_list() == [feature.name for feature in FEATURES]
        best = table.sort("rank")["feature"].to_list()[:2]
        assert set(best) == {"ad", "user_segment"}, domain
        assert set(table.filter(pl.col("feature").is_in(best))["sign"]) == {"positive"}
        assert table["head"].unique().to_list() == [head]
        assert table["reference"].unique().to_list() == [reference]
        assert table["rank"].sort().to_list() == list(range(1, len(FEATURES) + 1))


def test_at_most_so_many_rows_of_each_domain_are_used() -> None:
    assert tables()["CD"]["rows"][0] == 600


@pytest.mark.parametrize("kind", ["mlp", "deepfm", "lightgbm"])
def test_pieces_that_are_worked_on_elsewhere_give_the_same_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a kernel for rows, without one (deepfm), and of trees; a group of two features takes a further pass."""
    monkeypatch.setattr(passes, "PART", 250)
    rows = training_rows(seed=1).with_columns(category=pl.col("advertiser"))
    trained = students() if kind == "mlp" else (fitted(ARCHITECTURES[kind]),)
    here = importance_tables(trained, rows, FEATURES, SELECTION, seed=3)
    engine = PicklingEngine()
    there = importance_tables(trained, rows, FEATURES, SELECTION, seed=3, mapped=partial(engine.map, name="importance"))
    for domain, table in here.items():
        assert_frame_equal(there[domain], table, check_exact=True)
        assert table["cluster"].n_unique() < len(FEATURES)
    # Of 600 rows of each domain three parts, in a pass for features and one for the cluster; or the groups.
    per_training = {"mlp": 3 * 2 * 2, "lightgbm": 3 * 2 * 2, "deepfm": 2 * (len(FEATURES) + 1)}
    assert engine.mapped["importance"] == per_training[kind] * len(trained)


def test_copies_are_one_cluster_and_are_permuted_together() -> None:
    rows = training_rows(seed=1).with_columns(category=pl.col("advertiser"))
    table = importance_tables(students(), rows, FEATURES, SELECTION)["CD"]
    pair = table.filter(pl.col("feature").is_in(["advertiser", "category"]))
    assert pair["cluster"].n_unique() == 1
    assert pair["cluster_score"].n_unique() == 1
    alone = table.filter(~pl.col("feature").is_in(["advertiser", "category"]))
    assert alone["cluster"].n_unique() == len(alone)
    assert alone["cluster_score"].equals(alone["score"], check_names=False)
    scores = scores_from({"IMP": table, "CD": table}, FEATURES)
    place = [feature.name for feature in FEATURES].index("category")
    assert scores.cluster_consideration[scores.cluster[place]] == pair["cluster_score"][0]
    assert scores.likeness[place, place - 1] == pytest.approx(1)


def test_a_set_without_rows_has_no_scores_and_ranks_by_name() -> None:
    table = importance_tables(students()[:1], training_rows(seed=1).filter(domain="CD"), FEATURES, SELECTION)["IMP"]
    assert table["score"].is_nan().all()
    assert set(table["sign"]) == {"none"}
    assert table.sort("rank")["feature"].is_sorted()


def test_the_error_of_a_mean_over_trainings_has_both_parts() -> None:
    one, two = (
        Importance(("a",), np.array([[score, score]]), base=0.9, rows=10, standard_error=np.array([0.3]))
        for score in (1.0, 2.0)
    )
    score, error = averaged([one, two])
    assert score[0] == 1.5
    assert error[0] == pytest.approx(np.sqrt(0.3**2 + 0.5 / 2))
    assert averaged([one])[1][0] == pytest.approx(0.3)
