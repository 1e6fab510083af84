"""Tables of no day."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.undated import publish_whole, read_whole

TABLE = ("theory", "curves")
ROWS = pl.DataFrame({"name": ["b", None, "a"], "k": [3, 1, 2], "x": [0.5, float("nan"), 1.0]})


def test_rows_come_back_in_their_order_and_a_second_publication_replaces_them(tmp_path: Path) -> None:
    first = publish_whole(str(tmp_path), TABLE, ROWS, {"run_id": "1"})
    assert read_whole(str(tmp_path), TABLE).equals(ROWS)
    again = publish_whole(str(tmp_path), TABLE, ROWS, {})
    other = publish_whole(str(tmp_path), TABLE, ROWS.select("k").head(1), {})
    assert read_whole(str(tmp_path), TABLE).equals(ROWS.select("k").head(1))
    assert first.data_version == again.data_version != other.data_version
    assert [first.version, again.version, other.version, other.rows] == [1, 2, 3, 1]


def test_what_is_not_there_is_told_with_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="dg launch --assets theory/curves"):
        read_whole(str(tmp_path), TABLE)


def test_a_type_that_the_lake_cannot_give_back_is_refused_and_the_old_rows_stay(tmp_path: Path) -> None:
    publish_whole(str(tmp_path), TABLE, ROWS, {})
    with pytest.raises(LakeError, match="column 'k' is UInt8"):
        publish_whole(str(tmp_path), TABLE, ROWS.with_columns(pl.col("k").cast(pl.UInt8)), {})
    assert read_whole(str(tmp_path), TABLE).equals(ROWS)


def test_a_sweep_takes_what_was_replaced_and_leaves_the_rows(tmp_path: Path) -> None:
    for _ in range(2):
        publish_whole(str(tmp_path), TABLE, ROWS, {})
    lake = Lake(str(tmp_path))
    assert lake.sweep(0) == {lake.table_uri(TABLE): 1}
    assert read_whole(str(tmp_path), TABLE).equals(ROWS)
    assert len(DeltaTable(lake.table_uri(TABLE)).file_uris()) == 1


def test_a_file_that_is_not_what_was_published_is_refused(tmp_path: Path) -> None:
    uri = publish_whole(str(tmp_path), TABLE, ROWS, {}).uri
    [file] = Path(uri).glob("*.parquet")
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    with pytest.raises(LakeError, match=rf"{file.name} hashes to [0-9a-f]+, expected .* dg launch --assets theory/cu"):
        read_whole(str(tmp_path), TABLE)
    file.unlink()
    with pytest.raises(LakeError, match=f"{file.name} is gone"):
        read_whole(str(tmp_path), TABLE)


def test_rows_that_delta_wrote_itself_are_read(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "theory/curves"), ROWS, mode="overwrite")
    assert read_whole(str(tmp_path), TABLE).equals(ROWS)
    publish_whole(str(tmp_path), TABLE, ROWS.head(1), {})
    assert read_whole(str(tmp_path), TABLE).equals(ROWS.head(1))
