"""Dagster's SQLite files: one engine a database, and all that is written is there."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import event
from sqlalchemy.engine import Engine

from ukdsl_assets.defs.event_store import keep_engines


@dg.asset(check_specs=[dg.AssetCheckSpec("one", asset="made"), dg.AssetCheckSpec("two", asset="made")])
def made() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name=name) for name in ("one", "two")]
    )


def test_a_run_uses_one_engine_a_database_and_stores_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_engines()
    makers = [sqlite_event_log.create_engine, sqlite_run_storage.create_engine]
    keep_engines()
    assert [sqlite_event_log.create_engine, sqlite_run_storage.create_engine] == makers
    used: dict[str, set[int]] = {}

    def note(connection: object, record: object, *_: object) -> None:
        engine = connection.engine  # type: ignore[attr-defined]
        used.setdefault(str(engine.url), set()).add(id(engine))

    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    event.listen(Engine, "before_cursor_execute", note)
    try:
        with dg.DagsterInstance.get() as instance:
            job = dg.Definitions(assets=[made], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
            done = [job.execute_in_process(instance=instance) for _ in range(2)]
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
