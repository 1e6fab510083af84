"""What stands around the shards of a step."""

from pathlib import Path

import pytest

from tests.fixtures.graph import shipped
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.shards import threads_of_a_shard
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings


@pytest.mark.parametrize(("engine", "threads"), [("local", 6), ("processes:2", 1)])
def test_workers_side_by_side_have_one_thread_each(tmp_path: Path, engine: str, threads: int) -> None:
    cascade = shipped("simulated_ads")
    workspace = Workspace.open(Settings(lake=str(tmp_path), threads=6, engine=engine))
    assert threads_of_a_shard(Day(workspace, cascade, cascade.first_day)) == threads
