"""Columns of metadata leave the JSON and come back."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.lake.checkpoints.store import ARRAYS, CheckpointStore

KEY, DAY = ("cascade", "student", "distilled"), date(2026, 1, 1)
TEXTS = st.lists(st.text(), max_size=10).map(lambda each: pl.Series(each, dtype=pl.String))
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=10).map(lambda each: pl.Series(each, dtype=pl.Int64))
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
METADATA = st.recursive(
    VALUES | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, pl.Series):
        return isinstance(second, pl.Series) and first.equals(second) and first.dtype == second.dtype
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(value, second[key]) for key, value in first.items())
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@given(TEXTS, NUMBERS, METADATA)
def test_what_was_taken_out_comes_back(texts: pl.Series, numbers: pl.Series, other: Any) -> None:
    metadata = {"texts": texts, "deep": [{"numbers": numbers}], "other": {"other": other}}
    values, arrays = taken_out(metadata)
    assert same(metadata, put_back(json.loads(json.dumps(values)), arrays))


def test_a_checkpoint_keeps_columns_beside_its_json_and_the_same_ones_make_the_same_version(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    metadata = {"encoder": {"ids": pl.Series(["a", "\u00e9"]), "rows": pl.Series([3, 4])}, "kind": "mlp"}
    first, again = (store.save(KEY, DAY, metadata, text="trees") for _ in range(2))
    assert first.version == again.version
    assert same(metadata, store.load(KEY, DAY, first.version).metadata)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {ARRAYS, "model.txt", "checkpoint.json"}
    assert "\u00e9" not in next(tmp_path.rglob("checkpoint.json")).read_text()
    other = store.save(
        KEY, DAY, {**metadata, "encoder": {"ids": pl.Series(["b"]), "rows": pl.Series([3])}}, text="trees"
    )
    assert other.version != first.version


def test_a_checkpoint_without_columns_has_no_file_of_them(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    assert store.save(KEY, DAY, {"vocabulary": ["a", "b"]}).metadata == {"vocabulary": ["a", "b"]}
    assert not list(tmp_path.rglob(ARRAYS))


@pytest.mark.parametrize("column", [pl.Series([1, None]), pl.Series([0.5]), pl.Series([[1]])])
def test_a_column_that_arrays_cannot_give_back_is_refused_by_name(column: pl.Series) -> None:
    with pytest.raises(TypeError, match=r"encoder/ids: .*expected integers or strings"):
        taken_out({"encoder": {"ids": column}})
