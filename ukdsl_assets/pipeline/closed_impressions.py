"""A day of impressions read again once their attribution windows have closed."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS
from ukdsl_assets.gates import GateResult, blocking, demand
from ukdsl_assets.lake.tables.staging import removed_on_error
from ukdsl_assets.learning.training.delayed_feedback import newest_closed_day
from ukdsl_assets.logs.by_shard import by_shard
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.logs.gates.day import judge_shards
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.tables import StagedTable
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import RULES as SQL_RULES
from ukdsl_assets.sql.gates import judge_model
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_sharded

# Name of each gate of the table -> what it demands.
RULES = {
    "logs_valid": demand(
        "The logs of the closed day, read again, keep the contract.",
        "see what was written to that day since it was first read; `ukdsl check-logs` of that day names it.",
    ),
    **SQL_RULES,
}


def stage_closed(day: Day) -> StagedTable:
    """Read the closed day again, label its impressions as known at the day's clock, judge and stage them."""
    table, cascade, lake = day.table(CLOSED_IMPRESSIONS), day.cascade, day.lake
    rendered = render(day.workspace.models["impressions"], template_context(cascade))
    clock = known_until(cascade, day.settings, day.date)
    closed = day.on(newest_closed_day(clock, day.date, longest_window(cascade)))
    values = parameters_for(cascade, closed.date, known_until=clock)
    with TemporaryDirectory(dir=lake.writing_folder(table, day.date)) as folder:
        inputs, logs_valid = closed_logs(closed, clock, Path(folder))
        files = run_sharded(
            rendered, inputs, values, lambda *shard: lake.new_file(table, day.date, *shard), day.settings.threads
        )
    with removed_on_error(files):
        results = [logs_valid, *judge_model(rendered, files, values)]
        return StagedTable(lake.stage_files(table, day.date, files), results, {})


def longest_window(cascade: Cascade) -> timedelta:
    """The longest attribution window of the delayed tasks."""
    return max(task.attribution_window for task in cascade.delayed_tasks)


def first_closing(cascade: Cascade) -> str:
    """When labels are final for the first time, for people."""
    return f"the first windows close on {cascade.first_day + longest_window(cascade) + timedelta(days=1)}"


def closed_logs(day: Day, clock: datetime, folder: Path) -> tuple[dict[str, list[str]], GateResult]:
    """The shown candidates of a closed day and their events before the clock, and the verdict on its logs.

    Both logs are empty for a day before the cascade's first.

    Args:
        folder: an empty one.

    Returns:
        Parquet files in the folder by log, one a shard, and the verdict.
    """
    cascade, shards = day.cascade, day.settings.shards
    files: dict[str, list[str]] = {"candidate_log": [], "event_log": []}
    known = 0

    def write(logs: DayOfLogs) -> None:
        nonlocal known
        events = logs.event_log.filter(pl.col("occurred_at") < clock)
        known += len(events)
        for (name, written), frame in zip(files.items(), (logs.candidate_log.filter("shown"), events), strict=True):
            written.append(str(folder / f"{name}-{len(written)}.parquet"))
            frame.write_parquet(written[-1])

    if day.date < cascade.first_day:
        columns = candidate_log_dtypes(cascade), event_log_dtypes(cascade)
        for _ in range(shards):
            write(DayOfLogs(*(pl.DataFrame(schema=dtypes) for dtypes in columns)))
        return files, GateResult("logs_valid", True, f"nothing to judge: {first_closing(cascade)}")
    parts = day.source(lambda line: None, as_of=clock).read_in_parts(day.date)
    judged = judge_shards(cascade, day.date, by_shard(parts, shards, folder), [], write)
    failed = blocking(judged.results)
    message = "; ".join(each.message for each in failed) or f"{known} events of {day.date} known at {clock}"
    return files, GateResult("logs_valid", not failed, message)
