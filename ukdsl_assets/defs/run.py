"""Materializes days of a cascade in this process, one after the other, as the schedule would."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.home import fail_own_runs, instance, process_tags
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.errors import UkdslError, redacted
from ukdsl_assets.settings import Settings

# Called with the day, the step that has started or a line of its progress, and whether a step has ended.
RunProgress = Callable[[date, str, bool], None]


class RunFailedError(UkdslError):
    """A day could not be materialized; what was published before stays."""


class RunStoppedError(UkdslError):
    """Ctrl-C or SIGTERM came before all days were done; what was published stays."""


def open_job(
    settings: Settings, cascades: Mapping[str, Cascade], cascade: Cascade, progress: RunProgress
) -> dg.JobDefinition:
    """The cascade's daily job, which hands its steps to `progress`; it has as many steps in a day as `nodes`."""
    defs = build_defs(settings, cascades, loggers={"told": progress_logger(progress)})
    return defs.resolve_job_def(job_name(cascade))


def run_days(job: dg.JobDefinition, cascade: Cascade, days: Iterable[date]) -> Iterator[date]:
    """Materialize the days in order by a job of `open_job` and yield each that is done; stops at the first that fails.

    Raises:
        RunFailedError: names the day and gives the failed steps' messages.
        RunStoppedError: Ctrl-C or SIGTERM came; says what stands.
    """
    ready: list[date] = []
    wanted = list(days)
    with instance() as home, _stop_asked() as asked:
        for day in wanted:
            try:
                done = job.execute_in_process(
                    partition_key=day.isoformat(),
                    instance=home,
                    raise_on_error=False,
                    run_config={"loggers": {"told": {"config": {"day": day.isoformat()}}}},
                    tags=process_tags(),
                )
            except KeyboardInterrupt:
                # It came between steps: Dagster was writing down a run, which stays as it was.
                fail_own_runs(home, "stopped by Ctrl-C or SIGTERM")
                raise RunStoppedError(_what_stands(cascade, day, ready, [])) from None
            if not done.success:
                if asked():
                    # Dagster takes an interrupt for a step's failure, and libraries raise errors of their own for it.
                    made = [event.step_key or "" for event in done.all_events if event.is_step_success]
                    raise RunStoppedError(_what_stands(cascade, day, ready, made))
                raise RunFailedError(f"{cascade.name}, {day}: " + "\n".join(_failures(done)))
            ready.append(day)
            yield day
            if asked() and day != wanted[-1]:
                # Some library took it for an error of its own and went on.
                raise RunStoppedError(_what_stands(cascade, day + timedelta(days=1), ready, []))


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C or SIGTERM has come inside, and has SIGTERM interrupt as Ctrl-C does.

    Dagster has handlers of its own in steps, and libraries swallow what these raise: so it is the system that is asked.
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
    terminated_before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, terminated_before)
        signal.set_wakeup_fd(told_before)
        os.close(come)
        os.close(written)


def _what_stands(cascade: Cascade, day: date, ready: list[date], made: list[str]) -> str:
    """Days that are done, steps of the day that are, and the command that goes on."""
    done = "no day was done before it" if not ready else f"done before it: {', '.join(map(str, ready))}"
    names = ", ".join(step.removeprefix(f"{cascade.name}__").replace("__", "/") for step in made)
    return (
        f"{cascade.name}, {day}: stopped as asked; {done}. Of {day}, published and whole: {names or 'nothing new'}; "
        f"its other tables are as they were. `ukdsl run {cascade.name} --days {day}`, or up to your last day, goes on; "
        "an interrupted training does so from its last kept state"
    )


def _failures(done: dg.ExecuteInProcessResult) -> list[str]:
    """A message for each failed step: a gate's or an error's own, else that of the run."""
    messages = []
    for event in done.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            own = data.user_failure_data.description if data.user_failure_data else None
            messages.append(f"step {event.step_key} failed: {redacted(own or _first_cause(data.error))}")
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
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            if record.levelno >= logging.INFO:
                self.progress(self.day, str(meta.get("orig_message", record.getMessage())), False)
        elif event.event_type_value == "STEP_START":
            self.progress(self.day, event.step_key.replace("__", "/"), False)
        elif event.event_type_value in ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED"):
            self.progress(self.day, "", True)
