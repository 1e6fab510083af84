"""Events a moment before their request, where the clocks of two machines differ."""

from datetime import timedelta

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.sources import ParquetSource
from ukdsl_assets.logs.by_shard import in_order
from ukdsl_assets.logs.contract import EVENT_ORDER, DayOfLogs, candidate_log_dtypes, event_log_dtypes


def clock_tolerance(cascade: Cascade) -> timedelta:
    """How long before its request an event may be; none where the source declares none."""
    return cascade.source.clock_tolerance if isinstance(cascade.source, ParquetSource) else timedelta(0)


def within_tolerance(cascade: Cascade, logs: DayOfLogs) -> DayOfLogs:
    """The logs with events of at most the tolerance before their request at its moment, as every table counts from it.

    Args:
        logs: whole requests, in the contract's order, as is what is returned; the logs themselves where nothing is
            declared and where a column is missing or of another type, which the gates tell.
    """
    tolerance = clock_tolerance(cascade)
    if not tolerance:
        return logs
    needed = ("request_id", "requested_at")
    candidates, events = candidate_log_dtypes(cascade), event_log_dtypes(cascade)
    if {name: logs.candidate_log.schema.get(name) for name in needed} != {name: candidates[name] for name in needed}:
        return logs
    if dict(logs.event_log.schema) != events:
        return logs
    requests = logs.candidate_log.lazy().select(needed).unique("request_id", keep="first", maintain_order=True)
    occurred, requested = pl.col("occurred_at"), pl.col("requested_at")
    early = occurred.is_between(requested - tolerance, requested, closed="left")
    moved = logs.event_log.lazy().join(requests, on="request_id", how="left", maintain_order="left")
    moved = moved.with_columns(occurred_at=pl.when(early).then(requested).otherwise(occurred)).drop("requested_at")
    return logs._replace(event_log=in_order(moved.collect(), EVENT_ORDER))
