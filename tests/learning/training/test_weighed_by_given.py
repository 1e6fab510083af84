"""Considered rows of a task that is given another weigh as often as that happens."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.rows import CASCADE, training_rows
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training.rows import weighed_by_given

STUDENT = CASCADE.student("pre_ranking_conversion")


def given(rows: pl.DataFrame, probability: pl.Expr) -> pl.DataFrame:
    considered = pl.when(pl.col("domain") == "CD").then(probability).cast(pl.Float32)
    return rows.with_columns(given_probability=considered)


def test_only_considered_rows_are_weighed_and_the_mean_stands_for_what_is_not_known() -> None:
    rows = pl.DataFrame(
        {
            "domain": ["IMP", "CD", "CD", "CD"],
            "weight": [1.0, 2.0, 2.0, 2.0],
            "given_probability": [0.5, 0.1, 0.3, None],
        }
    )
    assert weighed_by_given(lambda: rows)["weight"].to_list() == pytest.approx([1, 0.2, 0.6, 0.4])
    unknown = rows.with_columns(given_probability=pl.lit(None, pl.Float64))
    assert weighed_by_given(lambda: unknown)["weight"].to_list() == [1, 2, 2, 2]
    without = rows.drop("given_probability")
    assert weighed_by_given(lambda: without).equals(without)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["two_tower", "lightgbm"])
def test_what_nobody_clicks_teaches_nothing_unless_rows_count_alike(architecture: str) -> None:
    # The teacher says 0.8 where nobody clicks, 0.1 on average elsewhere, which no feature tells apart.
    even = pl.col("candidate_id") % 2 == 0
    taught = pl.when(even).then(0.8).otherwise(0.05 * (1 + pl.col("candidate_id") // 2))
    rows = training_rows(requests=300, considered=6)
    rows = rows.with_columns(
        target=pl.when(pl.col("domain") == "IMP").then("target").otherwise(taught).cast(pl.Float32)
    )
    rows = given(rows, pl.when(even).then(0.0).otherwise(0.05))
    kinds = {"two_tower": STUDENT.architecture, "lightgbm": _trees()}
    rate = {"two_tower": 1e-2, "lightgbm": 0.2}[architecture]
    student = STUDENT.model_copy(
        update={"architecture": kinds[architecture], "delayed_feedback": None, "epochs": 5, "learning_rate": rate}
    )
    alike = student.model_copy(update={"loss": student.loss.model_copy(update={"considered_rows": "alike"})})
    means = [
        np.mean(
            predict_student(fit_student(Training.of(CASCADE, each, "distilled", rows)).student, rows)["consideration"]
        )
        for each in (student, alike)
    ]
    assert means == pytest.approx([0.1, 0.45], abs=0.05)


def _trees():  # type: ignore[no-untyped-def]
    from ukdsl_assets.declaration.architectures import LightGbmArchitecture

    return LightGbmArchitecture(kind="lightgbm", trees=30, minimum_leaf_rows=20)
