"""The lake on a real S3 protocol: moto's server on loopback, reached by deltalake, polars and s3fs."""

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from polars.testing import assert_frame_equal

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake

pytestmark = pytest.mark.slow
DAY = dt.date(2026, 1, 1)
TABLE = ("simulated_ads", "impressions")


def test_a_partition_is_swapped_read_by_version_and_vacuumed_in_a_bucket(bucket: str) -> None:
    lake = Lake(f"{bucket}/{uuid4().hex}", shards=2)
    first = pl.DataFrame({"request_id": range(20), "value": [1.0] * 20})
    second = first.with_columns(value=2.0).head(10)
    old = lake.commit(lake.stage_frame(TABLE, DAY, first), {"run": "one"})
    new = lake.commit(lake.stage_frame(TABLE, DAY, second), {"run": "two"})

    assert_frame_equal(lake.scan(TABLE, [DAY]).drop("day").sort("request_id").collect(), second)
    assert_frame_equal(lake.scan(TABLE, [DAY], old.version).drop("day").sort("request_id").collect(), first)
    assert [entry.metadata["run"] for entry in lake.history(TABLE, DAY)] == ["two", "one"]
    assert lake.partition(TABLE, DAY) == new
    assert all(file.startswith(f"{bucket}/") for file in new.files)

    [kept, _] = new.files
    content = lake._storage.read(lake._storage.path(kept.removeprefix(f"{lake.root}/"))) or b""
    lake._storage.write(lake._storage.path(kept.removeprefix(f"{lake.root}/")), content[:-9] + b"x" + content[-8:])
    with pytest.raises(LakeError, match="damaged or replaced"):
        lake.scan(TABLE, [DAY])
    lake._storage.write(lake._storage.path(kept.removeprefix(f"{lake.root}/")), content)

    staged = lake.stage_frame(TABLE, DAY, first)
    lake.discard(staged)
    with pytest.raises(LakeError, match="discarded"):
        lake.commit(staged, {})
    assert lake.sweep(older_than_hours=0) == {f"{lake.root}/{'/'.join(TABLE)}": 2}
    assert lake.scan(TABLE, [DAY]).collect().height == 10


def test_concurrent_first_writers_of_one_day_leave_the_rows_of_one(bucket: str) -> None:
    lake = Lake(f"{bucket}/{uuid4().hex}")
    staged = [lake.stage_frame(TABLE, DAY, pl.DataFrame({"writer": [writer] * 5})) for writer in range(4)]
    with ThreadPoolExecutor(4) as pool:
        published = list(pool.map(lambda one: lake.commit(one, {}), staged))
    last = max(range(4), key=lambda writer: published[writer].version)
    assert len({one.version for one in published}) == 4
    assert lake.scan(TABLE, [DAY]).collect()["writer"].to_list() == [last] * 5


def test_checkpoints_and_releases_live_in_a_bucket(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _checkpoint_round_trip(CheckpointStore(f"{bucket}/{uuid4().hex}"), monkeypatch)


def test_checkpoints_and_releases_live_in_any_fsspec_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryFileSystem.store.clear()
    _checkpoint_round_trip(CheckpointStore("memory://models"), monkeypatch)


def _checkpoint_round_trip(store: CheckpointStore, patch: pytest.MonkeyPatch) -> None:
    key = ("simulated_ads", "pre_ranking_click", "distilled")
    saved = store.save(key, DAY, {"rows": 3}, {"w": np.arange(3, dtype=np.float32)})
    assert store.days(key) == []
    store.publish(saved)
    assert store.days(key) == [DAY]
    assert store.load(key, DAY).version == saved.version
    assert store.released(key) is None
    entry = {"day": str(DAY), "checkpoint": saved.version}
    store.release(key, entry)
    store.release(key, {"day": "2025-12-31", "checkpoint": "older"})
    store.refuse(key, {"checkpoint": "worse"})
    assert store.released(key) == entry
    assert [entry["outcome"] for entry in store.release_history(key)] == ["released", "released", "refused"]
    abandoned = store.save(key, DAY, {"rows": 4}, {"w": np.arange(4, dtype=np.float32)})
    assert store.sweep() == {}
    assert store.sweep(older_than_hours=0) == {}, "its run may yet publish it"
    time.sleep(1.01)  # S3 tells whole seconds
    patch.setattr("ukdsl_assets.lake.checkpoints.store.SPARED_HOURS", 0)
    assert store.sweep(older_than_hours=0) == {"/".join(key): 1}
    assert store.load(key, DAY).version == saved.version
    with pytest.raises(LakeError, match=f"no version {abandoned.version}"):
        store.load(key, DAY, abandoned.version)
