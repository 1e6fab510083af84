"""One writer: what is staged, committed, read back, swapped, refused and swept."""

import datetime as dt
import os
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.staging import place

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2026, 1, day) for day in (5, 6, 7))
TABLE = ("simulated_ads", "impressions")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "a lake, cascade=ads"))


def impressions(rows: int, value: float = 0.5) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "request_id": pl.Series(range(rows), dtype=pl.Int64),
            "requested_at": pl.Series([dt.datetime(2026, 1, 5)] * rows, dtype=pl.Datetime("us", "UTC")),
            "embedding": pl.Series([[value, 1.0]] * rows, dtype=pl.Array(pl.Float32, 2)),
            "value": pl.Series([value] * rows, dtype=pl.Float32),
        }
    )


def publish(lake: Lake, day: dt.date, frame: pl.DataFrame, **metadata: str) -> int:
    return lake.commit(lake.stage_frame(TABLE, day, frame), metadata).version


def test_staged_rows_are_invisible_until_the_commit(lake: Lake) -> None:
    staged = lake.stage_frame(TABLE, MONDAY, impressions(3))
    assert lake.partition(TABLE, MONDAY) is None
    assert lake.partitions(TABLE) == []
    published = lake.commit(staged, {})
    assert lake.partition(TABLE, MONDAY) == published
    assert published.rows == 3
    assert published.bytes == sum(os.path.getsize(file) for file in published.files)


def test_days_come_back_in_order_with_their_day_whatever_order_they_are_asked_in(lake: Lake) -> None:
    publish(lake, TUESDAY, impressions(2, 2.0))
    publish(lake, MONDAY, impressions(1, 1.0))
    read = lake.scan(TABLE, [TUESDAY, MONDAY]).collect()
    assert_frame_equal(
        read,
        pl.concat([impressions(1, 1.0), impressions(2, 2.0)]).with_columns(day=pl.Series([MONDAY, TUESDAY, TUESDAY])),
    )
    assert lake.partitions(TABLE) == [MONDAY, TUESDAY]
    assert lake.row_counts(TABLE, [WEDNESDAY, TUESDAY, MONDAY]) == {MONDAY: 1, TUESDAY: 2}
    assert lake.scan(TABLE, [MONDAY], columns=["day", "value"]).collect().columns == ["day", "value"]


def test_duckdb_reads_the_live_files(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(4))
    publish(lake, MONDAY, impressions(5))
    files = lake.live_files(TABLE, [MONDAY, TUESDAY])
    count = duckdb.execute("select count(*) from read_parquet($files)", {"files": files}).fetchone()
    assert count == (5,)


def test_the_old_partition_is_read_by_its_version(lake: Lake) -> None:
    old = publish(lake, MONDAY, impressions(3, 1.0), run="first")
    publish(lake, TUESDAY, impressions(1), run="elsewhere")
    new = publish(lake, MONDAY, impressions(2, 2.0), run="second")
    assert lake.scan(TABLE, [MONDAY], version=old).collect()["value"].to_list() == [1.0] * 3
    assert lake.scan(TABLE, [MONDAY]).collect()["value"].to_list() == [2.0] * 2
    assert lake.scan(TABLE, [TUESDAY]).collect().height == 1
    history = [(entry.version, entry.rows, entry.metadata) for entry in lake.history(TABLE, MONDAY)]
    assert history == [(new, 2, {"run": "second"}), (old, 3, {"run": "first"})]


def test_a_scan_keeps_to_the_files_it_found(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(3, 1.0))
    scanned = lake.scan(TABLE, [MONDAY])
    publish(lake, MONDAY, impressions(2, 2.0))
    assert scanned.collect()["value"].to_list() == [1.0] * 3


def test_an_empty_day_is_published_and_is_not_a_missing_one(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(0))
    assert_frame_equal(lake.scan(TABLE, [MONDAY]).drop("day").collect(), impressions(0))
    assert lake.row_counts(TABLE, [MONDAY, TUESDAY]) == {MONDAY: 0}


@pytest.mark.parametrize("days", [[TUESDAY], [MONDAY, TUESDAY]])
def test_reading_a_missing_day_says_how_to_make_it(lake: Lake, days: list[dt.date]) -> None:
    publish(lake, MONDAY, impressions(1))
    with pytest.raises(
        LakeError, match=r"simulated_ads/impressions has no day 2026-01-06 .*ukdsl run simulated_ads --days 2026-01-06"
    ):
        lake.scan(TABLE, days)


def test_reading_no_day_an_unknown_table_or_an_unknown_version_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"Make it first: ukdsl run simulated_ads --days 2026-01-05"):
        lake.scan(TABLE, [MONDAY])
    version = publish(lake, MONDAY, impressions(1))
    with pytest.raises(LakeError, match="simulated_ads/impressions: no day was asked for, expected at least one"):
        lake.scan(TABLE, [])
    with pytest.raises(LakeError, match=rf"version {version + 7}: .* cannot be read"):
        lake.live_files(TABLE, [MONDAY], version=version + 7)


# Every dtype of the contract of the logs; NaN counts as equal to itself here.
contract_frames = dataframes(
    max_cols=5,
    max_size=20,
    allow_null=True,
    allowed_dtypes=[pl.Int64, pl.String, pl.Float32, pl.Boolean, pl.Date, pl.Datetime("us", "UTC")],
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=contract_frames.filter(lambda frame: frame.width > 0))
def test_any_frame_comes_back_and_its_data_version_follows_from_its_rows(
    tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    published = lake.commit(lake.stage_frame(TABLE, MONDAY, frame), {})
    assert_frame_equal(lake.scan(TABLE, [MONDAY]).drop("day").collect(), frame)
    in_pieces = pl.concat([frame.head(frame.height // 2), frame.tail(frame.height - frame.height // 2)], rechunk=False)
    assert lake.stage_frame(TABLE, TUESDAY, in_pieces).data_version == published.data_version


def test_other_rows_or_another_order_give_another_data_version(lake: Lake) -> None:
    frames = [impressions(3), impressions(3).reverse(), impressions(4), impressions(3, 0.25)]
    versions = [lake.stage_frame(TABLE, MONDAY, frame).data_version for frame in frames]
    assert len(set(versions)) == 4
    published = lake.commit(lake.stage_frame(TABLE, MONDAY, frames[0]), {})
    again = lake.partition(TABLE, MONDAY)
    assert again is not None
    assert published.data_version == again.data_version == lake.history(TABLE, MONDAY)[0].data_version == versions[0]


def test_files_written_by_duckdb_are_adopted_in_the_order_of_their_shards(lake: Lake) -> None:
    paths = [lake.new_file(TABLE, MONDAY, shard, 2) for shard in range(2)]
    for shard, path in enumerate(paths):
        query = "copy (select i as request_id from range($n) t(i) where i % 2 = $shard order by i) to $path"
        duckdb.execute(f"{query} (format parquet, compression zstd)", {"n": 6, "shard": shard, "path": path})
    published = lake.commit(lake.stage_files(TABLE, MONDAY, paths[::-1]), {})
    assert lake.scan(TABLE, [MONDAY]).collect()["request_id"].to_list() == [0, 2, 4, 1, 3, 5]
    assert published.rows == 6


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(lake: Lake, kept: float) -> None:
    path = lake.new_file(TABLE, MONDAY, 0, 1)
    impressions(1000).write_parquet(path)
    os.truncate(path, int(os.path.getsize(path) * kept))
    with pytest.raises(LakeError, match=f"{Path(path).name} is not a whole Parquet file"):
        lake.stage_files(TABLE, MONDAY, [path])


def test_shards_with_other_columns_no_files_and_files_from_elsewhere_are_refused(lake: Lake, tmp_path: Path) -> None:
    paths = [lake.new_file(TABLE, MONDAY, shard, 2) for shard in range(2)]
    impressions(3).write_parquet(paths[0])
    impressions(3).drop("value").write_parquet(paths[1])
    with pytest.raises(LakeError, match="the shards have different columns"):
        lake.stage_files(TABLE, MONDAY, paths)
    with pytest.raises(LakeError, match="no files to stage"):
        lake.stage_files(TABLE, MONDAY, [])
    elsewhere = tmp_path / "elsewhere.parquet"
    impressions(3).write_parquet(elsewhere)
    with pytest.raises(LakeError, match="new_file"):
        lake.stage_files(TABLE, MONDAY, [str(elsewhere)])


def test_a_file_cut_between_staging_and_commit_is_refused(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(3))
    staged = lake.stage_frame(TABLE, MONDAY, impressions(9))
    os.truncate(Path(lake.table_uri(TABLE)) / staged.files[0].path, 100)
    with pytest.raises(LakeError, match=r"has 100 bytes, expected \d+"):
        lake.commit(staged, {})
    assert lake.scan(TABLE, [MONDAY]).collect().height == 3


def test_discarded_files_are_gone_and_published_ones_cannot_be_discarded(lake: Lake) -> None:
    staged = lake.stage_frame(TABLE, MONDAY, impressions(3))
    lake.discard(staged)
    lake.discard(staged)
    assert list(Path(lake.root).rglob("*.parquet")) == []
    live = lake.stage_frame(TABLE, MONDAY, impressions(3))
    lake.commit(live, {})
    with pytest.raises(LakeError, match="published already"):
        lake.discard(live)
    assert lake.scan(TABLE, [MONDAY]).collect().height == 3


def test_committing_the_same_files_twice_publishes_them_once(lake: Lake) -> None:
    staged = lake.stage_frame(TABLE, MONDAY, impressions(3))
    assert lake.commit(staged, {}) == lake.commit(staged, {})
    assert len(lake.history(TABLE, MONDAY)) == 1


def test_vacuum_sweeps_old_orphans_and_spares_fresh_files_and_the_live_partition(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(3))
    killed = Path(lake.new_file(TABLE, MONDAY, 0, 1))
    killed.write_bytes(b"PAR1 and no more")
    fresh = lake.stage_frame(TABLE, MONDAY, impressions(4))
    two_days_ago = dt.datetime.now().timestamp() - 2 * 86400
    os.utime(killed, (two_days_ago, two_days_ago))
    assert lake.vacuum(TABLE) == [f"day=2026-01-05/{killed.name}"]
    assert not killed.exists()
    assert lake.scan(TABLE, [MONDAY]).collect().height == 3
    assert lake.commit(fresh, {}).rows == 4


def test_vacuum_touches_nothing_when_the_folder_holds_other_things(lake: Lake) -> None:
    publish(lake, MONDAY, impressions(3))
    other = Path(lake.table_uri(TABLE), "distilled", "model.txt")
    other.parent.mkdir()
    other.write_text("tree")
    os.utime(other, (0, 0))
    with pytest.raises(LakeError, match=r"distilled/model\.txt"):
        lake.vacuum(TABLE)
    assert other.exists()
    assert lake.vacuum(("no", "table")) == []


def test_a_sweep_vacuums_every_table_that_has_a_log_and_only_those(lake: Lake) -> None:
    evaluation = ("simulated_ads", "pre_ranking_click", "evaluation")
    assert lake.sweep() == {}
    for table in (TABLE, evaluation):
        for rows in (3, 2, 1):
            lake.commit(lake.stage_frame(table, MONDAY, impressions(rows)), {})
    lake.commit(lake.stage_frame(evaluation, TUESDAY, impressions(1)), {})
    no_table = Path(lake.root, "simulated_ads", "exports", "day=2026-01-05", "rows.parquet")
    no_table.parent.mkdir(parents=True)
    impressions(1).write_parquet(no_table)
    before = {table: lake.partition(table, MONDAY) for table in (TABLE, evaluation)}

    assert lake.sweep() == dict.fromkeys([lake.table_uri(TABLE), lake.table_uri(evaluation)], 0)
    orphan = Path(lake.new_file(evaluation, WEDNESDAY, 0, 1))
    orphan.write_bytes(b"PAR1 and no more")
    assert lake.sweep(older_than_hours=0) == {lake.table_uri(TABLE): 2, lake.table_uri(evaluation): 3}
    assert lake.sweep(older_than_hours=0) == {lake.table_uri(TABLE): 0, lake.table_uri(evaluation): 0}
    assert no_table.exists()
    for table, partition in before.items():
        assert partition is not None
        assert lake.live_files(table, [MONDAY]) == list(partition.files)
        assert lake.scan(table, [MONDAY]).collect().height == 1


def test_a_day_column_is_left_out_when_it_says_the_same_and_refused_otherwise(lake: Lake) -> None:
    frame = impressions(3)
    publish(lake, MONDAY, frame.with_columns(day=MONDAY))
    assert lake.scan(TABLE, [MONDAY]).collect().columns == [*frame.columns, "day"]
    for wrong in (pl.lit(TUESDAY), pl.lit(None, pl.Date), pl.lit("2026-01-05")):
        with pytest.raises(LakeError, match="expected only the Date 2026-01-05"):
            lake.stage_frame(TABLE, MONDAY, frame.with_columns(day=wrong))


@pytest.mark.parametrize("table", [(), ("",), ("..", "etc"), ("a/b",), ("_delta_log",), ("day=2026-01-01",), "ab"])
def test_a_key_that_is_no_plain_name_is_refused(lake: Lake, table: tuple[str, ...]) -> None:
    with pytest.raises(LakeError, match="names no table"):
        lake.table_uri(table)


@pytest.mark.parametrize("root", ["/data/50%", "/data/*", "/data/[a]", "s3://bucket/what?"])
def test_a_root_that_readers_would_expand_is_refused(root: str) -> None:
    with pytest.raises(LakeError, match="Choose another folder"):
        Lake(root)


def test_a_file_uri_is_the_same_lake_as_its_path(tmp_path: Path) -> None:
    assert Lake(f"file://{tmp_path}").table_uri(TABLE) == Lake(str(tmp_path)).table_uri(TABLE)


def test_a_file_that_a_vacuum_took_before_it_was_staged_is_named(lake: Lake) -> None:
    path = lake.new_file(TABLE, MONDAY, 0, 1)
    with pytest.raises(LakeError, match=r"shard-00000-of-00001.* was removed before it was staged.*older-than-hours"):
        place(Storage(lake.root), TABLE, "", path, 1)


def test_the_newest_publications_are_the_first_of_each_history_and_days_without_one_are_left_out(lake: Lake) -> None:
    for day in (MONDAY, TUESDAY, MONDAY):
        publish(lake, day, impressions(3), of=str(day))
    newest = lake.newest_publications(TABLE, [MONDAY, TUESDAY, WEDNESDAY])
    assert newest == {day: lake.history(TABLE, day)[0] for day in (MONDAY, TUESDAY)}
    assert [len(lake.history(TABLE, day)) for day in (MONDAY, TUESDAY)] == [2, 1]
    assert lake.newest_publications(("simulated_ads", "unknown"), [MONDAY]) == {}
