"""Workers that are processes of this machine."""

import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4
from weakref import finalize

from ukdsl_assets.engines.engine import AHEAD, RETRIES, A, R, attempt, lost, value_of

# Read when a library is first imported, so a worker sets them before it imports any.
THREADS_OF = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
# Bytes of pickled work above which it is read from a file, such as work that holds models or a sample.
LARGE = 2**20


@dataclass
class ProcessEngine:
    """Processes that start with the first map and are kept for the next one.

    Attributes:
        workers: how many, at least 1.
        threads: of polars, OpenMP and numba in each.
    """

    workers: int
    threads: int = 1
    remote: bool = field(default=False, init=False)
    apart: bool = field(default=True, init=False)
    _pool: ProcessPoolExecutor | None = field(default=None, init=False, repr=False)
    # For work that is read from a file; it goes with the engine, and the workers of a run that was killed remove it.
    _folder: str | None = field(default=None, init=False, repr=False, compare=False)

    def map(self, work: Callable[[A], R], shards: Sequence[A], name: str) -> Iterator[R]:
        """As `Engine.map`. A lost process takes its pool along: all shards without a result are sent to a new one."""
        if self._folder is None:
            self._folder = mkdtemp()
            finalize(self, rmtree, self._folder, ignore_errors=True)
        with _sent_once(work, self._folder) as light:
            yield from self._mapped(light, shards, name)

    def _mapped(self, work: Callable[[A], R], shards: Sequence[A], name: str) -> Iterator[R]:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        sent, losses = 0, 0
        try:
            while sent < len(shards) or waiting:
                while sent < len(shards) and len(waiting) < AHEAD * self.workers:
                    waiting.append((sent, self._sent(work, shards[sent])))
                    sent += 1
                place, future = waiting[0]
                try:
                    answer = future.result()
                except BrokenProcessPool as error:
                    losses += 1
                    if losses > RETRIES:
                        raise lost(
                            name,
                            place,
                            len(shards),
                            "a process of this machine was killed at this shard or one of the next",
                        ) from error
                    self.close()
                    waiting = deque(
                        (each, future if _has_result(future) else self._sent(work, shards[each]))
                        for each, future in waiting
                    )
                    continue
                waiting.popleft()
                losses = 0
                yield value_of(answer, name, place, len(shards))
        finally:
            # What runs cannot be cancelled: its process is ended.
            running = [future for _, future in waiting if not (future.cancel() or _has_result(future))]
            if running:
                self.close()

    def _sent(self, work: Callable[[A], R], shard: A) -> Future[Any]:
        if self._pool is None:
            start = (self.threads, os.getpid(), self._folder)
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _start, start)
        try:
            return self._pool.submit(attempt, work, shard)
        except BrokenProcessPool as error:
            # Told as one that broke later is.
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def close(self) -> None:
        """End the processes, also those at work."""
        pool, self._pool = self._pool, None
        if pool is not None:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            for process in processes:
                process.join()


@contextmanager
def _sent_once(work: Callable[[A], R], folder: str) -> Iterator[Callable[[A], R]]:
    """The work, or what reads it from a file that is there meanwhile: it is sent with every shard."""
    pickled = pickle.dumps(work)
    if len(pickled) <= LARGE:
        yield work
        return
    file = f"{folder}/{uuid4().hex}"
    try:
        Path(file).write_bytes(pickled)
        del pickled
        yield partial(_work_from, file)
    finally:
        Path(file).unlink(missing_ok=True)


def _work_from(file: str, shard: Any) -> Any:
    return _work_in(file)(shard)


@lru_cache(maxsize=1)
def _work_in(file: str) -> Callable[[Any], Any]:
    """Read once in each process, from a folder that this user alone may enter, as the pool's own pipes are."""
    work: Callable[[Any], Any] = pickle.loads(Path(file).read_bytes())
    return work


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _start(threads: int, parent: int, folder: str | None) -> None:
    os.environ.update(dict.fromkeys(THREADS_OF, str(threads)))

    def watch() -> None:
        # A worker does not outlive a step that was killed.
        while os.getppid() == parent:
            time.sleep(1)
        if folder is not None:
            rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
