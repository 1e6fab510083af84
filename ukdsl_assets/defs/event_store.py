"""Dagster's SQLite files are written with statements that are compiled once, not once a row.

Dagster 1.13 makes an SQLAlchemy engine for every statement, and with it throws away what the last one had compiled:
half of the CPU seconds of a run of 279 events, 80 of them checks.
"""

from functools import lru_cache
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage

# Databases whose engine is kept: one a run, and those of all runs.
MOST_ENGINES = 64


def keep_engines() -> None:
    """In this process a database has one engine; connections are opened and closed as before.

    Doing it twice is doing it once.
    """
    storages: list[Any] = [sqlite_event_log, sqlite_run_storage]
    for storage in storages:
        if not hasattr(storage.create_engine, "cache_clear"):
            storage.create_engine = _kept(storage.create_engine)


def _kept(create: Any) -> Any:
    @lru_cache(MOST_ENGINES)
    def made(address: str, pool: Any, asked: tuple[tuple[str, Any], ...]) -> Any:
        return create(address, poolclass=pool, connect_args=dict(asked))

    def engine(address: str, poolclass: Any, connect_args: dict[str, Any] | None = None) -> Any:
        return made(address, poolclass, tuple(sorted((connect_args or {}).items())))

    engine.cache_clear = made.cache_clear  # type: ignore[attr-defined]
    return engine
