"""Each gate of a selection passes on sound tables and fails on what it is for."""

import numpy as np
import polars as pl
import pytest

from tests.fixtures.feature_scores import scored
from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.selection import Selection
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.gates import GateResult
from ukdsl_assets.selection.choice import choice_table
from ukdsl_assets.selection.gates import (
    RULES,
    budget_kept,
    jaccard,
    judge_selection,
    needed_features_kept,
    no_leakage,
    stable,
)

FEATURES = CASCADE.features_of(STUDENT)
CHOOSING: Student = STUDENT.model_copy(update={"selection": Selection(budget=3), "features": "selected"})


def table(*best: str) -> pl.DataFrame:
    """feature_union in which both sets rank the given features first."""
    scores = [10.0 - best.index(f.name) if f.name in best else 0.0 for f in FEATURES]
    made = scored(scores, scores)
    named = made.__class__(**{**made.__dict__, "names": tuple(f.name for f in FEATURES)})
    return choice_table(named, FEATURES, Selection(budget=3), towers=False)


def importance(**scores: float) -> dict[str, pl.DataFrame]:
    names = [f.name for f in FEATURES]
    values = [scores.get(name, 0.01) for name in names]
    return {"CD": pl.DataFrame({"feature": names, "score": values})}


def test_a_sound_selection_passes_every_gate() -> None:
    chosen = table("ad", "user_segment", "hour")
    rows = training_rows(40)
    columns = set(rows.columns)
    results = judge_selection(
        CASCADE, CHOOSING, chosen, importance(), rows, chosen, {"segments": ({"country", "device"}, columns)}
    )
    assert [each.name for each in results] == list(RULES)
    assert [each.passed for each in results] == [True] * 4, [each.message for each in results]
    assert results[3].message.startswith("8 features dropped; read elsewhere: 2 by segments; by nobody: ")


def test_a_selection_beyond_the_budget_is_blocked() -> None:
    chosen = table("ad", "user_segment", "hour")
    dearer = CHOOSING.model_copy(update={"selection": Selection(cost_budget=2.5)})
    assert budget_kept(CHOOSING, chosen).passed
    assert budget_kept(dearer, chosen).blocks
    assert "3 of 11 candidates at a cost of 3" in budget_kept(dearer, chosen).message
    assert budget_kept(dearer, chosen).seen == {"features": 3, "cost": 3.0}
    assert budget_kept(CHOOSING, chosen.with_columns(place=pl.lit(None, pl.Int32))).blocks


def test_a_selection_unlike_yesterdays_is_told_with_what_changed() -> None:
    before, after = table("ad", "user_segment", "hour"), table("ad", "country", "device")
    result = stable(0.5, after, before)
    assert not result.passed
    assert not result.blocks
    assert result.seen["chosen"] == jaccard({"ad", "user_segment", "hour"}, {"ad", "country", "device"}) == 0.2
    assert "new: country, device; gone: hour, user_segment" in result.message
    assert stable(0.2, after, before).passed
    assert stable(0.5, after, None).passed


def leak(values: dict[str, pl.Expr]) -> GateResult:
    rows = training_rows(60)
    return no_leakage(0.5, importance(), rows.with_columns(**values), FEATURES)


def test_an_implausibly_important_feature_is_taken_for_a_leak() -> None:
    result = no_leakage(0.5, importance(hour=0.8), training_rows(60), FEATURES)
    assert result.blocks
    assert "`hour`: permuting it raises NE on CD by 0.80, more than 0.5" in result.message
    assert no_leakage(0.9, importance(hour=0.8), training_rows(60), FEATURES).passed


def test_a_number_that_is_the_label_is_taken_for_an_outcome() -> None:
    numeric = [
        Feature.model_validate({**f.model_dump(), "kind": "numeric", "width": None}) if f.name == "hour" else f
        for f in FEATURES
    ]
    rows = training_rows(60).with_columns(hour=3 * pl.col("target") - 1)
    result = no_leakage(0.5, importance(), rows, numeric)
    assert result.blocks
    assert "`hour`: it is the label (correlation 1.000)" in result.message


def test_a_vector_of_which_one_component_is_the_label_is_taken_for_an_outcome() -> None:
    vector = next(f for f in FEATURES if f.kind == "vector")
    rows = training_rows(60)
    values = rows[vector.name].to_numpy().copy()
    values[:, 0] = rows["target"].to_numpy()
    result = leak({vector.name: pl.lit(pl.Series(values, dtype=rows.schema[vector.name]))})
    assert result.blocks
    assert f"`{vector.name}`: it is the label (correlation 1.000)" in result.message


def test_a_feature_known_only_of_shown_rows_is_taken_for_an_outcome() -> None:
    # Rows of both domains that were shown have 3 places each; all others are constant.
    result = leak({"format": pl.when(pl.col("candidate_id") < 3).then("candidate_id").otherwise(-1)})
    assert result.blocks
    assert "`format`: it is one value on all" in result.message
    constant = leak({"format": pl.lit(1)})
    assert constant.passed


def test_a_few_unshown_rows_of_one_value_are_no_sign_of_a_leak() -> None:
    rows = training_rows(60)
    few = pl.concat([rows.filter(domain="IMP"), rows.filter(domain="CD").head(20)])
    shown = few.filter(domain="IMP").select("request_id", "candidate_id").with_columns(seen=True)
    marked = few.join(shown, on=["request_id", "candidate_id"], how="left")
    values = marked.with_columns(format=pl.when("seen").then("candidate_id").otherwise(-1)).drop("seen")
    assert no_leakage(0.5, importance(), values, FEATURES).passed


@pytest.mark.parametrize(("columns", "passed"), [({"country", "ad"}, True), ({"ad"}, False)])
def test_a_dropped_feature_must_stay_where_another_student_reads_it(columns: set[str], passed: bool) -> None:
    chosen = table("ad", "user_segment", "hour")
    result = needed_features_kept(chosen, {"other": ({"country", "ad", "weekday"}, columns)})
    assert result.passed is passed
    # `ad` was chosen and `weekday` is no candidate: neither was dropped.
    assert result.message.startswith("8 features dropped; read elsewhere: 1 by other; by nobody: ")
    assert result.seen == {"dropped": 8, "by_nobody": 7}
    assert ("other needs country;" in result.message) is not passed


def test_whoever_reads_nothing_that_was_dropped_is_not_named() -> None:
    result = needed_features_kept(table("ad", "user_segment", "hour"), {"other": ({"ad"}, {"ad"})})
    assert result.passed
    assert "read elsewhere: none; by nobody: " in result.message


def test_scores_of_the_test_are_of_the_declared_features() -> None:
    cascade: Cascade = CASCADE
    assert np.array_equal(table("ad")["feature"], [f.name for f in cascade.candidates_of(CHOOSING)])
