"""A stop comes in a step's own code, and nowhere else."""

import logging
import threading
import time

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.log_manager import DagsterLogManager

from ukdsl_assets.defs.stops import Stop


def outcome_of(stop: Stop, steps: list[tuple[str, float]]) -> list[str]:
    """What a thread has done that is `in` the step's code and `out` of it for so many seconds in turn, once stopped."""
    outcome: list[str] = []
    begun = threading.Event()

    def work() -> None:
        try:
            with stop.inside():
                begun.set()
                for where, seconds in steps:
                    if where == "out":
                        with stop.outside():
                            rest(seconds)
                            outcome.append("out")
                    else:
                        rest(seconds)
                        outcome.append("in")
        except DagsterExecutionInterruptedError:
            outcome.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    time.sleep(0.1)
    stop.ask()
    thread.join(20)
    assert not thread.is_alive()
    return outcome


def rest(seconds: float) -> None:
    """Many lines of Python."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.001)


def test_a_stop_comes_between_two_lines_of_a_step() -> None:
    assert outcome_of(Stop(), [("in", 5)]) == ["stopped"]


def test_a_stop_waits_for_what_is_outside_and_comes_at_its_end() -> None:
    assert outcome_of(Stop(), [("out", 0.5), ("in", 5)]) == ["out", "stopped"]


def test_nothing_is_entered_after_a_stop_and_nothing_comes_outside() -> None:
    stop, left, asked = Stop(), threading.Event(), threading.Event()
    outcome: list[str] = []

    def work() -> None:
        try:
            with stop.inside():
                pass
            left.set()
            asked.wait(20)
            outcome.append("nothing came outside")
            with stop.inside():
                outcome.append("went on")
        except DagsterExecutionInterruptedError:
            outcome.append("stopped where it would go on")

    thread = threading.Thread(target=work)
    thread.start()
    assert left.wait(20)
    stop.ask()
    asked.set()
    thread.join(20)
    assert outcome == ["nothing came outside", "stopped where it would go on"]


def test_two_steps_that_log_all_the_time_leave_no_lock_held() -> None:
    handled: list[int] = []
    lock = threading.RLock()

    class Held(logging.Handler):
        def createLock(self) -> None:  # noqa: N802 - logging's own name
            self.lock = lock

        def emit(self, record: logging.LogRecord) -> None:
            handled.append(1)

    for _ in range(20):
        stop = Stop()
        manager = DagsterLogManager.__new__(DagsterLogManager)
        logging.Logger.__init__(manager, "step")
        manager.handlers = [Held()]
        record = logging.LogRecord("step", logging.INFO, "", 0, "line", None, None)

        def work(stop: Stop = stop, manager: DagsterLogManager = manager, record: logging.LogRecord = record) -> None:
            try:
                with stop.inside():
                    while True:
                        manager.handle(record)
            except DagsterExecutionInterruptedError:
                pass

        with stop.for_steps():
            threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(0.005)
            stop.ask()
            for thread in threads:
                thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert lock.acquire(timeout=1)
        lock.release()
    assert handled
