"""Dagster's SQLite files: one engine a database, which stays open, and all that is written is there."""

import os
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from ukdsl_assets.defs.event_store import keep_engines


@dg.asset(check_specs=[dg.AssetCheckSpec("one", asset="made"), dg.AssetCheckSpec("two", asset="made")])
def made() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name=name) for name in ("one", "two")]
    )


@dg.asset
def timed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Tells, for each of three messages, whether the run's file had a new time once it was written down."""
    file = Path(os.environ["DAGSTER_HOME"], "history", "runs", f"{context.run.run_id}.db")
    newer = []
    for _ in range(3):
        os.utime(file, (0, 0))
        context.log.info("a line")
        newer.append(file.stat().st_mtime > 0)
    return dg.MaterializeResult(metadata={"newer": newer})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keep_engines()
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def run_of(asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(assets=[asset], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    return job.execute_in_process(instance=instance)


def test_a_second_run_opens_no_database_but_its_own(home: Path) -> None:
    opened: list[str] = []

    def note(connection: object, record: object) -> None:
        opened.append(connection.execute("PRAGMA database_list").fetchone()[2])  # type: ignore[attr-defined]

    with dg.DagsterInstance.get() as instance:
        run_of(made, instance)
        event.listen(Pool, "connect", note)
        try:
            own = run_of(made, instance).run_id
        finally:
            event.remove(Pool, "connect", note)
    assert [Path(path).stem for path in opened] == [own, own]


def test_each_event_changes_the_time_of_its_runs_file_which_the_ui_watches(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        (shown,) = run_of(timed, instance).asset_materializations_for_node("timed")
    assert shown.metadata["newer"].value == [True, True, True]


def test_a_home_made_in_the_place_of_another_has_its_own_runs(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        first = run_of(made, instance).run_id
    (home / "history").rename(home / "before")
    with dg.DagsterInstance.get() as instance:
        second = run_of(made, instance).run_id
        assert [run.run_id for run in instance.get_runs()] == [second]
        assert len(instance.all_logs(second)) > 10
        key = dg.AssetCheckKey(dg.AssetKey("made"), "two")
        checks = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert [check.run_id for check in checks] == [second]
    (home / "history").rename(home / "after")
    (home / "before").rename(home / "history")
    with dg.DagsterInstance.get() as instance:
        assert [run.run_id for run in instance.get_runs()] == [first]
        assert len(instance.all_logs(first)) > 10


def test_a_run_uses_one_engine_a_database_and_stores_every_event(home: Path) -> None:
    makers = [sqlite_event_log.create_engine, sqlite_run_storage.create_engine]
    keep_engines()
    assert [sqlite_event_log.create_engine, sqlite_run_storage.create_engine] == makers
    used: dict[str, set[int]] = {}

    def note(connection: object, record: object, *_: object) -> None:
        engine = connection.engine  # type: ignore[attr-defined]
        used.setdefault(str(engine.url), set()).add(id(engine))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with dg.DagsterInstance.get() as instance:
            done = [run_of(made, instance) for _ in range(2)]
            stored = [len(instance.all_logs(each.run_id)) for each in done]
            checks = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey("made"), "two"), limit=5
            )
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert all(each.success for each in done)
    assert stored[0] == stored[1] > len(done[0].all_events) > 10
    assert {check.run_id for check in checks} == {each.run_id for each in done}
    of_events = {address: engines for address, engines in used.items() if address.endswith(("index.db", "runs.db"))}
    of_events |= {address: engines for address, engines in used.items() if any(each.run_id in address for each in done)}
    assert len(of_events) == 4
    assert {len(engines) for engines in of_events.values()} == {1}


def test_who_reads_a_run_because_of_its_files_new_time_is_not_woken_by_reading(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run = run_of(made, instance).run_id
        file = home / "history" / "runs" / f"{run}.db"
        os.utime(file, (0, 0))
        assert len(instance.all_logs(run)) > 10
        assert file.stat().st_mtime == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are read from /proc")
def test_databases_beyond_those_kept_open_are_closed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_event_log.create_engine.cache_clear()  # type: ignore[attr-defined]
    monkeypatch.setattr("ukdsl_assets.defs.event_store.MOST_OPEN", 3)
    with dg.DagsterInstance.get() as instance:
        runs = {run_of(made, instance).run_id for _ in range(8)}
        opened = {os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}
    assert len(runs & {Path(file).stem for file in opened}) <= 3
