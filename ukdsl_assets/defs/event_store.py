"""Dagster's SQLite files stay open, and are written with statements that are compiled once, not once a row.

Dagster 1.13 makes an SQLAlchemy engine and opens the file for every statement, and with it throws away what the last
one had compiled and read of the file: most of the CPU seconds of a run of 279 events, 80 of them checks.
"""

import os
from collections import OrderedDict
from contextlib import suppress
from threading import Lock
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

# Databases that are kept open: one a run, and those of all runs.
MOST_OPEN = 16


def keep_engines() -> None:
    """In this process a database has one engine, and connections that stay open.

    Doing it twice is doing it once.
    """
    storages: list[Any] = [sqlite_event_log, sqlite_run_storage]
    for storage in storages:
        if not hasattr(storage.create_engine, "cache_clear"):
            storage.create_engine = _kept(storage.create_engine)


def _kept(create: Any) -> Any:
    opened: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()  # engine and what closes it, the last used at the end
    lock = Lock()

    def engine(address: str, poolclass: Any, connect_args: dict[str, Any] | None = None) -> Any:
        of = (address, tuple(sorted((connect_args or {}).items())))
        with lock:
            if of not in opened:
                opened[of] = _opened(create, address, dict(of[1]))
            opened.move_to_end(of)
            while len(opened) > MOST_OPEN:
                _, (_, close) = opened.popitem(last=False)
                close()  # a connection that is in use is closed after it
            return opened[of][0]

    def clear() -> None:
        with lock:
            for _, close in opened.values():
                close()
            opened.clear()

    engine.cache_clear = clear  # type: ignore[attr-defined]
    return engine


def _opened(create: Any, address: str, asked: dict[str, Any]) -> tuple[Any, Any]:
    """An engine and what closes its connections."""
    # Two stay open, since Dagster looks for a table inside a transaction; more at a time are closed after use.
    engine = create(address, poolclass=QueuePool, pool_size=2, max_overflow=-1, connect_args=asked)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "checkout", _refuse_other_file)
    event.listen(engine, "checkin", _tell_watchers)
    close = engine.dispose
    engine.dispose = lambda close=True: None  # which Dagster does after every statement
    return engine, close


def _set_up(connection: Any, record: Any) -> None:
    # Whole after a power cut, which may take the events of the last seconds: the lake's own commits are on the disk.
    connection.execute("PRAGMA synchronous=NORMAL")
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    record.info["path"], record.info["file"] = path, _number_of(path)


def _refuse_other_file(connection: Any, record: Any, proxy: Any) -> None:
    """A home that was moved away, and another that was made in its place, are not the file that is open."""
    if _number_of(record.info["path"]) != record.info["file"]:
        raise DisconnectionError(f"{record.info['path']} is another file than the one that was opened")


def _tell_watchers(connection: Any, record: Any) -> None:
    """The UI looks at a run once its file has a new time, and what is written waits in a file beside it.

    Not after a read: who looks because of a new time would wake up by looking.
    """
    if connection is None or connection.total_changes == record.info.get("changes", 0):
        return
    record.info["changes"] = connection.total_changes
    with suppress(OSError):
        os.utime(record.info["path"])


def _number_of(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None
