"""One daily job a cascade, and its schedule: 05:00 UTC for yesterday, an hour later where another cascade teaches."""

from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade

HOUR_UTC = 5


def daily_job(cascade: Cascade) -> Any:
    """All assets of the cascade for one day."""
    return dg.define_asset_job(
        name=job_name(cascade),
        selection=dg.AssetSelection.key_prefixes([cascade.name]),
        description=f"A day of {cascade.name}, from its logs to the release decision.",
        tags={"cascade": cascade.name},
    )


def job_name(cascade: Cascade) -> str:
    return f"{cascade.name}_daily"


def schedules(cascade: Cascade, job: Any) -> list[Any]:
    """None for a cascade whose logs have ended. Dagster gives the classes of unresolved jobs no public name."""
    if cascade.last_day is not None:
        return []
    taught = any(teacher.foreign for teacher in cascade.teachers)
    return [dg.build_schedule_from_partitioned_job(job, hour_of_day=HOUR_UTC + taught)]
