"""The whole graph on a lake in a bucket."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.fixtures.graph import failures, run_day, versions
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, declare, write
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow


def test_a_day_on_an_object_store_is_the_day_on_a_disk(tmp_path: Path, bucket: str) -> None:
    cascade = declare(tmp_path)
    write(tmp_path, DAY, make_logs(cascade, DAY, requests=60))
    disk, store = Settings(lake=str(tmp_path / "lake"), threads=2), Settings(lake=f"{bucket}/{uuid4().hex}", threads=2)
    for settings in (disk, store):
        assert failures(run_day(settings, cascade, DAY, report=settings is store)) == {}
    assert versions(Lake(store.tables), cascade, DAY) == versions(Lake(disk.tables), cascade, DAY)
    key = ("shop", "pre_ranking_click", "distilled")
    one, other = (CheckpointStore(settings.checkpoints).load(key, DAY).version for settings in (disk, store))
    assert one == other
