"""Materializes days of a cascade in this process, one after the other, as the schedule would."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.examples import with_their_teachers
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.compute_logs import copies_without_interrupts
from ukdsl_assets.defs.home import fail_own_runs, instance, own_runs_under_way, process_tags
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.defs.side_by_side import executed, left_behind
from ukdsl_assets.errors import RunFailedError, RunStoppedError, redacted
from ukdsl_assets.settings import Settings

LOGGER = logging.getLogger(__name__)
# Called with the day, a step, what it says, empty where it has started or ended, and whether it has ended.
RunProgress = Callable[[date, str, str, bool], None]


def open_job(
    settings: Settings, cascades: Mapping[str, Cascade], cascade: Cascade, progress: RunProgress
) -> dg.JobDefinition:
    """The cascade's daily job, which hands its steps to `progress`; it has as many steps in a day as `nodes`."""
    # Others would cost seconds, and the day needs none of them.
    needed = with_their_teachers(cascades, [cascade.name])
    defs = build_defs(settings, needed, loggers={"told": progress_logger(progress)})
    return defs.resolve_job_def(job_name(cascade))


def run_days(job: dg.JobDefinition, cascade: Cascade, days: Iterable[date], steps: int = 1) -> Iterator[date]:
    """Materialize the days in order by a job of `open_job` and yield each that is done; stops at the first that fails.

    Args:
        steps: of a day, at most so many at once.

    Raises:
        RunFailedError: gives the failed steps' messages, then names the day.
        RunStoppedError: Ctrl-C or SIGTERM came; says what stands.
    """
    ready: list[date] = []
    wanted = list(days)
    with instance() as home, _stop_asked() as asked, copies_without_interrupts():
        for day in wanted:
            try:
                config = {"loggers": {"told": {"config": {"day": day.isoformat()}}}}
                done = executed(job, day, steps, home, config, process_tags())
            except BaseException as error:
                if not asked() and not isinstance(error, KeyboardInterrupt):
                    raise
                ignore_stops()
                # It came between steps, or twice: Dagster was writing down a run, which stays as it was.
                events = _events_of_own_runs(home)
                fail_own_runs(home, "stopped by Ctrl-C or SIGTERM")
                raise _stopped(_what_stands(cascade, wanted, ready, events)) from None
            if not done.success:
                if asked():
                    ignore_stops()
                    # Dagster takes an interrupt for a step's failure, and libraries raise errors of their own for it.
                    raise _stopped(_what_stands(cascade, wanted, ready, done.all_events))
                told = "\n".join(_failures(done))
                raise RunFailedError(f"{told}\n{cascade.name}, {day}: stopped there; what was published stays")
            ready.append(day)
            yield day
            if asked() and day != wanted[-1]:
                # Some library took it for an error of its own and went on.
                raise _stopped(_what_stands(cascade, wanted, ready, []))


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C or SIGTERM has come inside, and has SIGTERM interrupt as Ctrl-C does.

    Dagster has handlers of its own in steps, and libraries swallow what these raise: so it is the system that is asked.
    At its end the handlers are those of before, whatever `ignore_stops` made of them inside.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # Signals are the main thread's.
        return
    come, written = os.pipe()
    for end in (come, written):
        os.set_blocking(end, False)
    numbers: set[int] = set()

    def asked() -> bool:
        with suppress(BlockingIOError):
            numbers.update(os.read(come, 4096))
        return not numbers.isdisjoint((signal.SIGINT, signal.SIGTERM))

    told_before = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    interrupted_before = signal.getsignal(signal.SIGINT)
    terminated_before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, interrupted_before)
        signal.signal(signal.SIGTERM, terminated_before)
        signal.set_wakeup_fd(told_before)
        os.close(come)
        os.close(written)


def ignore_stops() -> None:
    """From now on neither Ctrl-C nor SIGTERM interrupts: whoever asks twice would stop what clears up."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _stopped(what_stands: str) -> RunStoppedError:
    return RunStoppedError(what_stands, left_behind())


def _what_stands(cascade: Cascade, wanted: list[date], ready: list[date], events: Iterable[dg.DagsterEvent]) -> str:
    """One sentence: the step that was stopped, what is published, and the command that goes on.

    Args:
        wanted: all days of the command; ready: those that are done; events: of the day after these.
    """
    day, last = wanted[len(ready)], wanted[-1]
    begun, made = [], []
    for event in events:
        if event.event_type_value == "STEP_START":
            begun.append(event.step_key or "")
        elif event.is_step_success:
            made.append(event.step_key or "")
    under_way = [step.removeprefix(f"{cascade.name}__").replace("__", "/") for step in begun if step not in made]
    nowhere = "between two steps" if made else "before its first step"
    where = f"in step{'s' if len(under_way) > 1 else ''} {' and '.join(under_way)}" if under_way else nowhere
    stays = [str(ready[0]) if len(ready) == 1 else f"{ready[0]} to {ready[-1]}"] if ready else []
    stays += [f"{len(made)} step{'s' if len(made) > 1 else ''} of {day}"] if made else []
    days = f"{day}..{last}" if day != last else str(day)
    return (
        f"{cascade.name}, {day}: stopped as asked {where}; what is published stays "
        f"({' and '.join(stays) or 'nothing new'}), and `ukdsl run {cascade.name} --days {days}` goes on, a training "
        "from its last kept state"
    )


def _events_of_own_runs(home: dg.DagsterInstance) -> list[dg.DagsterEvent]:
    """What was written down of this process's runs that have not ended."""
    entries = [entry for run in own_runs_under_way(home) for entry in home.all_logs(run.run_id)]
    return [entry.dagster_event for entry in entries if entry.dagster_event is not None]


def _failures(done: dg.ExecuteInProcessResult) -> list[str]:
    """A message for each failed step: a gate's or an error's own, else that of the run."""
    messages = []
    for event in done.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            own = data.user_failure_data.description if data.user_failure_data else None
            messages.append(f"{redacted(own or _first_cause(data.error))}\n(step {event.step_key} failed)")
    if not messages:
        ends = [event.job_failure_data.error for event in done.all_events if event.is_job_failure]
        messages = [f"the run failed outside its steps: {redacted(_first_cause(error))}" for error in ends]
    return messages or ["the run failed before its first step; see the run's log in the UI"]


def _first_cause(error: Any) -> str:
    """What was raised first, in its own words: Dagster says above it only which step it was."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "unknown; see the run's log in the UI"


def progress_logger(progress: RunProgress) -> dg.LoggerDefinition:
    @dg.logger(config_schema={"day": str}, description="Passes steps and their progress on to the command line.")
    def told(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("told", logging.DEBUG)
        logger.addHandler(_ProgressHandler(date.fromisoformat(context.logger_config["day"]), progress))
        return logger

    return told


class _ProgressHandler(logging.Handler):
    def __init__(self, day: date, progress: RunProgress) -> None:
        super().__init__()
        self.day, self.progress = day, progress

    def emit(self, record: logging.LogRecord) -> None:
        LOGGER.debug("%s", record.getMessage())
        meta = getattr(record, "dagster_meta", {})
        event, step = meta.get("dagster_event"), (meta.get("step_key") or "").replace("__", "/")
        if event is None:
            if record.levelno >= logging.INFO:
                self.progress(self.day, step, str(meta.get("orig_message", record.getMessage())), False)
        elif event.event_type_value == "STEP_START":
            self.progress(self.day, step, "", False)
        elif event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED"):
            self.progress(self.day, step, "", True)
