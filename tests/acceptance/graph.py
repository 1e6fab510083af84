"""Runs the real graph on a lake of its own, for tests."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from ukdsl_assets.cascade import SHIPPED, Cascade, read_cascade
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.lake.tables import Lake
from ukdsl_assets.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def shipped(name: str, **changes: Any) -> Cascade:
    """A shipped cascade with some fields replaced."""
    return read_cascade(SHIPPED / f"{name}.yaml").model_copy(update=changes)


def run_day(settings: Settings, cascade: Cascade, day: date) -> dg.ExecuteInProcessResult:
    """One day of the daily job; failures are in the result, not raised."""
    defs = build_defs(settings, {cascade.name: cascade})
    job = defs.resolve_job_def(job_name(cascade))
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(partition_key=str(day), instance=instance, raise_on_error=False, run_config=QUIET)


def checks(done: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    """(asset, check) -> passed."""
    found = done.get_asset_check_evaluations()
    return {(each.asset_key.to_user_string(), each.check_name): each.passed for each in found}


def failures(done: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Failed step -> what it said, the innermost cause last."""
    said = {}
    for event in done.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            told = [data.user_failure_data.description or ""] if data.user_failure_data else []
            error = data.error
            while error is not None:
                told.append(error.message)
                error = error.cause
            said[event.step_key or ""] = "\n".join(told)
    return said


def small(lake: Path, **more: Any) -> Settings:
    """Settings of a lake of its own with small simulated days."""
    return Settings(lake=str(lake), scale="small", threads=2, **more)


def versions(lake: Lake, cascade: Cascade, day: date) -> Mapping[str, str]:
    """Data version of every table of the cascade on a day."""
    tables = [(cascade.name, name) for name in ("candidate_log", "event_log", "impressions", "considerations")]
    for student in cascade.students:
        tables += [
            (cascade.name, student.name, name) for name in ("teacher_augmented", "evaluation", "calibration_by_group")
        ]
        if student.selection is not None:
            made = ("impression_importance", "consideration_importance", "feature_union", "selection_comparison")
            tables += [(cascade.name, student.name, name) for name in made]
    found = {"/".join(table): lake.partition(table, day) for table in tables}
    return {name: partition.data_version for name, partition in found.items() if partition}
