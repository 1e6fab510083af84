"""The rows and columns of a day's logs that a diagnosis compares: from the lake, else from the cascade's source."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, prediction_column
from ukdsl_assets.errors import ContractError
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.logs.contract import DayOfLogs
from ukdsl_assets.logs.rules import Rule, candidate_log_rules, no_nulls
from ukdsl_assets.logs.sources.open import open_source
from ukdsl_assets.logs.sources.parquet import ParquetReader
from ukdsl_assets.settings import Settings

LAKE, SOURCE = "lake", "source"
_EVENTS = [*KEYS, "event", "occurred_at"]


@dataclass
class LoggedDay:
    """What a day's logs say of its stages.

    Attributes:
        read_from: `lake`, whose gates have judged the logs, or `source`.
        known_until: (UTC) later events are in no label.
        candidates: rows of the candidate log.
        deepest: stage -> rows that got no deeper.
        rows: those of `candidates` that something can be compared with: shown, scored by a stage after the first, or
            probed; columns of `columns_read` and a label a task (Float32: 1, 0, or null where a task that must come
            first has none).
    """

    read_from: str
    known_until: dt.datetime
    candidates: int = 0
    deepest: dict[str, int] = field(default_factory=dict)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)


def columns_read(cascade: Cascade) -> list[str]:
    """The columns of the candidate log that a diagnosis reads, each once."""
    predictions = [
        prediction_column(each.name, task) for each in cascade.stages for task in cascade.predictions_of(each.name)
    ]
    probes = ["probed", "probe_rate"] if cascade.has_probes else []
    logged = [*KEYS, "requested_at", "deepest_stage", "shown", "explored", "propensity", *probes, *predictions]
    return [*logged, *dict.fromkeys(cascade.segments)]


def logged_day(settings: Settings, cascade: Cascade, day: dt.date, log: Callable[[str], None]) -> LoggedDay:
    """Read a day once. The lake's logs where both are published, since gates have judged them; else the source's.

    Args:
        log: gets a line of progress where a simulated day is made first.

    Raises:
        SourceError, ContractError: of the source; a missing day's names the days there are. ContractError also for a
            value that a comparison would be wrong by: a probability, a propensity or a rate that is none.
        LakeError: the lake's files are not what was published.
    """
    lake, tables = Lake(settings.tables, settings.shards), [(cascade.name, log) for log in DayOfLogs._fields]
    candidates, events = tables
    if all(lake.partition(table, day) is not None for table in tables):
        known = lake.publication(events, day).metadata.get("known_until")
        until = dt.datetime.fromisoformat(known) if known else known_until(cascade, settings, day)
        read = LoggedDay(LAKE, until)
        shards = lake.scan_shards(candidates, [day], columns=columns_read(cascade))
        kept = [_added(read, cascade, shard.collect()) for shard in shards]
        happened = lake.scan(events, [day], columns=_EVENTS).collect()
    else:
        read = LoggedDay(SOURCE, known_until(cascade, settings, day))
        kept, told = [], []
        for some, some_events in _parts(settings, cascade, day, log):
            if some.height:
                _refuse_wrong(cascade, some, day)
                kept.append(_added(read, cascade, some))
            told.append(some_events)
        happened = pl.concat(told)
        if settings.as_of is not None:
            happened = happened.filter(pl.col("occurred_at") < settings.as_of.astimezone(dt.UTC))
        if not kept:
            raise ContractError(
                f"{cascade.name}, {day}: candidate_log has 0 rows, expected some; nothing can be compared. Write the "
                "day's candidates, or ask for another day"
            )
    read.rows = _labelled(cascade, pl.concat(kept), happened, day)
    return read


def _parts(
    settings: Settings, cascade: Cascade, day: dt.date, log: Callable[[str], None]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Slices of the source's day in the columns that are needed; of files no other column is read."""
    source = open_source(cascade, settings, f"{settings.simulated_state}/{cascade.name}", log)
    columns = columns_read(cascade)
    if isinstance(source, ParquetReader):
        yield from source.read_columns(day, columns, _EVENTS)
        return
    for candidates, events in source.read_in_parts(day):
        yield candidates.select(columns), events.select(_EVENTS)


def _added(read: LoggedDay, cascade: Cascade, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that are compared with anything; all are counted."""
    read.candidates += rows.height
    for stage, count in rows.group_by("deepest_stage").len().iter_rows():
        read.deepest[stage] = read.deepest.get(stage, 0) + count
    compared = pl.col("shown")
    if len(cascade.stages) > 1:
        compared |= reached(cascade, cascade.stages[1].name)
    if cascade.has_probes:
        compared |= pl.col("probed")
    return rows.filter(compared)


def _labelled(cascade: Cascade, rows: pl.DataFrame, events: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The rows with their labels, as the model `impressions` gives them; null where a row was not shown."""
    shown = rows.lazy().filter("shown").select(*KEYS, "requested_at")
    counted = shown.select(pl.len(), pl.struct(KEYS).n_unique().alias("distinct")).collect()
    if counted["len"].item() != counted["distinct"].item():
        twice = counted["len"].item() - counted["distinct"].item()
        raise ContractError(
            f"{cascade.name}, {day}: candidate_log: {twice:,} shown row(s) repeat a request_id and candidate_id, "
            "expected one row each; keep the one of the deepest stage"
        )
    after = pl.col("occurred_at") - pl.col("requested_at")
    # Clocks may differ by as much as the source declares.
    tolerance = getattr(cascade.source, "clock_tolerance", dt.timedelta(0))
    happened = [
        ((pl.col("event") == task.event) & after.is_between(-tolerance, task.attribution_window)).any().alias(task.name)
        for task in cascade.tasks
    ]
    outcomes = shown.join(events.lazy(), on=KEYS, how="inner").group_by(KEYS).agg(happened)
    labelled = rows.lazy().join(outcomes, on=KEYS, how="left", maintain_order="left")
    labels = []
    for task in cascade.tasks:
        has_label = pl.col("shown")
        for condition in cascade.conditions_of(task.name):
            has_label &= pl.col(condition).fill_null(False)
        label = pl.col(task.name).fill_null(False).cast(pl.Float32)
        labels.append(pl.when(has_label).then(label).alias(task.name))
    return labelled.with_columns(labels).collect()


def _refuse_wrong(cascade: Cascade, rows: pl.DataFrame, day: dt.date) -> None:
    """The contract's rules on what figures are made of. Rows without a prediction are left out of them instead."""
    columns = ["deepest_stage", "explored", "propensity", *(["probed", "probe_rate"] if cascade.has_probes else [])]
    rules: list[Rule] = no_nulls(cascade, [*KEYS, "requested_at", "shown", *columns])
    rules += [
        rule
        for rule in candidate_log_rules(cascade)
        if rule.column in rows.columns and (rule.gate == "probabilities_valid" or rule.column in columns)
    ]
    counts = rows.select(rule.bad.fill_null(False).sum().alias(str(number)) for number, rule in enumerate(rules)).row(0)
    for rule, count in zip(rules, counts, strict=True):
        if count:
            raise ContractError(
                f"{cascade.name}, {day}: candidate_log: `{rule.column}`: {count:,} of {rows.height:,} row(s) that were "
                f"read are wrong, expected {rule.expected}; {rule.fix}. All that is wrong: ukdsl check-logs "
                f"{cascade.name} --day {day}"
            )
