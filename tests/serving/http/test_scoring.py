"""`/score`: the probabilities of the exported file, as JSON and as Arrow; what is refused, and in which words."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.http_server import Served
from tests.fixtures.served_pages import FIRST, NAME, page_bodies, rows_of
from ukdsl_assets.errors import RequestError
from ukdsl_assets.serving.http.arrow_body import table_of
from ukdsl_assets.serving.http.limits import Limits
from ukdsl_assets.serving.http.wire import ARROW

PATH = f"/score/{NAME}/module_click"
ROWS = [row for body in page_bodies(3) for row in rows_of(body)]


def as_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_rows_are_scored_as_the_file_scores_them(served: Served) -> None:
    model = served.service.models.current[(NAME, "module_click")]
    expected = model.student.score(model.student.columns_of(ROWS))

    reply = served.post(PATH, {"rows": ROWS})

    assert reply.status == 200
    assert (reply.json["version"], reply.json["day"]) == (model.version, str(FIRST))
    assert list(reply.json["heads"]) == ["impression", "consideration"]
    assert reply.json["serving_head"] == "consideration"
    for head, probabilities in expected.heads.items():
        np.testing.assert_allclose(reply.json["heads"][head], probabilities, rtol=1e-6)


def test_an_arrow_stream_is_answered_with_one_of_the_same_probabilities(served: Served) -> None:
    reply = served.post(PATH, as_stream(pa.Table.from_pylist(ROWS)), ARROW)

    assert reply.status == 200
    assert reply.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(reply.content).read_all()
    as_json = served.post(PATH, {"rows": ROWS}).json
    assert table.schema.metadata[b"version"].decode() == as_json["version"]
    for head, probabilities in as_json["heads"].items():
        np.testing.assert_allclose(table[head].to_numpy(), probabilities, rtol=1e-6)


def test_ids_that_training_did_not_see_are_counted(served: Served) -> None:
    rows = [ROWS[0] | {"module": 999, "item_category": 999}, ROWS[1]]

    assert {name: count for name, count in served.post(PATH, {"rows": rows}).json["unknown_ids"].items() if count} == {
        "module": 1,
        "item_category": 1,
    }


def test_no_rows_are_scored_as_none(served: Served) -> None:
    assert served.post(PATH, {"rows": []}).json["heads"] == {"impression": [], "consideration": []}


def test_a_reply_does_not_send_a_long_row_back(served: Served) -> None:
    reply = served.post(PATH, {"rows": [{f"no feature {number}": number for number in range(10_000)}]})

    assert reply.status == 422
    assert reply.json["seen"].startswith("no feature 0, no feature 1, ")
    assert len(reply.content) < 1_000


@pytest.mark.parametrize(
    ("body", "status", "where", "seen"),
    [
        (b"{", 400, "body", "EOF"),
        (b"[1]", 422, "body", "[1]"),
        ({"rows": {}}, 422, "body.rows", "{}"),
        ({"rows": [1]}, 422, "body.rows[0]", "1"),
        ({"rows": [{}]}, 422, "body.rows: row 1: column `user_segment`", "nothing"),
        ({"rows": [ROWS[0], ROWS[0] | {"relevance": "high"}]}, 422, "row 2: column `relevance`", "'high'"),
        ({"rows": [ROWS[0] | {"module": 1.5}]}, 422, "row 1: column `module`", "1.5"),
        ({"rows": [ROWS[0] | {"module": True}]}, 422, "row 1: column `module`", "True"),
        ({"rows": [ROWS[0] | {"user_profile": [1.0]}]}, 422, "row 1: column `user_profile`", "1"),
        ({"rows": [ROWS[0] | {"device": None}]}, 422, "row 1: column `device`", "null"),
        ({"rows": [{}] * 10_001}, 413, "body.rows", "10,001"),
        (b" " * (8 * 2**20 + 1), 413, "body", "8,388,609 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_fix(
    served: Served, body: Any, status: int, where: str, seen: str
) -> None:
    reply = served.post(PATH, body)

    assert reply.status == status == reply.json["status"]
    assert reply.headers["content-type"] == "application/problem+json"
    assert where in reply.json["where"]
    assert seen in reply.json["seen"]
    assert all(reply.json[part] for part in ("what", "expected", "fix"))


@pytest.mark.parametrize(
    ("table", "status", "seen"),
    [
        (b"no stream", 400, ""),
        (b"", 400, ""),
        (as_stream(pa.Table.from_pylist(ROWS).drop(["module"])), 422, "user_segment"),
        (as_stream(pa.Table.from_pylist(ROWS).set_column(0, "user_segment", [["x"] * len(ROWS)])), 422, "string"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(served: Served, table: bytes, status: int, seen: str) -> None:
    reply = served.post(PATH, table, ARROW)

    assert reply.status == status
    assert seen in reply.json["seen"]


@pytest.mark.parametrize(
    ("path", "content_type", "status", "expected"),
    [
        (PATH, "text/plain", 415, "application/json"),
        (f"/score/{NAME}/module_clik", "application/json", 404, "module_click"),
        ("/score/item_page/module_click", "application/json", 404, NAME),
        ("/scores", "application/json", 404, "POST /score"),
        (f"{PATH}/", "application/json", 404, "POST /score"),
        ("/health", "application/json", 405, "GET /health"),
    ],
)
def test_paths_and_types_that_there_are_not_are_told_with_those_that_there_are(
    served: Served, path: str, content_type: str, status: int, expected: str
) -> None:
    reply = served.post(path, {"rows": []}, content_type)

    assert reply.status == status
    assert expected in reply.json["expected"]


def compressed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


LONG, VIEW = "x" * (1 << 20), pa.string_view()


@pytest.mark.parametrize(
    ("table", "status", "seen"),
    [
        (compressed(pa.table({"module": pa.array([0] * 5_000_000, pa.int64())})), 400, "a compressed one"),
        (compressed(pa.table({"id": pa.array(["a", "a"] * 100).dictionary_encode()})), 400, "a compressed one"),
        (as_stream(pa.table({"id": pa.array([LONG] * 9).dictionary_encode()})), 413, "9,437,184 bytes"),
        (as_stream(pa.table({"id": pa.array([[LONG] * 9], pa.list_(pa.string())).cast(pa.list_(VIEW))})), 413, "9,437"),
    ],
)
def test_a_stream_that_is_small_only_as_sent_is_refused_before_it_is_unpacked(
    table: bytes, status: int, seen: str
) -> None:
    with pytest.raises(RequestError) as error:
        table_of(table, Limits())
    assert error.value.status == status
    assert seen in error.value.seen


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_stream_of_any_type_of_texts_is_read(kind: pa.DataType) -> None:
    table = pa.table({"id": pa.array(["a", None, "b"]).cast(kind), "number": [1.0, 2.0, 3.0]})
    for sent in (table, table.slice(1, 1), table.slice(0, 0)):
        assert table_of(as_stream(sent), Limits()).equals(sent)
