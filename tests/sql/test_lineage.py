from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlglot import exp

from tests.fixtures.sql_models import ORDER, model_of
from tests.fixtures.sql_tables import ADS, STUDENT, models_of
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.logs.contract import candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.sql.lineage import Lineage, column_lineage
from ukdsl_assets.sql.render import RenderedModel, in_dependency_order

LOGS = {"candidate_log": tuple(candidate_log_dtypes(ADS)), "event_log": tuple(event_log_dtypes(ADS))}
MODELS = models_of(ADS, STUDENT)
# The tables that training reads; stage_calibration is for people.
TRAINING = {name: model for name, model in MODELS.items() if name != "stage_calibration"}


def lineage(model: RenderedModel) -> Lineage:
    """Column lineage of a shipped model over the logs and the other models' tables."""
    made = {other.model.table: tuple(other.columns) for other in MODELS.values()}
    return column_lineage(model, {table: (LOGS | made)[table] for table in model.depends_on})


def logged_origins(models: Mapping[str, RenderedModel]) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(table, column) -> the columns of the logs that it is made of, followed from model to model."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for model in in_dependency_order(models.values(), LOGS):
        for column, origins in lineage(model).items():
            found[model.model.table, column] = {log for pair in origins for log in found.get(pair, {pair})}
    return found


def test_every_declared_column_is_followed() -> None:
    for model in MODELS.values():
        assert list(lineage(model)) == list(model.columns)


def test_no_column_that_training_reads_is_made_of_an_audit_column() -> None:
    followed = logged_origins(MODELS)
    audited = {key: {column for _, column in pairs if column.startswith("audit_")} for key, pairs in followed.items()}
    assert audited["stage_calibration", "mean_reference"] == {"audit_true_click", "audit_true_conversion"}
    for model in TRAINING.values():
        assert [column for column in model.columns if audited[model.model.table, column]] == []
    assert followed["teacher_augmented", "target"] >= {
        ("event_log", "event"),
        ("candidate_log", "ranking_click_prediction"),
    }


def test_no_filter_or_join_of_what_training_reads_mentions_an_audit_column() -> None:
    assert _mentioned(MODELS["stage_calibration"]) >= {"audit_true_click"}
    for model in TRAINING.values():
        assert not {name for name in _mentioned(model) if name.startswith("audit_")}


def test_an_audit_column_is_found_behind_other_names(tmp_path: Path) -> None:
    query = (
        "WITH a AS (SELECT request_id, audit_true_click AS harmless FROM candidate_log), "
        "b AS (SELECT request_id, round(harmless, 1) AS x FROM a UNION ALL SELECT request_id, bid FROM candidate_log) "
        "SELECT request_id, CASE WHEN x > 0 THEN 1 END AS y FROM b"
    )
    origins = column_lineage(model_of(tmp_path, query + ORDER), LOGS)
    assert origins == {
        "request_id": [("candidate_log", "request_id")],
        "y": [("candidate_log", "audit_true_click"), ("candidate_log", "bid")],
    }


def test_one_text_over_other_tables_has_a_lineage_of_its_own(tmp_path: Path) -> None:
    query = "SELECT request_id, bid FROM candidate_log JOIN event_log USING (request_id)"
    for owner in ("candidate_log", "event_log", "candidate_log"):
        tables = {table: ("request_id", *(["bid"] if table == owner else [])) for table in LOGS}
        assert column_lineage(model_of(tmp_path, query + ORDER), tables)["bid"] == [(owner, "bid")]


@pytest.mark.parametrize("task", ["click", "conversion"])
def test_labels_come_from_the_event_and_when_it_occurred(task: str) -> None:
    assert lineage(MODELS["impressions"])[task] == [
        ("candidate_log", "requested_at"),
        ("event_log", "event"),
        ("event_log", "occurred_at"),
    ]


def test_targets_come_from_the_label_or_the_teacher_and_features_from_themselves() -> None:
    traced = lineage(MODELS["teacher_augmented"])
    assert traced["target"] == [("impressions", "click"), ("teacher_labels", "click_prediction")]
    assert traced["teacher_version"] == []
    for feature in ADS.features_of(STUDENT):
        assert traced[feature.name] == [("considerations", feature.name), ("impressions", feature.name)]


@pytest.mark.parametrize("column", ["tusk", "event_log.tusk", "candidate_log.event"])
def test_a_column_that_no_upstream_table_has_is_an_error(tmp_path: Path, column: str) -> None:
    model = model_of(tmp_path, f"SELECT {column} FROM candidate_log JOIN event_log USING (request_id){ORDER}")
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql: `table_a`: .*{column.split('.')[-1]}"):
        column_lineage(model, LOGS)


def _mentioned(model: RenderedModel) -> set[str]:
    return {identifier.name for identifier in model.tree.find_all(exp.Identifier)}
