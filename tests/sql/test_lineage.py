from typing import Any

import polars as pl
import pytest
from sqlglot import exp

from tests.sources.logs import make_logs
from tests.sql.tables import ADS, DAY, STUDENT, rendered, run, written
from ukdsl_assets.sql.lineage import column_lineage

Origins = dict[str, list[tuple[str, str]]]
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("impressions", {}),
    ("considerations", {}),
    ("logged_teacher_labels", {"teacher": ADS.teacher(STUDENT.teacher)}),
    ("teacher_augmented", {"student": STUDENT}),
]


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Origins]:
    """Column lineage of every table that training reads."""
    folder = tmp_path_factory.mktemp("lineage")
    files = written(folder, make_logs(ADS, DAY, 10)._asdict())
    traced = {}
    for name, of in STEPS:
        model = rendered(name, **of)
        schemas = {t: {c: "" for c in pl.scan_parquet(files[t]).collect_schema()} for t in model.depends_on}
        traced[name] = column_lineage(model, schemas)
        assert list(traced[name]) == run(folder, name, files, **of).columns
    return traced


def test_the_log_has_audit_columns_that_no_table_for_training_reads(lineage: dict[str, Origins]) -> None:
    assert [name for name in make_logs(ADS, DAY, 2).candidate_log.columns if name.startswith("audit_")]
    for name, of in STEPS:
        origins = {column for pairs in lineage[name].values() for _, column in pairs}
        mentioned = {node.name for node in rendered(name, **of).tree.find_all(exp.Identifier)}
        assert not [column for column in origins | mentioned if column.startswith("audit_")]


def test_labels_come_from_the_events_and_when_they_occurred(lineage: dict[str, Origins]) -> None:
    for task in ("click", "conversion"):
        origins = set(lineage["impressions"][task])
        assert {("event_log", "event"), ("event_log", "occurred_at")} <= origins
        assert {column for table, column in origins if table == "candidate_log"} <= {"requested_at"}


def test_targets_come_from_the_label_or_the_teacher_and_features_from_themselves(lineage: dict[str, Origins]) -> None:
    traced = lineage["teacher_augmented"]
    assert traced["target"] == [("impressions", "click"), ("teacher_labels", "click_prediction")]
    assert traced["ad"] == [("considerations", "ad"), ("impressions", "ad")]
    assert traced["teacher_version"] == []
