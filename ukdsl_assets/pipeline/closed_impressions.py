"""A day of impressions read again once their attribution windows have closed."""

from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.lake.tables.staging import removed_on_error
from ukdsl_assets.learning.training.delayed_feedback import newest_closed_day
from ukdsl_assets.logs.by_shard import by_shard
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.logs.gates.day import judge_shards
from ukdsl_assets.pipeline.tables import MadeTable
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import audit_model
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_sharded

NAME = "closed_impressions"


def make_closed(cascade: Cascade, workspace: Workspace, day: date) -> MadeTable:
    """Read the closed day again, label its impressions as known at the day's clock, judge and stage them."""
    table: Table = (cascade.name, NAME)
    rendered = render(workspace.models["impressions"], template_context(cascade))
    clock = known_until(cascade, workspace.settings, day)
    closed = newest_closed_day(clock, day, longest_window(cascade))
    values = parameters_for(cascade, closed, known_until=clock)
    lake, threads = workspace.lake, workspace.settings.threads
    with TemporaryDirectory(dir=lake.writing_folder(table, day)) as folder:
        inputs, judged = closed_logs(cascade, workspace, closed, clock, Path(folder))
        files = run_sharded(rendered, inputs, values, lambda *shard: lake.new_file(table, day, *shard), threads)
    with removed_on_error(files):
        results = [judged, *audit_model(rendered, files, values)]
        return MadeTable(lake.stage_files(table, day, files), results, {})


def longest_window(cascade: Cascade) -> timedelta:
    """The longest attribution window of the delayed tasks."""
    return max(task.attribution_window for task in cascade.delayed_tasks)


def first_closing(cascade: Cascade) -> str:
    """When labels are final for the first time, for people."""
    return f"the first windows close on {cascade.first_day + longest_window(cascade) + timedelta(days=1)}"


def closed_logs(
    cascade: Cascade, workspace: Workspace, day: date, clock: datetime, folder: Path
) -> tuple[dict[str, list[str]], GateResult]:
    """The shown candidates of a closed day and their events before the clock, and the verdict on its logs.

    Both logs are empty for a day before the cascade's first.

    Args:
        folder: an empty one.

    Returns:
        Parquet files in the folder by log, one a shard, and the verdict.
    """
    files: dict[str, list[str]] = {"candidate_log": [], "event_log": []}
    known = 0

    def write(logs: DayOfLogs) -> None:
        nonlocal known
        events = logs.event_log.filter(pl.col("occurred_at") < clock)
        known += len(events)
        for (name, written), frame in zip(files.items(), (logs.candidate_log.filter("shown"), events), strict=True):
            written.append(str(folder / f"{name}-{len(written)}.parquet"))
            frame.write_parquet(written[-1])

    if day < cascade.first_day:
        columns = candidate_log_dtypes(cascade), event_log_dtypes(cascade)
        for _ in range(workspace.settings.shards):
            write(DayOfLogs(*(pl.DataFrame(schema=dtypes) for dtypes in columns)))
        return files, GateResult("logs_valid", True, f"nothing to judge: {first_closing(cascade)}")
    parts = workspace.source(cascade, lambda line: None, as_of=clock).read_in_parts(day)
    judged = judge_shards(cascade, day, by_shard(parts, workspace.settings.shards, folder), [], write)
    failed = blocking(judged.results)
    said = "; ".join(each.message for each in failed) or f"{known} events of {day} known at {clock}"
    return files, GateResult("logs_valid", not failed, said)
