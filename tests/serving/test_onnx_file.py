"""An exported file as a server reads it: values of JSON and Arrow, what is refused and how, and what is imported."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.drawn_students import ARCHITECTURES, EVERY_KIND, OF, drawn_student, raw_rows
from ukdsl_assets.errors import ScoringError
from ukdsl_assets.frames.splits import shard_of
from ukdsl_assets.serving.export.export import export_student
from ukdsl_assets.serving.onnx_file import OnnxStudent
from ukdsl_assets.serving.onnx_values import bucket_of

ROWS = raw_rows(EVERY_KIND, 12, seed=5)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("file") / "student.onnx"
    export_student(drawn_student(EVERY_KIND, ARCHITECTURES[0]), target, OF)
    return target


@pytest.fixture(scope="module")
def file(path: Path) -> OnnxStudent:
    return OnnxStudent.load(path)


def json_rows() -> list[dict[str, Any]]:
    rows = json.loads(json.dumps(ROWS.to_dicts()))
    assert isinstance(rows, list)
    return rows


def test_values_of_json_and_of_arrow_are_the_same_columns(file: OnnxStudent) -> None:
    of_rows, of_table = file.columns_of(json_rows()), file.columns_of_arrow(ROWS.to_arrow())
    assert of_rows.keys() == of_table.keys() == {each.name for each in EVERY_KIND if each.name != "slot"}
    for name, column in of_rows.items():
        assert column.dtype == of_table[name].dtype
        np.testing.assert_array_equal(column, of_table[name])
    first, second = file.score(of_rows), file.score(of_table)
    assert all(np.array_equal(first.heads[head], second.heads[head]) for head in file.metadata.heads)


def test_arrow_of_other_types_that_lose_nothing_is_taken(file: OnnxStudent) -> None:
    table = ROWS.to_arrow()
    others = {
        "device": pa.int8(),
        "item": pa.float64(),
        "country": pa.dictionary(pa.int32(), pa.string()),
        "price": pa.float64(),
        "image": pa.list_(pa.float64()),
        "tags": pa.list_(pa.string()),
        "topics": pa.list_(pa.int16()),
    }
    changed = table
    for name, dtype in others.items():
        place = changed.schema.get_field_index(name)
        column = changed.column(name)
        if name == "country":
            column = column.cast(pa.string()).dictionary_encode()
        changed = changed.set_column(place, name, column.cast(dtype))
    for taken in (changed, changed.to_batches()[0]):
        found = file.columns_of_arrow(taken)
        for name, column in file.columns_of_arrow(table).items():
            np.testing.assert_array_equal(found[name], column)


def test_a_part_of_a_table_is_that_part(file: OnnxStudent) -> None:
    table = pa.concat_tables([ROWS.to_arrow()] * 2)
    expected = file.columns_of(json_rows()[3:7])
    for part in (table.slice(3, 4), table.slice(15, 4), table.combine_chunks().to_batches()[0].slice(3, 4)):
        for name, column in file.columns_of_arrow(part).items():
            np.testing.assert_array_equal(column, expected[name])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("device", True, r"row 3: column `device`: saw True, expected an integer; .*not true or false"),
        ("device", 3.0, r"saw 3.0, expected an integer; send a whole number without a point \(3, not 3.0\)"),
        ("device", "3", "saw '3', expected an integer"),
        ("device", None, "saw null, expected an integer; send a value, or declare .*`missing: allowed`"),
        ("device", 2**63, r"saw 9223372036854775808, .*from -2\^63 to 2\^63 - 1"),
        ("device", [1], r"saw \[1\], expected an integer"),
        ("item", -(2**63) + 1, "this file keeps that value for what is missing"),
        ("item", "x", "expected an integer, or null where it is missing"),
        ("country", 5, "saw 5, expected a text, or null where it is missing; send a text"),
        ("country", "\ud800", "UTF-8"),
        ("price", True, "saw True, expected a number; send a number, not a text and not true"),
        ("price", float("nan"), "saw nan, expected a number; send a finite number"),
        ("price", float("inf"), "saw inf"),
        ("price", 1e39, "within 32-bit floats"),
        ("price", 2**24 + 1, "saw 16777217, .*32 bits cannot hold exactly"),
        ("price", 10**400, "32 bits cannot hold exactly"),
        ("price", None, "saw null"),
        ("age", "old", "saw 'old', expected a number, or null where it is missing"),
        ("image", [1.0], r"saw 1 value\(s\), expected a list of 2 numbers; .*`width`"),
        ("image", [1.0, None], "saw null in a list"),
        ("image", 1.0, "saw 1.0, expected a list of 2 numbers; send a list"),
        ("image", [1.0, float("nan")], "saw nan"),
        ("profile", [None, None, None], "saw null in a list"),
        ("tags", ["a"] * 6, r"saw 6 values, expected a list of at most 5 texts.*`most_values`"),
        ("tags", ["a", None], "saw null in a list"),
        ("tags", "ab", "saw 'ab', expected a list"),
        ("tags", ["\uffffpadding"], "this file keeps that value"),
        ("topics", None, "saw null"),
        ("topics", [True], "saw True"),
        ("interests", ["3"], "saw '3', expected a list of at most 64 integers"),
        ("shop", None, "saw null, expected a text"),
    ],
)
def test_a_wrong_value_is_told_by_row_and_column(file: OnnxStudent, name: str, value: Any, expected: str) -> None:
    rows = json_rows()
    rows[2][name] = value
    with pytest.raises(ScoringError, match=expected) as told:
        file.columns_of(rows)
    assert str(told.value).startswith(f"row 3: column `{name}`: saw ")
    assert len(str(told.value)) < 300


def test_rows_that_lack_a_feature_or_are_none_are_told(file: OnnxStudent) -> None:
    rows: list[Any] = json_rows()
    del rows[4]["price"]
    with pytest.raises(ScoringError, match=r"row 5: column `price` is missing, saw country, .*expected a number; send"):
        file.columns_of(rows)
    rows[4] = 7
    with pytest.raises(ScoringError, match="row 5: saw 7, expected a mapping"):
        file.columns_of(rows)
    with pytest.raises(ScoringError, match=r"request: column `country` is missing, saw nothing; .*\(null where"):
        file.columns_of(json_rows(), {})
    with pytest.raises(ScoringError, match="request: column `device`: saw 'x', expected an integer"):
        file.columns_of(json_rows(), json_rows()[0] | {"device": "x"})


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("device", pa.array(["1"] * 12), "column `device` is string, expected an integer a row"),
        ("device", pa.array([True] * 12), "column `device` is bool"),
        ("device", pa.array([1, None] * 6), "row 2: column `device`: saw null"),
        ("device", pa.array([1.0, 1.5] * 6), "saw 1.0, expected an integer"),
        ("device", pa.array([2**64 - 1] * 12, pa.uint64()), r"from -2\^63"),
        ("price", pa.array([1.0, float("nan")] * 6), "row 2: column `price`: saw nan"),
        ("price", pa.array([1.0, 1e300] * 6), "row 2: column `price`: saw 1e[+]300"),
        ("price", pa.array([1, 2**24 + 1] * 6), "row 2: column `price`: saw 16777217"),
        ("age", pa.array([None, 2**24 + 1] * 6), "row 2: column `age`: saw 16777217"),
        ("age", pa.array([None, -float("inf")] * 6), "row 2: column `age`: saw -inf"),
        ("image", pa.array([[1.0, 2.0], [1.0]] * 6), r"row 2: column `image`: saw 1 value\(s\)"),
        ("image", pa.array([[1.0, 2.0], None] * 6), "row 2: column `image`: saw null"),
        ("image", pa.array([1.0] * 12), "column `image` is double, expected a list of 2 numbers"),
        ("topics", pa.array([[1], [None]] * 6), "row 2: column `topics`: saw null in a list"),
        ("topics", pa.array([[1], [1] * 65] * 6), "row 2: column `topics`: saw 65 values"),
        ("topics", pa.array([[1.5]] * 12), "row 1: column `topics`: saw 1.5"),
        ("country", pa.array(["\uffffmissing"] * 12), "this file keeps that value"),
    ],
)
def test_a_wrong_arrow_column_is_told(file: OnnxStudent, name: str, column: pa.Array, expected: str) -> None:
    table = ROWS.to_arrow()
    table = table.set_column(table.schema.get_field_index(name), name, column)
    with pytest.raises(ScoringError, match=expected):
        file.columns_of_arrow(table)


def test_a_column_that_is_not_there_or_twice_is_told(file: OnnxStudent) -> None:
    table = ROWS.to_arrow()
    with pytest.raises(ScoringError, match="column `price` is missing, saw country, "):
        file.columns_of_arrow(table.drop_columns(["price"]))
    with pytest.raises(ScoringError, match="column `price` is there more than once"):
        file.columns_of_arrow(table.append_column("price", table.column("price")))


def test_nulls_alone_are_missing_where_they_may_be(file: OnnxStudent) -> None:
    table = ROWS.with_columns(country=None, tags=None, age=None, profile=None).to_arrow()
    rows = [row | dict.fromkeys(("country", "tags", "age", "profile")) for row in json_rows()]
    expected = file.columns_of(rows)
    for name, column in file.columns_of_arrow(table).items():
        np.testing.assert_array_equal(column, expected[name])


def test_columns_that_do_not_belong_together_are_told(file: OnnxStudent) -> None:
    columns = file.columns_of(json_rows())
    with pytest.raises(ScoringError, match=r"columns: without price; beside prize; expected those that"):
        file.score({"prize" if name == "price" else name: column for name, column in columns.items()})
    with pytest.raises(ScoringError, match=r"columns: not scored: .*expected one length"):
        file.score({**columns, "price": columns["price"][:5]})


def test_columns_of_different_lengths_never_run_into_each_other(file: OnnxStudent) -> None:
    columns = file.columns_of(json_rows())
    for name, column in columns.items():
        if name in ("country", "device"):
            # As many in all as two columns of one length have.
            columns[name] = np.concatenate([column, column[:2]]) if name == "country" else column[:-2]
    with pytest.raises(ScoringError, match=r"lengths are \{'country': 14, 'interests': 12, 'device': 10"):
        file.score(columns)


def test_files_that_are_no_students_are_told(tmp_path: Path, path: Path) -> None:
    import onnx

    with pytest.raises(ScoringError, match=r"no such file; write it with `ukdsl export"):
        OnnxStudent.load(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no protocol buffer")
    with pytest.raises(ScoringError, match=r"text\.onnx: not readable as ONNX"):
        OnnxStudent.load(tmp_path / "text.onnx")
    for name, expected in (("format", "saw metadata without a format"), ("heads", "metadata cannot be read")):
        model = onnx.load(path)
        kept = [each for each in model.metadata_props if each.key != name]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(ScoringError, match=expected):
            OnnxStudent.load(tmp_path / "other.onnx")


@given(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]))), st.integers(1, 999)
)
def test_a_bucket_is_that_of_training(value: int | str, buckets: int) -> None:
    assert bucket_of(value, buckets) == int(shard_of(pl.Series([value]), buckets)[0])


def test_threads_may_share_a_student(file: OnnxStudent) -> None:
    columns = file.columns_of(json_rows())
    expected = file.score(columns).heads["scored"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: file.score(columns).heads["scored"], range(40)))
    assert all(np.array_equal(each, expected) for each in found)


def test_scoring_loads_nothing_of_what_made_the_file(path: Path) -> None:
    (path.parent / "rows.json").write_text(json.dumps(json_rows()))
    code = (
        "import json, sys\n"
        "from ukdsl_assets.serving.onnx_file import OnnxStudent\n"
        "student = OnnxStudent.load(sys.argv[1])\n"
        "student.score(student.columns_of(json.load(open(sys.argv[2]))))\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, str(path), str(path.parent / "rows.json")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    heavy = {
        "torch",
        "polars",
        "dagster",
        "deltalake",
        "duckdb",
        "lightgbm",
        "scipy",
        "numba",
        "pydantic",
        "pyarrow",
        "onnx",
    }
    assert heavy.isdisjoint(loaded)
    ours = {name for name in loaded if name.startswith("ukdsl_assets.")}
    assert ours == {"ukdsl_assets.errors", "ukdsl_assets.serving"} | {
        f"ukdsl_assets.serving.onnx_{name}" for name in ("file", "metadata", "refusals", "values")
    }
