"""Names that a declaration leaves to the tables are those that the tables have."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.fixtures.sql_tables import ADS, MODELS, SHOP
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import (
    RESERVED,
    TABLES,
    delay_column,
    is_reserved,
    label_column,
    prediction_column,
    truth_column,
)
from ukdsl_assets.learning.training.delayed_feedback import with_label_factor
from ukdsl_assets.logs.contract import candidate_log_dtypes, event_log_dtypes


@pytest.mark.parametrize("cascade", [ADS, SHOP], ids=lambda cascade: cascade.name)
def test_columns_of_the_logs_are_declared_or_reserved(cascade: Cascade) -> None:
    features = {feature.name for feature in cascade.features}
    columns = {*candidate_log_dtypes(cascade), *event_log_dtypes(cascade)} - features
    assert {column for column in columns if not is_reserved(column)} == set()
    assert not any(is_reserved(feature) for feature in features)


def test_columns_that_a_model_has_beside_declared_ones_are_reserved() -> None:
    beside = {
        column
        for model in MODELS.values()
        if "<feature>" in model.columns
        for column in model.columns
        if not column.startswith("<")
    }
    assert {"target", "weight", "propensity"} <= beside
    assert beside <= RESERVED


def test_a_feature_cannot_stand_for_the_factor_of_delayed_labels() -> None:
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    rows = pl.DataFrame({"requested_at": [asked], "known_until": [asked + timedelta(days=1)]})
    added = {*with_label_factor(rows, np.array([]), timedelta(hours=1)).columns} - {*rows.columns}
    assert added
    assert added <= RESERVED


def test_tables_of_a_cascade_are_no_names_for_teachers_and_students() -> None:
    assert {model.table for model in MODELS.values() if model.scope == "cascade"} <= TABLES


def test_columns_of_predictions_and_truths_are_reserved_whatever_the_task() -> None:
    assert label_column("click") == "click_prediction"
    assert prediction_column("ranking", "click") == "ranking_click_prediction"
    assert truth_column("click") == "audit_true_click"
    for column in (label_column("click"), prediction_column("ranking", "click"), truth_column("click")):
        assert is_reserved(column)
    # Only where the task is delayed is there such a column; `names` looks.
    assert not is_reserved(delay_column("click"))
