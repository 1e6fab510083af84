"""Targets that a loaded teacher gives while rows are read."""

import numpy as np
import polars as pl

from tests.fixtures.rows import CASCADE, TEACHER, impressions
from ukdsl_assets.learning.teachers.on_the_fly import labelled_on_the_fly
from ukdsl_assets.learning.teachers.trees import fit_teacher, predict_teacher


def test_considered_rows_get_what_the_teacher_says_and_labels_stay() -> None:
    teacher = fit_teacher(CASCADE, TEACHER, impressions(), threads=1)
    rows = impressions(600, seed=3).with_columns(
        domain=pl.Series(np.where(np.arange(600) % 3 == 0, "IMP", "CD")), target=pl.lit(0.5, pl.Float32)
    )
    said = predict_teacher(teacher, rows, 1)
    labelled = labelled_on_the_fly(lambda: rows, teacher, "click", 1)()
    assert labelled.drop("target").equals(rows.drop("target"))
    assert (labelled.filter(domain="IMP")["target"] == 0.5).all()
    considered = labelled.filter(domain="CD")
    # Bit by bit what it says of all rows together, and not what the log had.
    assert considered["target"].equals(said.filter(rows["domain"] == "CD")["click_prediction"], check_names=False)
    assert considered["target"].n_unique() > 10
    nothing = labelled_on_the_fly(lambda: rows.filter(domain="IMP"), teacher, "click", 1)()
    assert nothing.equals(rows.filter(domain="IMP"))
