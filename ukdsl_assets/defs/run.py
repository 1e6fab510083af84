"""Materializes days of a cascade in this process, one after the other, as the schedule would."""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.errors import UkdslError
from ukdsl_assets.settings import PROJECT, Settings

# Called with the day, the step that has started or a line of its progress, and whether a step has ended.
RunProgress = Callable[[date, str, bool], None]


class RunFailedError(UkdslError):
    """A day could not be materialized; what was published before stays."""


def open_job(
    settings: Settings, cascades: Mapping[str, Cascade], cascade: Cascade, progress: RunProgress
) -> dg.JobDefinition:
    """The cascade's daily job, which hands its steps to `progress`; it has as many steps in a day as `nodes`."""
    defs = build_defs(settings, cascades, loggers={"told": _progress_logger(progress)})
    return defs.resolve_job_def(job_name(cascade))


def run_days(job: dg.JobDefinition, cascade: Cascade, days: Iterable[date]) -> Iterator[date]:
    """Materialize the days in order by a job of `open_job` and yield each that is done; stops at the first that fails.

    Raises:
        RunFailedError: names the day and gives the failed steps' messages.
    """
    with instance() as home:
        for day in days:
            done = job.execute_in_process(
                partition_key=day.isoformat(),
                instance=home,
                raise_on_error=False,
                run_config={"loggers": {"told": {"config": {"day": day.isoformat()}}}},
            )
            if not done.success:
                raise RunFailedError(f"{cascade.name}, {day}: " + "\n".join(_failures(done)))
            yield day


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the UI uses too: DAGSTER_HOME, by default .dagster_home of the project."""
    if "DAGSTER_HOME" not in os.environ:
        home = PROJECT / ".dagster_home"
        home.mkdir(exist_ok=True)
        shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
        os.environ["DAGSTER_HOME"] = str(home)
    Path(os.environ["DAGSTER_HOME"]).mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.get() as opened:
        yield opened


def _failures(done: dg.ExecuteInProcessResult) -> list[str]:
    """A message for each failed step: a gate's or an error's own where there is one."""
    messages = []
    for event in done.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            own = data.user_failure_data.description if data.user_failure_data else None
            messages.append(f"step {event.step_key} failed: {own or (data.error.message if data.error else 'unknown')}")
    return messages or ["the run failed before its first step; see the run's log in the UI"]


def _progress_logger(progress: RunProgress) -> dg.LoggerDefinition:
    @dg.logger(config_schema={"day": str}, description="Passes steps and their progress on to the command line.")
    def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("told", logging.DEBUG)
        logger.addHandler(_ProgressHandler(date.fromisoformat(context.logger_config["day"]), progress))
        return logger

    return progress_logger


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
