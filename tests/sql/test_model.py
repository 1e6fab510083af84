from pathlib import Path

import pytest

from tests.sql.tables import ADS, MODELS, STUDENT, rendered
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.sql.context import template_context
from ukdsl_assets.sql.model import read_model, read_models
from ukdsl_assets.sql.render import RenderedModel, in_order, render

HEADER = """-- description: A table.
-- owner: team:ranking
-- scope: cascade
-- keys: [request_id]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier}
"""


def model_of(folder: Path, query: str, header: str = HEADER, name: str = "table_a") -> RenderedModel:
    path = folder / f"{name}.sql"
    path.write_text(header + query)
    return render(read_model(path), template_context(ADS))


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("-- owner: team:ranking\n", "", "owner: Field required"),
        ("scope: cascade", "scope: galaxy", r"scope: .*\(saw 'galaxy'\)"),
        ("type: identifier", "type: TINYTEXT", r"columns.request_id.type: .*TINYTEXT"),
        ("-- owner: team:ranking", "-- owner: team: ranking", "line 2: the header is not YAML"),
        ("-- keys: [request_id]", "-- keys: [request_id]\n-- path: elsewhere", "header key `path`"),
        ("keys: [request_id]", "keys: [candidate_id]", "keys: `candidate_id` is not among the columns"),
        ("--   request_id:", "--   <galaxy>:", "unknown family of columns"),
    ],
)
def test_wrong_headers_name_the_file_and_the_line_or_key(
    tmp_path: Path, line: str, replacement: str, said: str
) -> None:
    assert HEADER.count(line) == 1
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql.*{said}"):
        model_of(tmp_path, "SELECT request_id FROM candidate_log", HEADER.replace(line, replacement))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT {{ tusks }}", "line 8: .*'tusks' is undefined"),
        ("SELECT {{ student.task }}", "'student' is undefined"),
        ("SELECT {{ tasks.__class__.__mro__ }}", "unsafe|undefined"),
        ("SELECT 1; DROP TABLE candidate_log", "expected one SELECT"),
        ("COPY candidate_log TO 'stolen.csv'", "expected one SELECT"),
        ("SELECT FROM WHERE", "is not DuckDB SQL"),
        ("SELECT * FROM read_parquet('elsewhere.parquet')", "expected a plain table name"),
    ],
)
def test_a_template_is_one_select_of_known_names_from_plain_tables(tmp_path: Path, query: str, said: str) -> None:
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql.*({said})"):
        model_of(tmp_path, query)


def test_dependencies_and_parameters_come_from_the_query(tmp_path: Path) -> None:
    query = "WITH ranked AS (SELECT * FROM candidate_log WHERE deepest_stage = $stage_ranking) SELECT $day FROM ranked"
    query += ", event_log"
    model = model_of(tmp_path, query)
    assert model.depends_on == ("candidate_log", "event_log")
    assert model.parameters == ("day", "stage_ranking")


def test_shipped_models_stand_after_what_they_read() -> None:
    names = ("teacher_augmented", "stage_calibration", "logged_teacher_labels", "impressions", "considerations")
    assert set(names) == set(MODELS)
    models = [rendered(name, student=STUDENT) for name in names]
    order = [model.model.table for model in in_order(models, {"candidate_log", "event_log"})]
    for model in models:
        for table in set(model.depends_on) & set(order):
            assert order.index(table) < order.index(model.model.table)


def test_unknown_tables_circles_and_double_names_are_errors(tmp_path: Path) -> None:
    first = model_of(tmp_path, "SELECT request_id FROM table_b", name="table_a")
    second = model_of(tmp_path, "SELECT request_id FROM table_a", name="table_b")
    with pytest.raises(SqlModelError, match="reads unknown table `table_b`"):
        in_order([first], {"candidate_log"})
    with pytest.raises(SqlModelError, match="in a circle"):
        in_order([first, second], set())
    with pytest.raises(SqlModelError, match="is made by"):
        in_order([first, first.__class__(**vars(first))], {"table_b"})
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "table_a.sql").write_text(HEADER + "SELECT 1")
    with pytest.raises(SqlModelError, match="`table_a` is taken"):
        read_models(tmp_path)
