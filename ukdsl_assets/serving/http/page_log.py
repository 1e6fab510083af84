"""Logs of what was served, written beside the requests: a bounded queue, and a thread that makes files of it.

<folder>/<cascade>/candidate_log/day=YYYY-MM-DD/part-<time>-<id>.parquet, and event_log likewise

A file is whole or absent. A request waits for none of it: what finds the queue full is not logged, and counted.
"""

import io
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.errors import in_own_words
from ukdsl_assets.lake.storage import Storage, folder_of
from ukdsl_assets.serving.http.log_rows import LoggedEvent, LoggedPage, candidate_table, event_table
from ukdsl_assets.serving.http.metrics import Metrics

if TYPE_CHECKING:
    import pyarrow as pa

Log = Literal["candidate_log", "event_log"]
# Entries that wait for the thread.
QUEUED = 20_000
# Entries that are kept for another try where files cannot be written, such as on a full disk.
KEPT = 200_000

_log = logging.getLogger(__name__)


@dataclass
class PageLog:
    """Files of logs below a folder, one every `seconds` or `entries` of each cascade, log and day.

    Attributes:
        folder: local, or a URI of a store.
        cascades: by name, of those that are served.
        metrics: that count what is written and what is not.
        seconds: after which what has come in is written.
        entries: pages and events after which it is written earlier.
        failures: files that could not be written so far.
    """

    folder: str
    cascades: Mapping[str, Cascade]
    metrics: Metrics
    seconds: float = 10.0
    entries: int = 20_000
    failures: int = field(default=0, init=False)
    _queue: "queue.Queue[LoggedPage | LoggedEvent | None]" = field(
        default_factory=lambda: queue.Queue(QUEUED), init=False
    )
    _held: dict[tuple[str, Log, date], list[LoggedPage | LoggedEvent]] = field(
        default_factory=lambda: defaultdict(list), init=False
    )
    _with_events: set[tuple[str, date]] = field(default_factory=set, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begins to write, in a thread of its own."""
        self._thread = threading.Thread(target=self._keep_writing, name="write logs", daemon=True)
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Writes all that has come in, and ends the thread; may be called twice.

        Args:
            seconds: after which a store that does not answer is waited for no longer; None waits for ever.
        """
        if self._thread is None or not self._thread.is_alive():
            return
        with suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.warning("%s: not all of the logs is written, after %g seconds; the rest is lost", self.folder, seconds)

    def put(self, entry: LoggedPage | LoggedEvent) -> bool:
        """Hands an entry over; False, and counted, where the queue is full. Never waits."""
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self.metrics.log_dropped.labels(_log_of(entry), "queue full").inc()
            return False
        return True

    def _keep_writing(self) -> None:
        going, due, held = True, time.monotonic() + self.seconds, 0
        while going:
            try:
                entry = self._queue.get(timeout=max(due - time.monotonic(), 0.01))
            except queue.Empty:
                pass
            else:
                going = entry is not None
                if entry is not None:
                    self._held[(entry.cascade, _log_of(entry), entry.day)].append(entry)
                    held += 1
            if not going or held >= self.entries or time.monotonic() >= due:
                self._write_all()
                due, held = time.monotonic() + self.seconds, 0

    def _write_all(self) -> None:
        """A file of each cascade, log and day; what cannot be written is kept for the next time."""
        for key in list(self._held):
            entries = self._held.pop(key)
            try:
                self._write(*key, entries)
            except Exception as error:
                self.failures += 1
                _log.warning("%s of %s, day %s: not written: %s", key[1], key[0], key[2], in_own_words(error))
                self._held[key] = entries[:KEPT]
                if len(entries) > KEPT:
                    self.metrics.log_dropped.labels(key[1], "not written").inc(len(entries) - KEPT)

    def _write(self, cascade: str, log: Log, day: date, entries: list[LoggedPage | LoggedEvent]) -> None:
        import pyarrow.parquet as pq

        declared = self.cascades[cascade]
        if log == "candidate_log" and (cascade, day) not in self._with_events:
            # A day without events needs a file that says so.
            self._write(cascade, "event_log", day, [])
        table = self._table(declared, log, entries)
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd", write_page_checksum=True)
        storage = Storage(f"{self.folder}/{cascade}")
        name = f"part-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:12]}.parquet"
        storage.write(storage.path(log, folder_of(day), name), content.getvalue())
        if log == "event_log":
            self._with_events.add((cascade, day))
        self.metrics.log_rows.labels(log).inc(table.num_rows)

    def _table(self, cascade: Cascade, log: Log, entries: list[LoggedPage | LoggedEvent]) -> "pa.Table":
        """Rows of all entries; one that makes no rows is left out and counted, and keeps no other from its file."""
        try:
            return _table_of(cascade, log, entries)
        except Exception as error:
            good = [entry for entry in entries if _makes_rows(cascade, log, entry)]
            if len(good) == len(entries):
                raise
            _log.warning("%s of %s: %s", log, cascade.name, in_own_words(error))
            self.metrics.log_dropped.labels(log, "makes no rows").inc(len(entries) - len(good))
            return _table_of(cascade, log, good)


def _table_of(cascade: Cascade, log: Log, entries: list[LoggedPage | LoggedEvent]) -> "pa.Table":
    if log == "candidate_log":
        return candidate_table(cascade, [each for each in entries if isinstance(each, LoggedPage)])
    return event_table(cascade, [each for each in entries if isinstance(each, LoggedEvent)])


def _makes_rows(cascade: Cascade, log: Log, entry: LoggedPage | LoggedEvent) -> bool:
    try:
        _table_of(cascade, log, [entry])
    except Exception:
        return False
    return True


def _log_of(entry: LoggedPage | LoggedEvent) -> Log:
    return "candidate_log" if isinstance(entry, LoggedPage) else "event_log"
