"""The sensor asks for stale days again: each once for what it would be made of, and no more than a few a tick."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.fixtures.logs import make_logs
from tests.fixtures.published_logs import publish_logs
from tests.fixtures.shop import DAY, declare, write
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

NIGHT = datetime(2026, 3, 2, 5, tzinfo=UTC)
# Of a tick: the days that are asked for.
Tick = Callable[[dg.DagsterInstance], list[str | None]]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return declare(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(Settings(lake=str(tmp_path / "lake"), threads=1))


@pytest.fixture
def repository(workspace: Workspace, cascade: Cascade) -> dg.RepositoryDefinition:
    return build_defs(workspace.settings, {"shop": cascade}).get_repository_def()


@pytest.fixture
def tick(repository: dg.RepositoryDefinition) -> Tick:
    """A tick of the sensor, which goes on where the one before has ended."""
    sensor, cursors = repository.get_sensor_def("shop_late_data"), [""]

    def ticked(instance: dg.DagsterInstance) -> list[str | None]:
        context = dg.build_sensor_context(instance, cursor=cursors[-1], repository_def=repository)
        done = sensor.evaluate_tick(context)
        cursors.append(done.cursor or "")
        assert {request.job_name for request in done.run_requests or []} <= {"shop_daily", None}
        return [request.partition_key for request in done.run_requests or []]

    return ticked


def test_a_late_file_is_asked_for_once_and_not_while_its_day_is_made(
    tmp_path: Path, cascade: Cascade, workspace: Workspace, repository: dg.RepositoryDefinition, tick: Tick
) -> None:
    logs = make_logs(cascade, DAY, requests=20)
    write(tmp_path, DAY, logs)
    publish_logs(workspace, cascade, logs, NIGHT)
    events = tmp_path / "event_log" / f"day={DAY}" / "part-0.parquet"
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(instance) == []
        os.utime(events, (1, 1))
        run = instance.create_run_for_job(
            repository.get_job("shop_daily"),
            tags={"dagster/partition": str(DAY)},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert tick(instance) == []
        instance.report_run_failed(run)
        assert tick(instance) == [str(DAY)]
        # A run that fails leaves the day as it is, and would fail again.
        assert tick(instance) == []
        os.utime(events, (2, 2))
        assert tick(instance) == [str(DAY)]
        publish_logs(workspace, cascade, logs, NIGHT)
        assert tick(instance) == []


def test_no_more_than_three_days_are_asked_for_in_a_tick(
    tmp_path: Path, cascade: Cascade, workspace: Workspace, tick: Tick
) -> None:
    days: list[date] = [DAY + timedelta(days=each) for each in range(5)]
    for day in days:
        logs = make_logs(cascade, day, requests=4)
        write(tmp_path, day, logs)
        publish_logs(workspace, cascade, logs, NIGHT, day)
        os.utime(tmp_path / "candidate_log" / f"day={day}" / "part-0.parquet", (1, 1))
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(instance) == [str(day) for day in days[:3]]
        assert tick(instance) == [str(day) for day in days[3:]]
        assert tick(instance) == []
