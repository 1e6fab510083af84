"""A stop that reaches steps in threads: signals are the main thread's alone."""

import ctypes
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.plan import utils
from dagster._core.log_manager import DagsterLogManager


class Stop:
    """Interrupts the steps' own code, as Dagster does where it makes them in the main thread.

    Never Dagster's code around it, nor the logging that a step calls: these hold locks, which an error between two
    lines would leave held for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        # Threads that are in a step's own code.
        self._inside: set[int] = set()

    def ask(self) -> None:
        """Raise in all threads that are in a step's own code, and from now on in each that would enter it."""
        with self._lock:
            self._asked = True
            for thread in self._inside:
                _raise_in(thread, DagsterExecutionInterruptedError)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What stands inside may be interrupted."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What stands in `inside`, and in this, may not."""
        if not self._leave():
            yield
            return
        try:
            yield
        finally:
            self._enter()

    @contextmanager
    def for_steps(self) -> Iterator[None]:
        """Inside, Dagster asks here where it would take signals, and logs in peace."""

        def handle(manager: DagsterLogManager, record: logging.LogRecord) -> None:
            with self.outside():
                logging.Logger.handle(manager, record)

        before = utils.raise_execution_interrupts
        utils.raise_execution_interrupts = self.inside
        setattr(DagsterLogManager, "handle", handle)  # noqa: B010 - a method of its own, for a while
        try:
            yield
        finally:
            delattr(DagsterLogManager, "handle")
            utils.raise_execution_interrupts = before

    def _enter(self) -> None:
        with self._lock:
            if self._asked:
                raise DagsterExecutionInterruptedError
            self._inside.add(threading.get_ident())

    def _leave(self) -> bool:
        """Whether this thread was inside. What has not come by now must not come outside; `_enter` raises it."""
        me = threading.get_ident()
        with self._lock:
            was_inside = me in self._inside
            self._inside.discard(me)
            _raise_in(me, None)
        return was_inside


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an error in a thread between two of its lines; None takes back one that has not come yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error and ctypes.py_object(error))
