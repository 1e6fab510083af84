from pathlib import Path

import pytest

from tests.fixtures.sql_models import HEADER, ORDER, QUERY_LINE, model_of
from tests.fixtures.sql_tables import ADS, MODELS, SHOP, STUDENT, models_of
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.sql.render import in_dependency_order


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT\n{{ tusks }}", f"line {QUERY_LINE + 1}: .*'tusks' is undefined.*may use: .*tasks"),
        ("SELECT {{ student.task }}", ".*'student' is undefined.* scope cascade may use"),
        ("SELECT\n{% for %}", f"line {QUERY_LINE + 1}: "),
        ("{{ 1 / 0 }}", f"line {QUERY_LINE}: .*division by zero"),
        ("{% include 'other.sql' %}", f"line {QUERY_LINE}: "),
        ("SELECT {{ tasks.__class__.__mro__ }}", f"line {QUERY_LINE}: .*unsafe"),
    ],
)
def test_a_template_that_fails_is_told_with_its_line(tmp_path: Path, query: str, said: str) -> None:
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql: {said}"):
        model_of(tmp_path, query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "expected one SELECT query, saw "),
        ("SELECT 1; SELECT 2", "expected one SELECT query, saw Select, Select"),
        ("COPY candidate_log TO 'stolen.csv'", "expected one SELECT query, saw Copy"),
        ("DELETE FROM candidate_log", "expected one SELECT query, saw Delete"),
        ("SELECT FROM WHERE", "is not DuckDB SQL"),
    ],
)
def test_a_model_is_one_select(tmp_path: Path, query: str, said: str) -> None:
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql: `table_a`.* {said}"):
        model_of(tmp_path, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM candidate_log, LATERAL read_csv('x.csv')",
        "SELECT * FROM candidate_log JOIN parquet_scan('x.parquet') USING (request_id)",
        "WITH unused AS (SELECT * FROM read_text('x')) SELECT * FROM candidate_log",
        "SELECT (SELECT max(a) FROM read_csv('x.csv')) AS request_id FROM candidate_log",
        "SELECT * FROM other.candidate_log",
        "SELECT * FROM query('SELECT 1')",
    ],
)
def test_a_model_reads_nothing_but_plain_tables(tmp_path: Path, query: str) -> None:
    with pytest.raises(SqlModelError, match=r"(?s)table_a\.sql: `table_a` reads .* expected a plain table name"):
        model_of(tmp_path, query + ORDER)


@pytest.mark.parametrize(
    "order", ["", " ORDER BY candidate_id", " ORDER BY request_id, bid", " ORDER BY bid, request_id"]
)
def test_a_model_is_ordered_by_its_keys(tmp_path: Path, order: str) -> None:
    query = f"SELECT request_id FROM (SELECT * FROM candidate_log ORDER BY request_id){order}"
    with pytest.raises(SqlModelError, match=r"table_a\.sql: .*expected ORDER BY request_id"):
        model_of(tmp_path, query)


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("--   request_id:", "--   <galaxy>:", r"columns\.<galaxy>: unknown family .*<prediction>, <task>"),
        ("--   request_id:", "--   <teacher_label>:", "unknown family of columns for a model of scope cascade"),
        ("--   request_id:", "--   candidate_id:", "keys: `request_id` is not among the columns candidate_id"),
        ("type: identifier}\n", "type: identifier}\n--   bid: {description: x, type: declared}\n", "`declared`"),
        (
            "type: identifier}\n",
            "type: identifier}\n--   click: {description: x, type: FLOAT}\n"
            "--   <task>: {description: x, type: FLOAT}\n",
            "`click` would exist twice",
        ),
    ],
)
def test_columns_that_the_cascade_does_not_know_are_errors(
    tmp_path: Path, line: str, replacement: str, said: str
) -> None:
    assert HEADER.count(line) == 1
    with pytest.raises(SqlModelError, match=rf"table_a\.sql: .*{said}"):
        model_of(tmp_path, f"SELECT request_id FROM candidate_log{ORDER}", HEADER.replace(line, replacement))


def test_families_and_types_follow_the_declaration() -> None:
    ads = {name: column.type for name, column in models_of(ADS, STUDENT)["impressions"].columns.items()}
    shop = {name: column.type for name, column in models_of(SHOP, SHOP.students[0])["impressions"].columns.items()}
    assert (ads["request_id"], ads["bid"], ads["country"], ads["user_profile"]) == (
        "BIGINT",
        "FLOAT",
        "BIGINT",
        "FLOAT[]",
    )
    assert (shop["request_id"], shop["select"], shop["rate"]) == ("VARCHAR", "VARCHAR", "FLOAT")
    assert "bid" not in shop
    assert list(shop)[-3:] == ["click", "order", "refund"]


def test_dependencies_and_parameters_come_from_the_query(tmp_path: Path) -> None:
    query = "WITH local AS (SELECT * FROM candidate_log WHERE deepest_stage = $stage_ranking) SELECT $day FROM local"
    model = model_of(tmp_path, f"{query}, event_log{ORDER}")
    assert model.depends_on == ("candidate_log", "event_log")
    assert model.parameters == ("day", "stage_ranking")


def test_shipped_models_stand_after_what_they_read() -> None:
    models = list(models_of(ADS, STUDENT).values())
    assert {model.model.name for model in models} == set(MODELS)
    order = [model.model.table for model in in_dependency_order(reversed(models), {"candidate_log", "event_log"})]
    assert sorted(order) == sorted(model.model.table for model in models)
    for model in models:
        for table in set(model.depends_on) & set(order):
            assert order.index(table) < order.index(model.model.table)


def test_unknown_tables_circles_and_two_models_of_a_table_are_errors(tmp_path: Path) -> None:
    first = model_of(tmp_path, f"SELECT request_id FROM table_b{ORDER}", name="table_a")
    second = model_of(tmp_path, f"SELECT request_id FROM table_a{ORDER}", name="table_b")
    same = model_of(tmp_path, f"SELECT request_id FROM table_b{ORDER}", f"-- table: table_a\n{HEADER}", name="table_c")
    with pytest.raises(SqlModelError, match=r"table_a\.sql: .*unknown table `table_b`; known: candidate_log, table_a"):
        in_dependency_order([first], {"candidate_log"})
    with pytest.raises(SqlModelError, match=r"table_[ab]\.sql.*in a circle: table_[ab] -> table_[ab] -> table_[ab]"):
        in_dependency_order([first, second], set())
    with pytest.raises(SqlModelError, match=r"table_c\.sql: table `table_a` is made by .*table_a\.sql"):
        in_dependency_order([first, same], {"table_b"})
