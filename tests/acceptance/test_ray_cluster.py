"""A day on two nodes of a Ray cluster, with logs and lake in buckets, is the day of one process on a disk."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fixtures.graph import failures, run_day, versions
from tests.fixtures.log_files import write
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, declare
from ukdsl_assets.errors import EngineError
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes(tmp_path: Path, bucket: str) -> Iterator[list[Path]]:
    """Temporary folders of two nodes of a cluster that this process has joined; they share no file but the bucket's."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ukdsl-assets[ray]'")
    from ray.cluster_utils import Cluster

    cluster, folders = Cluster(), [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        cluster.add_node(num_cpus=1, env_vars={"TMPDIR": str(folder)})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield folders
    ray.shutdown()
    cluster.shutdown()


def test_a_day_of_two_nodes_is_the_day_of_one_process(tmp_path: Path, bucket: str, nodes: list[Path]) -> None:
    # Workers read the logs themselves, which a folder of this machine would keep them from.
    logs = f"{bucket}/{uuid4().hex}"
    cascade = declare(tmp_path, source={"kind": "parquet", "path": logs})
    for log, rows in make_logs(cascade, DAY, requests=60)._asdict().items():
        for part in range(2):
            write(rows.gather_every(2, part), f"{logs}/{log}/day={DAY}/part-{part}.parquet")
    disk = Settings(lake=str(tmp_path / "lake"), threads=2, shards=4)
    store = Settings(lake=f"{bucket}/{uuid4().hex}", threads=2, shards=4, engine="auto")
    for settings in (disk, store):
        assert failures(run_day(settings, cascade, DAY, report=False)) == {}
    assert versions(Lake(store.tables), cascade, DAY) == versions(Lake(disk.tables), cascade, DAY)
    key = ("shop", "pre_ranking_click", "distilled")
    one, other = (CheckpointStore(settings.checkpoints).load(key, DAY).version for settings in (disk, store))
    assert one == other
    # What was uploaded is nowhere else, and what waited between the passes of a step is gone.
    assert not [file for node in nodes for kind in ("*.parquet", "*_log-*") for file in node.rglob(kind)]
    assert not Storage(store.lake).find("scratch")


def test_a_lake_on_this_machine_is_refused_beside_workers_on_others(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ukdsl-assets[ray]'")
    cascade = declare(tmp_path)
    settings = Settings(lake=str(tmp_path / "lake"), engine="auto")
    with pytest.raises(EngineError, match=r"is a folder of this one\. Put the lake where every node reaches it"):
        run_day(settings, cascade, DAY, report=False)
