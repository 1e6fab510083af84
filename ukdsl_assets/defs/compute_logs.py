"""What Dagster starts to copy a step's output leaves Ctrl-C to the run, which ends it."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dagster._core.execution import compute_logs


@contextmanager
def copies_without_interrupts() -> Iterator[None]:
    """Inside, in the main thread, processes that copy a step's output ignore SIGINT; Dagster itself ends them.

    A terminal sends Ctrl-C to all of them, and the one written in Python would print its traceback over the run's
    last sentence. A process inherits what is ignored, and nothing else of how its parent takes signals.
    """
    started = compute_logs.execute_posix_tail

    @contextmanager
    def ignoring(path: str, stream: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                processes = stack.enter_context(started(path, stream))
            finally:
                signal.signal(signal.SIGINT, handler)
            yield processes

    compute_logs.execute_posix_tail = ignoring
    try:
        yield
    finally:
        compute_logs.execute_posix_tail = started
