"""Files of a shard: their bytes follow from the rows, however they came, and no broken one stays."""

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from polars.testing import assert_frame_equal

from ukdsl_assets.defs.stops import Stop
from ukdsl_assets.lake.tables.staging import write_parts, write_rows

# More than a row group.
ROWS = 150_000
CUTS = {
    "in two": [0, 70_001, ROWS],
    "in many": [*range(0, ROWS, 9_973), ROWS],
    "with an empty one": [0, 0, 140_000, 140_000, ROWS],
}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Every dtype of the contract of the logs, with nulls in some parts alone."""
    numbers = np.random.default_rng(0)
    values = numbers.normal(size=(ROWS, 8)).astype(np.float32)
    late = pl.when(pl.int_range(pl.len()) > 80_000)
    return pl.DataFrame(
        {
            "request_id": np.arange(ROWS) // 300,
            "requested_at": pl.repeat(dt.datetime(2026, 1, 5), ROWS, eager=True).cast(pl.Datetime("us", "UTC")),
            "stage": pl.Series(["retrieval", "pre_ranking", "a last stage of all"]).gather(
                pl.Series(numbers.integers(0, 3, ROWS))
            ),
            "shown": numbers.integers(0, 2, ROWS) > 0,
            "bid": values[:, 0],
            "signals": pl.Series(values, dtype=pl.Array(pl.Float32, 8)),
        }
    ).with_columns(
        prediction=late.then("bid"),
        late_signals=late.then("signals"),
        name=late.then("stage"),
        nothing=pl.lit(None, pl.Float32),
    )


def with_lists(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(ids=pl.concat_list(pl.col("request_id").repeat_by(pl.col("request_id") % 4)))


def parts_of(rows: pl.DataFrame, cuts: list[int]) -> list[pl.DataFrame]:
    """Frames that share no memory with the whole."""
    return [pl.DataFrame(rows[start:end].to_arrow()).cast(rows.schema) for start, end in pairwise(cuts)]


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("cuts", CUTS.values(), ids=list(CUTS))
def test_a_files_bytes_follow_from_the_rows_alone(
    tmp_path: Path, rows: pl.DataFrame, cuts: list[int], lists: bool
) -> None:
    whole = with_lists(rows) if lists else rows
    parts = parts_of(whole, cuts)
    together, in_chunks, one_by_one = (str(tmp_path / name) for name in ("together", "in chunks", "one by one"))
    write_rows(together, whole.rechunk())
    write_rows(in_chunks, pl.concat(parts, rechunk=False))
    write_parts(one_by_one, iter(parts))
    assert_frame_equal(pl.read_parquet(one_by_one, glob=False), whole)
    assert Path(together).read_bytes() == Path(in_chunks).read_bytes() == Path(one_by_one).read_bytes()


def test_parts_without_rows_are_a_file_without_rows(tmp_path: Path, rows: pl.DataFrame) -> None:
    file, same = str(tmp_path / "file"), str(tmp_path / "same")
    write_parts(file, [rows.clear(), rows.clear()])
    write_rows(same, rows.clear())
    assert pl.read_parquet(file, glob=False).schema == rows.schema
    assert Path(file).read_bytes() == Path(same).read_bytes()


@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_a_part_raises_is_raised_and_no_file_stays(tmp_path: Path, rows: pl.DataFrame, before: int) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        for _ in range(before):
            yield rows
        raise ArithmeticError("of the third")

    with pytest.raises(ArithmeticError, match="of the third") as raised:
        write_parts(str(tmp_path / "file"), broken())
    assert raised.value.__notes__ == [f"while writing {tmp_path / 'file'}"]
    assert list(tmp_path.iterdir()) == []


def test_who_is_stopped_writes_no_further_part(tmp_path: Path) -> None:
    asked: list[int] = []

    def slow() -> Iterator[pl.DataFrame]:
        for number in range(100):
            asked.append(number)
            time.sleep(0.1)
            yield pl.DataFrame({"number": [number]})

    stop = Stop()

    def step() -> None:
        with stop.inside():
            write_parts(str(tmp_path / "file"), slow())

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(step)
        while len(asked) < 3:
            time.sleep(0.01)
        stop.ask()
        with pytest.raises(DagsterExecutionInterruptedError):
            writing.result()
    assert len(asked) < 20
    assert list(tmp_path.iterdir()) == []


def test_parts_of_other_columns_are_refused(tmp_path: Path, rows: pl.DataFrame) -> None:
    with pytest.raises(pl.exceptions.SchemaError):
        write_parts(str(tmp_path / "file"), [rows, rows.rename({"bid": "price"})])
    assert list(tmp_path.iterdir()) == []
