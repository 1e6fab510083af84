"""Late data: a sensor that asks for days again whose inputs have changed since they were made."""

import json
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.schedules import job_name
from ukdsl_assets.pipeline.stale import look_for_stale, stale_days
from ukdsl_assets.pipeline.workspace import Workspace

NOT_ENDED = [status for status in dg.DagsterRunStatus if status.value not in ("SUCCESS", "FAILURE", "CANCELED")]
DAYS_A_TICK = 3
EVERY_SECONDS = 600


def late_data_sensors(cascade: Cascade, workspace: Workspace, job: Any) -> list[dg.SensorDefinition]:
    """None for a cascade whose logs have ended and are nobody's files."""
    if cascade.last_day is not None and cascade.source.kind != "parquet":
        return []

    @dg.sensor(
        name=f"{cascade.name}_late_data",
        job=job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for those of the newest days again whose log files were added, removed or replaced, whose "
        "events may have come since, or whose tables were made of what has been published anew: "
        f"{DAYS_A_TICK} a tick, the oldest first, each once for what it would be made of. `ukdsl status "
        f"{cascade.name}` shows them.",
    )
    def late_data(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        _, found = look_for_stale(workspace, cascade)
        # By the cursor, days that were asked for in vain do not keep others from their turn.
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        stale = {str(day): key for day, key in stale_days(found).items()}
        # A day that is being made is stale until it is done.
        in_work = _days_in_work(context.instance, job_name(cascade))
        due = [day for day, key in stale.items() if asked.get(day) != key and day not in in_work][:DAYS_A_TICK]
        known = {day: key for day, key in stale.items() if day in due or asked.get(day) == key}
        requests = [dg.RunRequest(run_key=f"{day} {stale[day]}", partition_key=day) for day in due]
        why_none = f"{len(stale)} stale day(s), all asked for or being made" if stale else "no day is stale"
        return dg.SensorResult(requests, skip_reason=None if requests else why_none, cursor=json.dumps(known))

    return [late_data]


def _days_in_work(instance: dg.DagsterInstance, job: str) -> set[str]:
    """Partition keys of the runs of a job that have not ended."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=NOT_ENDED))
    return {run.tags.get("dagster/partition", "") for run in runs}
