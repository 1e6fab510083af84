"""Group 2, where labels keep arriving: impressions read again once their attribution windows have closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade, delay_column
from ukdsl_assets.declared_students import Student
from ukdsl_assets.defs.gates import check_specs, told_plainly
from ukdsl_assets.defs.keys import TABLES, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, day_of, publish_staged
from ukdsl_assets.defs.tables import SQL_GATES, MadeTable
from ukdsl_assets.errors import LakeError
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.lake.staging import removed_on_error
from ukdsl_assets.learning.delayed_feedback import DELAY_DAYS, newest_closed_day, told_as_seen, with_label_factor
from ukdsl_assets.learning.training_rows import Reader
from ukdsl_assets.sources.by_shard import by_shard
from ukdsl_assets.sources.contract import DayOfLogs, candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.sources.judge import judge_shards
from ukdsl_assets.sources.open import known_until
from ukdsl_assets.sql.audit import audit_model
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_sharded
from ukdsl_assets.sql.withheld import withheld

NAME = "closed_impressions"
GATES = {
    "logs_valid": "The logs of the closed day, read again, keep the contract.",
    **SQL_GATES,
}


def label_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, closed_impressions], where a student corrects its labels or waits for them."""
    if not any(student.delayed_feedback for student in cascade.students):
        return []
    table: Table = (cascade.name, NAME)
    described = spec(
        cascade,
        table,
        TABLES,
        "Impressions and final labels of the newest day whose attribution windows have all closed, as known at this "
        "partition's clock; no rows before the first window has closed.",
        kinds={"sql", "deltalake"},
        # Read from the source once more; the day's own logs come first, so that days are simulated in order.
        deps=[dg.AssetKey((cascade.name, "event_log"))],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES))
    def closed_impressions(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            made = make_closed(cascade, platform, day_of(context))
            yield from publish_staged(context, platform, made.staged, made.results, made.inputs, {})

    return [closed_impressions]


def make_closed(cascade: Cascade, platform: Platform, day: date) -> MadeTable:
    """Read the closed day again, label its impressions as known at the day's clock, judge and stage them."""
    table: Table = (cascade.name, NAME)
    rendered = render(platform.models["impressions"], template_context(cascade))
    clock = known_until(cascade, platform.settings, day)
    closed = newest_closed_day(clock, day, longest_window(cascade))
    values = parameters_for(cascade, closed, known_until=clock)
    lake, threads = platform.lake, platform.settings.threads
    with TemporaryDirectory(dir=lake.writing_folder(table, day)) as folder:
        inputs, judged = closed_logs(cascade, platform, closed, clock, Path(folder))
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


def refuse_without_labels(cascade: Cascade, platform: Platform, student: Student, day: date) -> None:
    """Tell a student that waits for its labels when there are none yet.

    Raises:
        LakeError: names the date of the first ones.
    """
    table: Table = (cascade.name, NAME)
    if student.delayed_feedback == "wait" and not platform.lake.row_counts(table, [day]).get(day):
        raise LakeError(
            f"{'/'.join(table)}, day {day}: no labels yet that {student.name} may be trained on; "
            f"{first_closing(cascade)}, so start with a day whose labels are read after that, or "
            "declare `delayed_feedback: correct`"
        )


def closed_logs(
    cascade: Cascade, platform: Platform, day: date, clock: datetime, folder: Path
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
        for _ in range(platform.settings.shards):
            write(DayOfLogs(*(pl.DataFrame(schema=dtypes) for dtypes in columns)))
        return files, GateResult("logs_valid", True, f"nothing to judge: {first_closing(cascade)}")
    parts = platform.source(cascade, lambda line: None, as_of=clock).read_in_parts(day)
    judged = judge_shards(cascade, day, by_shard(parts, platform.settings.shards, folder), [], write)
    failed = blocking(judged.results)
    said = "; ".join(each.message for each in failed) or f"{known} events of {day} known at {clock}"
    return files, GateResult("logs_valid", not failed, said)


@dataclass(frozen=True)
class KnownDelays:
    """Seconds from request to event of all positive labels of closed days, float64, and the versions that tell so."""

    seconds: NDArray[np.float64]
    versions: dict[str, str]

    @property
    def told(self) -> str:
        """What became of the day's labels, for people."""
        if not len(self.seconds):
            return (
                "as seen, since no attribution window with a positive label has closed yet: labels that are yet to "
                "come count as 0, so the student is trained and judged too low"
            )
        return f"corrected by {len(self.seconds)} delays of {len(self.versions)} closed day(s)"


def known_delays(platform: Platform, cascade: Cascade, student: Student, day: date) -> KnownDelays | None:
    """What a student that corrects its labels may know of their delays on a day; None for other students."""
    if student.delayed_feedback != "correct":
        return None
    table: Table = (cascade.name, NAME)
    first = day - timedelta(days=DELAY_DAYS - 1)
    days = [each for each in platform.lake.partitions(table) if first <= each <= day]
    column = delay_column(student.task)
    if not days:
        return KnownDelays(np.empty(0), {})
    # A rerun with a later clock may find the same closed day for several partitions.
    rows = platform.lake.scan(table, days, columns=["request_id", "candidate_id", column]).drop_nulls(column)
    found = rows.unique().collect()
    # Delays go into training, so withheld requests tell none.
    found = found.filter(~withheld(found["request_id"], cascade.withheld_share))
    return KnownDelays(
        found[column].sort().to_numpy(), {str(each): platform.partition(table, each).data_version for each in days}
    )


def told_of_labels(cascade: Cascade, student: Student, delays: KnownDelays | None) -> dict[str, str]:
    """What became of a student's delayed labels, and of those of its further tasks, for people; empty without such.

    Args:
        delays: of `known_delays`.
    """
    own = [f"{student.task}: {delays.told}"] if delays is not None else []
    if student.delayed_feedback == "wait":
        own = [f"{student.task}: those of the newest day whose attribution windows have closed"]
    told = [*own, *told_as_seen(cascade, student.label_tasks).values()]
    return {"labels": "; ".join(told)} if told else {}


def corrected(cascade: Cascade, student: Student, delays: KnownDelays | None, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of teacher_augmented with their `label_factor`, for a student that corrects its labels."""
    if delays is None:
        return rows
    return with_label_factor(rows, delays.seconds, cascade.task(student.task).attribution_window)


def corrected_readers(
    cascade: Cascade, student: Student, delays: KnownDelays | None, readers: Sequence[Reader]
) -> list[Reader]:
    """The readers with `corrected` rows."""
    return [lambda read=read: corrected(cascade, student, delays, read()) for read in readers]  # type: ignore[misc]


def delay_dependencies(cascade: Cascade, student: Student) -> list[dg.AssetDep]:
    """What a model or evaluation of the student reads of `closed_impressions` itself."""
    return [since((cascade.name, NAME), DELAY_DAYS)] if student.delayed_feedback == "correct" else []
