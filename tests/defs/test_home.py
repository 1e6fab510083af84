"""DAGSTER_HOME: first openings side by side, runs whose process is gone."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ukdsl_assets.defs.home import (
    MACHINE,
    PROCESS,
    STARTED,
    HomeError,
    dead_runs_sensor,
    fail_dead_runs,
    fail_own_runs,
    instance,
    process_tags,
)
from ukdsl_assets.settings import PROJECT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="tells processes apart by /proc, as the code does first"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    shutil.copyfile(PROJECT / "dagster.yaml", tmp_path / "home" / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def opened() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def gone() -> str:
    """Number of a process that has ended."""
    with subprocess.Popen(["true"]) as ended:
        pass
    return str(ended.pid)


def under_way(opened: dg.DagsterInstance, tags: dict[str, str], status: str = "STARTED") -> str:
    @dg.job
    def nothing() -> None: ...

    return opened.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus[status]).run_id


def statuses(opened: dg.DagsterInstance) -> dict[str, str]:
    return {run.run_id: run.status.value for run in opened.get_runs()}


def open_at_once(ready: Any, said: Any) -> None:
    ready.wait()
    try:
        with instance():
            said.put("opened")
    except Exception as error:
        said.put(str(error))


@pytest.mark.slow
def test_first_processes_side_by_side_open_a_new_home(home: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ready, said = fork.Barrier(2), fork.Queue()
    processes = [fork.Process(target=open_at_once, args=(ready, said)) for _ in range(2)]
    for each in processes:
        each.start()
    assert [said.get(timeout=60) for _ in processes] == ["opened"] * 2
    for each in processes:
        each.join()
    with instance() as afterwards:
        assert afterwards.get_runs() == []


def test_databases_that_are_not_whole_are_told_with_a_way_out(home: Path) -> None:
    (home / "history").mkdir()
    (home / "history" / "runs.db").write_text("cut")
    with pytest.raises(HomeError, match=r"(?s)not a database.*move its folders `history` and `schedules` away"):
        instance().__enter__()


def test_a_home_that_cannot_be_opened_is_told_with_the_reason(home: Path) -> None:
    (home / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: 'postgresql://a:hunter2@b/c', no_such: 1}}\n"
    )
    with pytest.raises(HomeError, match="no_such") as raised, instance():
        pass
    assert "move its folders" not in str(raised.value)
    assert str(home) in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_a_run_whose_process_is_gone_is_failed(opened: dg.DagsterInstance, status: str) -> None:
    run = under_way(opened, process_tags() | {PROCESS: gone()}, status)
    assert fail_dead_runs(opened) == [run]
    assert statuses(opened) == {run: "FAILURE"}
    assert fail_dead_runs(opened) == []


def test_a_run_whose_number_another_process_has_by_now_is_failed(opened: dg.DagsterInstance) -> None:
    run = under_way(opened, process_tags() | {STARTED: "an earlier boot 17"})
    assert fail_dead_runs(opened) == [run]


def test_runs_that_may_live_are_left_alone(opened: dg.DagsterInstance) -> None:
    runs = [
        under_way(opened, process_tags()),
        under_way(opened, {}),
        under_way(opened, process_tags() | {PROCESS: gone(), MACHINE: "another machine"}),
        under_way(opened, process_tags() | {STARTED: "unknown"}),
    ]
    assert fail_dead_runs(opened) == []
    assert statuses(opened) == dict.fromkeys(runs, "STARTED")


def test_a_process_that_ended_but_was_not_asked_how_is_gone(opened: dg.DagsterInstance) -> None:
    child = subprocess.Popen(["true"])
    # Waits for its end, and leaves it to be asked.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    run = under_way(opened, process_tags() | {PROCESS: str(child.pid)})
    assert fail_dead_runs(opened) == [run]
    child.wait()


def test_runs_of_this_process_can_be_ended(opened: dg.DagsterInstance) -> None:
    mine, other = under_way(opened, process_tags(), "NOT_STARTED"), under_way(opened, {})
    fail_own_runs(opened, "stopped")
    assert statuses(opened) == {mine: "FAILURE", other: "STARTED"}


def test_the_daemon_fails_dead_runs_too(opened: dg.DagsterInstance) -> None:
    sensor = dead_runs_sensor()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    run = under_way(opened, process_tags() | {PROCESS: gone()})
    told = sensor.evaluate_tick(dg.build_sensor_context(opened)).skip_message or ""
    assert run in told
    assert statuses(opened) == {run: "FAILURE"}


@pytest.mark.parametrize("told", ["", "relative/home"])
def test_a_home_that_is_no_absolute_path_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", told)
    with pytest.raises(HomeError, match=f"DAGSTER_HOME={told} is no absolute path"), instance():
        pass
    assert list(tmp_path.iterdir()) == []
