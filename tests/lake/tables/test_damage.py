"""What was published and is not there any more as it was: files, records and commits are refused by name."""

import datetime as dt
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables import verified
from ukdsl_assets.lake.tables.lake import Lake

MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
TABLE = ("simulated_ads", "impressions")
ROWS = 500


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), shards=2)


def publish(lake: Lake, day: dt.date, value: float) -> int:
    frame = pl.DataFrame(
        {
            "request_id": range(ROWS),
            "value": np.random.default_rng(0).random(ROWS).astype(np.float32) + np.float32(value),
        }
    )
    return lake.commit(lake.stage_frame(TABLE, day, frame), {"value": str(value)}).version


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[random.Random(1).randrange(len(content))] ^= 4
    file.write_bytes(content)


def replace_by_another_days(file: Path) -> None:
    pl.DataFrame({"request_id": [1], "value": [1.0]}, {"request_id": pl.Int64, "value": pl.Float32}).write_parquet(file)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def make_a_folder_of_it(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES = pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (flip_a_bit, "hashes to"),
        (replace_by_another_days, "hashes to"),
        (cut, "hashes to"),
        (Path.unlink, "is gone"),
        (make_a_folder_of_it, "is gone"),
    ],
)


@DAMAGES
def test_a_file_that_is_not_what_was_published_is_not_read(
    lake: Lake, damage: Callable[[Path], None], seen: str
) -> None:
    publish(lake, MONDAY, 0)
    publish(lake, TUESDAY, 0)
    published = lake.partition(TABLE, MONDAY)
    assert published is not None
    lake.scan(TABLE, [MONDAY]).collect()  # as it was seen before tells nothing of what it is now
    damage(file := Path(published.files[1]))
    for read in (
        lambda: lake.scan(TABLE, [TUESDAY, MONDAY]),
        lambda: lake.scan_shards(TABLE, [MONDAY]),
        lambda: lake.live_files(TABLE, [MONDAY]),
        lambda: lake.columns(TABLE, MONDAY),
        lambda: lake.verify(published),
    ):
        with pytest.raises(LakeError, match=rf"impressions, day 2026-01-05: .*{file.name} {seen}.*--days 2026-01-05"):
            read()
    assert lake.scan(TABLE, [TUESDAY]).collect().height == ROWS
    publish(lake, MONDAY, 1)
    assert lake.scan(TABLE, [MONDAY]).collect().height == ROWS


def test_every_flipped_bit_is_seen(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    file = Path(lake.live_files(TABLE, [MONDAY])[0])
    good = file.read_bytes()
    for position in random.Random(0).sample(range(len(good)), 50):
        content = bytearray(good)
        content[position] ^= 1 << position % 8
        file.write_bytes(content)
        with pytest.raises(LakeError, match="damaged or replaced"):
            lake.scan(TABLE, [MONDAY])
    file.write_bytes(good)
    assert lake.scan(TABLE, [MONDAY]).collect().height == ROWS


def test_a_file_is_hashed_once_in_a_process(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lake, MONDAY, 0)
    hashed: list[str] = []
    own = verified._wrong

    def counted(storage: Storage, path: str, expected: str) -> str | None:
        hashed.append(path)
        return own(storage, path, expected)

    monkeypatch.setattr(verified, "_wrong", counted)
    for _ in range(3):
        files = lake.live_files(TABLE, [MONDAY])
        lake.scan(TABLE, [MONDAY])
    assert sorted(hashed) == files
    os.utime(files[0])  # it may have been written to
    lake.scan_shards(TABLE, [MONDAY])
    assert hashed[2:] == files[:1]


def test_a_file_of_another_writer_is_refused(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    DeltaTable(lake.table_uri(TABLE)).optimize.compact()
    with pytest.raises(LakeError, match="was not published by this lake: its name holds no digest"):
        lake.scan(TABLE, [MONDAY])


def commits(lake: Lake) -> list[Path]:
    return sorted(Path(lake.table_uri(TABLE), "_delta_log").glob("*.json"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_log_that_has_lost_its_newest_commit_is_not_read_as_the_one_before(
    lake: Lake, damage: Callable[[Path], None]
) -> None:
    publish(lake, TUESDAY, 0)
    first = publish(lake, MONDAY, 0)
    newest = publish(lake, MONDAY, 1)
    damage(commits(lake)[-1])
    for read in (
        lambda: lake.scan(TABLE, [MONDAY]),
        lambda: lake.publication(TABLE, MONDAY),
        lambda: lake.vacuum(TABLE),
    ):
        with pytest.raises(LakeError, match=f"impressions, day 2026-01-05.* has lost {newest:020d}.json.*make the day"):
            read()
    assert lake.scan(TABLE, [TUESDAY]).collect().height == lake.scan(TABLE, [MONDAY], first).collect().height == ROWS
    publish(lake, MONDAY, 2)
    assert lake.scan(TABLE, [MONDAY]).filter(pl.col("value") < 2).collect().is_empty()
    assert lake.publication(TABLE, MONDAY).metadata == {"value": "2"}
    lake.vacuum(TABLE, 0)
    assert lake.scan(TABLE, [MONDAY]).collect().height == ROWS


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_day_whose_only_commit_is_lost_is_refused_and_its_files_stay(
    lake: Lake, damage: Callable[[Path], None]
) -> None:
    publish(lake, MONDAY, 0)
    lost = publish(lake, TUESDAY, 0)
    files = lake.live_files(TABLE, [TUESDAY])
    damage(commits(lake)[-1])
    for read in (
        lambda: lake.scan(TABLE, [MONDAY, TUESDAY]),
        lambda: lake.partition(TABLE, TUESDAY),
        lambda: lake.publication(TABLE, TUESDAY),
        lambda: lake.refuse_lost(TABLE),
        lambda: lake.vacuum(TABLE, 0),
    ):
        with pytest.raises(
            LakeError, match=f"impressions, day 2026-01-06: nothing is live .*has lost {lost:020d}.json"
        ):
            read()
    assert all(Path(file).exists() for file in files)
    publish(lake, MONDAY, 1)  # another commit takes the lost one's number
    with pytest.raises(LakeError, match="impressions, day 2026-01-06: nothing is live"):
        lake.vacuum(TABLE, 0)
    publish(lake, TUESDAY, 2)
    lake.vacuum(TABLE, 0)
    assert lake.scan(TABLE, [TUESDAY]).filter(pl.col("value") < 2).collect().is_empty()


def test_a_table_whose_log_is_gone_is_made_again_day_by_day(lake: Lake) -> None:
    for value in range(3):
        publish(lake, MONDAY, value)
    for commit in commits(lake):
        commit.unlink()
    with pytest.raises(LakeError, match="no day 2026-01-06"):
        lake.scan(TABLE, [TUESDAY])
    with pytest.raises(LakeError, match=r"day 2026-01-05: nothing is live .*make the day again"):
        lake.scan(TABLE, [MONDAY])
    publish(lake, MONDAY, 5)
    assert lake.scan(TABLE, [MONDAY]).filter(pl.col("value") < 5).collect().is_empty()
    assert lake.publication(TABLE, MONDAY).metadata == {"value": "5"}


def test_a_damaged_record_is_refused_by_its_path(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    [record] = Path(lake.table_uri(TABLE), "_publications/day=2026-01-05").iterdir()
    record.write_bytes(record.read_bytes().replace(b'"0"', b'"7"'))
    wrong = f"{record.name} is damaged.*ukdsl run simulated_ads --days 2026-01-05"
    with pytest.raises(LakeError, match=wrong):
        lake.publication(TABLE, MONDAY)
    with pytest.raises(LakeError, match=wrong):
        lake.history(TABLE, MONDAY)
    publish(lake, MONDAY, 1)
    assert lake.publication(TABLE, MONDAY).metadata == {"value": "1"}


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize(
    ("number", "damage"), [(0, Path.unlink), (2, Path.unlink), (2, cut_in_half), (-1, cut_in_half)]
)
def test_a_damaged_commit_is_named(lake: Lake, number: int, damage: Callable[[Path], None]) -> None:
    for value in range(3):
        publish(lake, MONDAY, value)
    publish(lake, TUESDAY, 0)
    commit = commits(lake)[number]
    damage(commit)
    wrong = f"impressions: .*{commit.name} is (missing|damaged).*Put it back.*--days 2026-01-05..2026-01-06"
    for do in (
        lambda: lake.scan(TABLE, [MONDAY]),
        lambda: lake.partition(TABLE, MONDAY),
        lambda: lake.history(TABLE, MONDAY),
        lambda: lake.vacuum(TABLE),
        lambda: publish(lake, MONDAY, 4),
    ):
        with pytest.raises(LakeError, match=wrong):
            do()


def test_a_damaged_checkpoint_of_the_log_is_named(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    lake.vacuum(TABLE)
    [checkpoint] = Path(lake.table_uri(TABLE), "_delta_log").glob("*.checkpoint.parquet")
    cut_in_half(checkpoint)
    with pytest.raises(LakeError, match=f"{checkpoint.name} is no whole Parquet file.*Put it back"):
        lake.scan(TABLE, [MONDAY])


def test_a_file_that_the_log_gives_to_another_day_is_refused(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    commit = commits(lake)[-1]
    said = commit.read_text()
    damaged = said.replace('"partitionValues":{"day":"2026-01-05"}', '"partitionValues":{"day":"2026-01-07"}')
    assert damaged != said
    commit.write_text(damaged)
    with pytest.raises(LakeError, match=r"says that day=2026-01-05/shard-.* is of day 2026-01-07.*damaged"):
        lake.scan(TABLE, [dt.date(2026, 1, 7)])


@pytest.mark.parametrize("content", [b"", b"null", b"[]"])
def test_a_first_commit_that_says_nothing_is_named(lake: Lake, content: bytes) -> None:
    publish(lake, MONDAY, 0)
    commits(lake)[0].write_bytes(content)
    Path(lake.table_uri(TABLE), "_delta_log", "copy.checkpoint.parquet").write_bytes(b"")  # of nobody's
    with pytest.raises(LakeError, match=f"{0:020d}.json is damaged .it holds .*expected a JSON object a line"):
        lake.scan(TABLE, [MONDAY])


def test_a_damaged_pointer_to_the_checkpoint_of_the_log_is_written_anew(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    pointer = Path(lake.table_uri(TABLE), "_delta_log", "_last_checkpoint")
    pointer.write_bytes(b"\xff\xfe")
    lake.vacuum(TABLE)
    assert b'"version":1' in pointer.read_bytes()


def test_a_file_whose_name_delta_cannot_read_stops_a_vacuum_in_words(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    try:
        Path(os.fsdecode(os.fsencode(lake.table_uri(TABLE)) + b"/day=2026-01-05/\xff.parquet")).touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    with pytest.raises(LakeError, match=r"Delta cannot list the files.*name is not UTF-8"):
        lake.vacuum(TABLE, 0)


def test_a_version_that_is_not_there_is_told(lake: Lake) -> None:
    publish(lake, MONDAY, 0)
    with pytest.raises(LakeError, match=r"impressions, version 99: .*cannot be read.*`history` lists"):
        lake.scan(TABLE, [MONDAY], version=99)
