from pathlib import Path

import pytest

from tests.fixtures.sql_models import HEADER
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.settings import shipped
from ukdsl_assets.sql.model import read_model, read_models

SHIPPED = read_models(shipped("dbt_like_sql"))


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("-- owner: team:ranking\n", "", "owner: Field required"),
        ("-- owner: team:ranking", "-- owner: team:ranking\n-- colour: red", r"colour: .*\(saw 'red'\)"),
        ("-- owner: team:ranking", "-- owner: team: ranking", "line 2: the header is not YAML"),
        ("{description: The request.,", "{description: The request,,", "line 7: the header is not YAML"),
        ("scope: cascade", "scope: galaxy", r"scope: .*\(saw 'galaxy'\)"),
        ("keys: [request_id]", "keys: []", r"keys: .*at least 1 item"),
        ("keys: [request_id]", "keys: [candidate_id]", r"shard_key: .*one of `keys`"),
        ("shard_key: request_id", "shard_key: candidate_id", r"shard_key: .*\(saw 'candidate_id'\)"),
        ("-- keys: [request_id]", "-- keys: [request_id]\n-- path: elsewhere", "header key `path`"),
        ("type: identifier", "type: TINYTEXT", r"columns.request_id.type: .*TINYTEXT"),
        ("type: identifier", "type: identifier, one_of: $colours", r"columns.request_id.one_of.*'\$colours'"),
        (HEADER, "SELECT 1", "line 1: expected a header"),
        (HEADER, "-- only words\nSELECT 1", "line 1: expected a header"),
    ],
)
def test_wrong_headers_name_the_file_and_the_line_or_key(
    tmp_path: Path, line: str, replacement: str, said: str
) -> None:
    assert HEADER.count(line) == 1
    path = tmp_path / "table_a.sql"
    path.write_text(HEADER.replace(line, replacement))
    with pytest.raises(SqlModelError, match=rf"(?s)table_a\.sql: .*{said}"):
        read_model(path)


@pytest.mark.parametrize("name", ["a b", "1x", "a-b", "naïve"])
def test_a_table_has_a_name_that_sql_and_the_graph_take(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.sql").write_text(HEADER)
    with pytest.raises(SqlModelError, match=rf"{name}\.sql: 1 wrong key.*\n  table: .*saw '{name}'"):
        read_model(tmp_path / f"{name}.sql")


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "table_a.sql").write_bytes(HEADER.encode() + "-- Köln".encode("latin-1"))
    with pytest.raises(SqlModelError, match=r"table_a\.sql: not readable as UTF-8.*write it again"):
        read_model(tmp_path / "table_a.sql")


def test_names_and_tables_follow_from_the_files(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "first.sql").write_text(HEADER)
    (tmp_path / "second.sql").write_text(
        "-- table: other\n" + HEADER.replace("shard_key: request_id", "shard_key: none")
    )
    models = read_models(tmp_path)
    assert {name: (model.table, model.shard_key) for name, model in models.items()} == {
        "first": ("first", "request_id"),
        "second": ("other", None),
    }


def test_a_missing_folder_and_a_name_that_is_taken_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SqlModelError, match=r"nowhere: no such folder .*UKDSL_SQL"):
        read_models(tmp_path / "nowhere")
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "table_a.sql").write_text(HEADER)
    with pytest.raises(SqlModelError, match="`table_a` is taken"):
        read_models(tmp_path)


def test_own_models_stand_beside_the_shipped_ones_and_in_place_of_those_of_their_name(tmp_path: Path) -> None:
    own = tmp_path / "marts"
    own.mkdir()
    more = SHIPPED["impressions"].path.read_text().replace("-- columns:\n", "-- columns:\n--   more: {}\n", 1)
    assert read_models(shipped("dbt_like_sql"), tmp_path) == SHIPPED
    (own / "impressions.sql").write_text(
        more.replace("--   more: {}", "--   more: {description: Another column., type: BIGINT}")
    )
    (own / "table_a.sql").write_text(HEADER)
    models = read_models(shipped("dbt_like_sql"), tmp_path)
    assert {*models} == {*SHIPPED, "table_a"}
    assert models["impressions"].path == own / "impressions.sql"
    assert {*models["impressions"].columns} == {*SHIPPED["impressions"].columns, "more"}
    assert all(models[name] == SHIPPED[name] for name in SHIPPED if name != "impressions")


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("-- scope: cascade", "-- scope: student", "scope: saw student, expected cascade; write it as"),
        ("-- shard_key: request_id", "-- shard_key: none", "shard_key: saw None, expected request_id"),
        ("--   explored:", "--   explorer:", r"without its column\(s\) explored, which other tables and steps read"),
        ("shown., type: FLOAT", "shown., type: DOUBLE", r"columns\.propensity: saw type DOUBLE, expected FLOAT"),
    ],
)
def test_an_own_model_in_place_of_another_keeps_what_is_read_of_it(
    tmp_path: Path, was: str, now: str, said: str
) -> None:
    text = SHIPPED["impressions"].path.read_text()
    assert was in text
    (tmp_path / "impressions.sql").write_text(text.replace(was, now, 1))
    with pytest.raises(SqlModelError, match=rf"(?s){tmp_path}/impressions\.sql: .*{said}"):
        read_models(shipped("dbt_like_sql"), tmp_path)
