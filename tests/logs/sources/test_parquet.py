"""A user's Parquet logs come back in the contract's shape, and what is wrong with them is named by file."""

import os
import uuid
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import known_implementations
from polars.testing import assert_frame_equal

from tests.fixtures.log_files import DAY, declared, write, write_day
from tests.fixtures.logs import make_logs
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import ContractError, SourceError
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.sources import parquet
from ukdsl_assets.logs.sources.parquet import ParquetReader

RENAMES = {"request_id": "auction", "price": "list_price", "occurred_at": "ts"}


@pytest.mark.parametrize("scheme", ["plain", "file", "memory"])
def test_a_day_comes_back_sorted_from_any_file_system(shop: Cascade, tmp_path: Path, scheme: str) -> None:
    roots = {"plain": str(tmp_path), "file": f"file://{tmp_path}", "memory": f"memory://{uuid.uuid4()}"}
    root = roots[scheme]
    logs = make_logs(shop, DAY)
    write_day(logs, root)
    write_day(make_logs(shop, date(2026, 1, 4)), root, date(2026, 1, 4))
    read = ParquetReader(declared(shop, root)).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)
    assert_frame_equal(read.event_log, logs.event_log)


def test_renamed_extra_and_reordered_columns_are_read_by_the_declared_names(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    theirs = [
        frame.rename(RENAMES, strict=False).select(pl.lit(DAY).alias("day"), pl.all().reverse().reverse())
        for frame in logs
    ]
    write_day(DayOfLogs(*theirs), str(tmp_path))
    read = ParquetReader(declared(shop, str(tmp_path), RENAMES)).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)
    assert_frame_equal(read.event_log, logs.event_log)


def test_two_columns_may_swap_names(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    swap = {"income": "price", "price": "income"}
    write_day(DayOfLogs(logs.candidate_log.rename(swap), logs.event_log), str(tmp_path))
    read = ParquetReader(declared(shop, str(tmp_path), swap)).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)


def test_a_missing_folder_and_a_missing_day_tell_what_is_there(shop: Cascade, tmp_path: Path) -> None:
    source = ParquetReader(declared(shop, str(tmp_path)))
    with pytest.raises(SourceError, match="candidate_log: no such folder"):
        source.read(DAY)
    for day in (1, 8, 9, 20):
        write_day(make_logs(shop, date(2026, 1, day)), str(tmp_path), date(2026, 1, day))
    (tmp_path / "candidate_log" / "day=draft").mkdir()
    with pytest.raises(
        SourceError, match=r"^no candidate log for 2026-01-07 at .*2026-01-07; .* 2026-01-01, 2026-01-08, 2026-01-09;"
    ):
        source.read(date(2026, 1, 7))


def test_a_day_folder_without_files_is_missing(shop: Cascade, tmp_path: Path) -> None:
    (tmp_path / "candidate_log" / f"day={DAY}").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"day=2026-01-03, which holds no \*\.parquet file"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)


def test_a_day_without_events_needs_an_empty_file(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    events = tmp_path / "event_log" / f"day={DAY}" / "part-0.parquet"
    events.unlink()
    source = ParquetReader(declared(shop, str(tmp_path)))
    with pytest.raises(SourceError, match="a day without events needs an empty file"):
        source.read(DAY)
    logs.event_log.clear().write_parquet(events)
    assert source.read(DAY).event_log.is_empty()


@pytest.mark.parametrize("kept_bytes", [0, 10, 2000])
def test_a_truncated_file_is_named(shop: Cascade, tmp_path: Path, kept_bytes: int) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    file = tmp_path / "candidate_log" / f"day={DAY}" / "part-1.parquet"
    file.write_bytes(file.read_bytes()[:kept_bytes])
    with pytest.raises(SourceError, match=r"day=2026-01-03/part-1\.parquet: not readable as Parquet"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)


def test_a_flipped_bit_is_seen_where_the_writer_left_checksums(shop: Cascade, tmp_path: Path) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    file = tmp_path / "candidate_log" / f"day={DAY}" / "part-1.parquet"
    table = pq.read_table(file)
    pq.write_table(table, file, compression="none", use_dictionary=False, write_page_checksum=True)
    prices = pq.read_metadata(file).row_group(0).column(table.column_names.index("price"))
    content = bytearray(file.read_bytes())
    content[prices.data_page_offset + prices.total_compressed_size - 1] ^= 1
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"part-1\.parquet: not readable as Parquet"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)


def test_a_missing_or_mistyped_column_is_named_with_its_file(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    source = ParquetReader(declared(shop, str(tmp_path)))
    write_day(DayOfLogs(logs.candidate_log.drop("price"), logs.event_log), str(tmp_path))
    with pytest.raises(ContractError, match=r"part-0\.parquet: column `price` \(Float32\) is missing"):
        source.read(DAY)
    write_day(DayOfLogs(logs.candidate_log.cast({"shown": pl.String}), logs.event_log), str(tmp_path))
    with pytest.raises(ContractError, match=r"part-0\.parquet: column `shown` is String, expected Boolean"):
        source.read(DAY)


def test_a_mapping_to_an_absent_or_of_an_unknown_column_is_told(shop: Cascade, tmp_path: Path) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    with pytest.raises(SourceError, match=r"column `cost`, which source\.columns gives for `price`, is missing"):
        ParquetReader(declared(shop, str(tmp_path), {"price": "cost"})).read(DAY)
    with pytest.raises(SourceError, match=r"unknown contract column.* prise, expected keys among"):
        ParquetReader(declared(shop, str(tmp_path), {"prise": "price"}))


def test_rows_are_located_in_every_file_that_holds_them(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    theirs = DayOfLogs(*(frame.rename(RENAMES, strict=False) for frame in logs))
    write_day(theirs, str(tmp_path))
    source = ParquetReader(declared(shop, str(tmp_path), RENAMES))
    folder = tmp_path / "candidate_log" / f"day={DAY}"
    both = theirs.candidate_log.head(1)
    write(pl.concat([pl.read_parquet(folder / "part-0.parquet"), both]), str(folder / "part-0.parquet"))
    write(pl.concat([pl.read_parquet(folder / "part-1.parquet"), both]), str(folder / "part-1.parquet"))
    keys = logs.candidate_log.select("request_id", "candidate_id")
    stranger = pl.DataFrame({"request_id": ["nobody"], "candidate_id": ["nothing"]})

    found = source.locate("candidate_log", DAY, pl.concat([keys, stranger]))

    expected: dict[tuple[str, str], list[str]] = {}
    for name in ("part-0.parquet", "part-1.parquet"):
        file = folder / name
        for key in pl.read_parquet(file).select("auction", "candidate_id").unique().rows():
            expected.setdefault(key, []).append(f"file://{file}")
    assert found == expected
    assert len(found[keys.row(0)]) == 2


def test_rows_with_null_keys_are_located(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    nameless = logs.event_log.head(1).with_columns(candidate_id=pl.lit(None, pl.String))
    write(nameless, f"{tmp_path}/event_log/day={DAY}/part-1.parquet")
    found = ParquetReader(declared(shop, str(tmp_path))).locate(
        "event_log", DAY, nameless.select("request_id", "candidate_id", "event")
    )
    assert [Path(file).name for files in found.values() for file in files] == ["part-1.parquet"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("nosuch://bucket/logs", "ValueError: Protocol not known: nosuch; check the protocol"),
        ("s3://bucket/logs", "NoCredentialsError: Unable to locate credentials; .*AWS_ACCESS_KEY_ID"),
        ("http://127.0.0.1:9/logs", "Cannot connect to host 127.0.0.1:9 .*and the network"),
    ],
)
def test_a_store_that_cannot_be_reached_is_named_with_the_fix(
    shop: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, seen: str
) -> None:
    if path.startswith(("s3", "http")):
        pytest.importorskip("s3fs" if path.startswith("s3") else "aiohttp")
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SourceError, match=f"^{path}: cannot be reached or read: .*{seen}"):
        ParquetReader(declared(shop, path)).read(DAY)


def test_a_store_without_its_client_tells_what_to_install(shop: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"class": "nowhere.FileSystem", "err": "Please install nowhere"}
    monkeypatch.setitem(known_implementations, "nowhere", missing)
    with pytest.raises(SourceError, match=r"^nowhere://logs: no client for this store is installed: Please install"):
        ParquetReader(declared(shop, "nowhere://logs")).read(DAY)


def rewritten(root: Path, column: str, values: pa.Array, log: str = "candidate_log") -> None:
    """Write another column into a log's file, or one more."""
    path = root / log / f"day={DAY}" / "part-0.parquet"
    table = pq.read_table(path)
    if column in table.column_names:
        table = table.drop_columns([column])
    pq.write_table(table.append_column(column, values), path)


UNREADABLE = {
    "offset": pa.array([0], pa.timestamp("us", "+05:30")),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "decimal": pa.array([Decimal(10**40)], pa.decimal256(50, 0)),
    "struct": pa.array([{"when": 0}], pa.struct([("when", pa.timestamp("us", "+05:30"))])),
    "naive": pa.array([0], pa.timestamp("ns")),
    "price.cents": pa.array([0], pa.timestamp("us", "+05:30")),
}


def test_columns_that_are_not_read_may_hold_anything(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    for name, value in UNREADABLE.items():
        rewritten(tmp_path, name, pa.concat_arrays([value] * 100))
    read = ParquetReader(declared(shop, str(tmp_path))).read(DAY)
    assert_frame_equal(read.candidate_log, logs.candidate_log)


@pytest.mark.parametrize("zone", ["+05:30", "-03:45", "Asia/Kathmandu"])
def test_times_at_any_offset_are_moments(shop: Cascade, tmp_path: Path, zone: str) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    moments = pq.read_table(tmp_path / "event_log" / f"day={DAY}" / "part-0.parquet")["occurred_at"]
    rewritten(tmp_path, "occurred_at", moments.cast(pa.timestamp("us", zone)), "event_log")
    assert_frame_equal(ParquetReader(declared(shop, str(tmp_path))).read(DAY).event_log, logs.event_log)


def test_a_column_may_serve_for_several_and_a_key_have_its_own_name_in_one_log(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    candidates = logs.candidate_log.with_columns(price="income")
    theirs = candidates.drop("price", "candidate_id").with_columns(item=candidates["candidate_id"])
    write_day(DayOfLogs(theirs, logs.event_log), str(tmp_path))
    columns = {"candidate_id": "item", "price": "income"}
    read = ParquetReader(declared(shop, str(tmp_path), columns)).read(DAY)
    assert_frame_equal(read.candidate_log, candidates)
    assert_frame_equal(read.event_log, logs.event_log)


def test_a_column_that_is_there_twice_is_refused(shop: Cascade, tmp_path: Path) -> None:
    write_day(make_logs(shop, DAY), str(tmp_path))
    path = tmp_path / "candidate_log" / f"day={DAY}" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("price", table["income"]), path)
    with pytest.raises(SourceError, match=r"part-0\.parquet: column `price` is there 2 times, expected it once"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)


def test_times_without_a_zone_are_in_the_one_that_the_source_declares(shop: Cascade, tmp_path: Path) -> None:
    logs = make_logs(shop, DAY)
    local = [
        frame.with_columns(pl.col(column).dt.convert_time_zone("Asia/Kolkata").dt.replace_time_zone(None))
        for frame, column in zip(logs, ("requested_at", "occurred_at"), strict=True)
    ]
    write_day(DayOfLogs(*local), str(tmp_path))
    with pytest.raises(ContractError, match="or declare that zone as `time_zone` under `source`"):
        ParquetReader(declared(shop, str(tmp_path))).read(DAY)
    for zone in ("Asia/Kolkata", "+05:30"):
        read = ParquetReader(declared(shop, str(tmp_path), time_zone=zone)).read(DAY)
        assert_frame_equal(read.candidate_log, logs.candidate_log)
        assert_frame_equal(read.event_log, logs.event_log)


def test_a_file_in_many_row_groups_comes_in_parts_of_one_size(
    shop: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = make_logs(shop, DAY)
    write_day(logs, str(tmp_path))
    folder = tmp_path / "candidate_log" / f"day={DAY}"
    (folder / "part-1.parquet").unlink()
    logs.candidate_log.write_parquet(folder / "part-0.parquet", row_group_size=70)
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 100)
    parts = list(ParquetReader(declared(shop, str(tmp_path))).read_in_parts(DAY))
    heights = [part.candidate_log.height for part in parts if not part.candidate_log.is_empty()]
    assert heights == [100, 100, 100, 100, 80]
    assert_frame_equal(pl.concat(part.candidate_log for part in parts), logs.candidate_log)


@pytest.mark.parametrize(("group", "parts"), [(4, 30), (16, 30), (24, 20), (7, 9), (1000, 1)])
def test_parts_of_a_file_are_its_slices_and_not_too_many(
    shop: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, parts: int
) -> None:
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 8)
    logs = make_logs(shop, DAY)
    for name, frame in logs._asdict().items():
        write(frame, f"{tmp_path}/{name}/day={DAY}/part-0.parquet")
    logs.candidate_log.write_parquet(tmp_path / "candidate_log" / f"day={DAY}" / "part-0.parquet", row_group_size=group)
    source = ParquetReader(declared(shop, str(tmp_path)))
    cut = source.parts("candidate_log", DAY)
    whole = [part for part in source.read_in_parts(DAY) if not part.candidate_log.is_empty()]
    assert len(cut) == parts
    for read, together in zip((each for part in cut for each in source.read_part(part)), whole, strict=True):
        assert_frame_equal(read.candidate_log, together.candidate_log)
        assert_frame_equal(read.event_log, together.event_log)


def test_a_file_of_a_store_and_one_that_cannot_be_cut_are_a_part_each(shop: Cascade, tmp_path: Path) -> None:
    root = f"memory://{uuid.uuid4()}"
    nothing = make_logs(shop, DAY).candidate_log.clear()
    for place in (root, str(tmp_path)):
        write(nothing, f"{place}/candidate_log/day={DAY}/part-0.parquet")
    (tmp_path / "candidate_log" / f"day={DAY}" / "part-1.parquet").write_bytes(b"PAR1 of which nothing is left")
    store, disk = (ParquetReader(declared(shop, place)) for place in (root, str(tmp_path)))
    assert (store.local, disk.local) == (False, True)
    [of_store] = store.parts("candidate_log", DAY)
    empty, broken = disk.parts("candidate_log", DAY)
    for source, part in ((store, of_store), (disk, empty)):
        [read] = source.read_part(part)
        assert read.candidate_log.equals(nothing)
    with pytest.raises(SourceError, match=r"part-1\.parquet: not readable as Parquet") as told:
        list(disk.read_part(broken))
    assert told.value.log == "candidate_log"
