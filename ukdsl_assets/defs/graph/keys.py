"""Names in the graph: asset keys, groups in the order of the flow, partitions."""

import re
import warnings
from datetime import timedelta
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade

LOGS, TABLES, TEACHERS, SELECTION, STUDENTS, EVALUATION, RELEASE, REPORT = (
    "1_logs",
    "2_tables",
    "3_teachers",
    "4_selection",
    "5_students",
    "6_evaluation",
    "7_release",
    "8_report",
)
# Of no day and no cascade.
EVIDENCE, THEORY = "evidence", "theory"


def daily(cascade: Cascade) -> dg.DailyPartitionsDefinition:
    """One UTC day a partition, from the cascade's first day to its last, or to yesterday."""
    end = cascade.last_day + timedelta(days=1) if cascade.last_day else None
    return dg.DailyPartitionsDefinition(
        start_date=cascade.first_day.isoformat(), end_date=end.isoformat() if end else None, timezone="UTC"
    )


def spec(cascade: Cascade, table: tuple[str, ...], group: str, description: str, **more: Any) -> dg.AssetSpec:
    """An asset of the cascade with what all of them share; `table` is its key."""
    note = f"\n\nData: {cascade.note}." if cascade.note else ""
    # The graph shows only the last part of a key: the pill tells whose it is. Dagster allows three.
    kinds = {table[-2], *more.pop("kinds", ["deltalake"])}
    return dg.AssetSpec(
        key=dg.AssetKey(table),
        group_name=group,
        description=description + note,
        owners=sorted({cascade.owner, more.pop("owner", cascade.owner)}),
        kinds=kinds,
        tags={"cascade": cascade.name, **_note_tag(cascade.note)},
        partitions_def=daily(cascade),
        **more,
    )


def _note_tag(note: str) -> dict[str, str]:
    """The note as a tag to filter by: Dagster's tags know few characters, so that every other becomes `_`."""
    value = re.sub(r"[^A-Za-z0-9_.-]+", "_", note).strip("_")[:63]
    return {"data": value} if value else {}


def since(table: tuple[str, ...], days: int) -> dg.AssetDep:
    """A dependency on the rolling window of `days` partitions that ends with today's."""
    mapping = dg.TimeWindowPartitionMapping(start_offset=1 - days) if days > 1 else None
    return dg.AssetDep(dg.AssetKey(table), partition_mapping=mapping)


def same_day(table: tuple[str, ...]) -> dg.AssetDep:
    """A dependency on the same day of another cascade, whose days may begin or end elsewhere."""
    with warnings.catch_warnings():
        # The parameter is in beta; the version of Dagster is pinned and a test runs both cascades.
        warnings.simplefilter("ignore", dg.BetaWarning)
        mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return dg.AssetDep(dg.AssetKey(table), partition_mapping=mapping)
