"""Names in the graph: the asset of a table, steps in the order of the flow, partitions."""

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
# What the name of a teacher's or a student's asset ends with, where it is not the name of the table: a box of the graph
# has room for some thirty characters. None ends with `_` and another, so that two tables never have one name.
SHORT = {
    "teacher_checkpoint": "checkpoint",
    "teacher_labels": "labels",
    "teacher_audit": "audit",
    "teacher_evaluation": "evaluation",
    "teacher_augmented": "augmented",
    "simplified_student": "simplified",
    "baseline_checkpoint": "baseline",
    "distilled_checkpoint": "distilled",
    "champion_comparison": "champion",
}


def asset_key(table: tuple[str, ...]) -> dg.AssetKey:
    """The asset of a table (or checkpoint) of the lake: [cascade, table], or [cascade, OWNER_name] of a teacher's or
    student's, since the graph shows the last part of a key alone.

    (simulated_ads, pre_ranking_click, baseline_checkpoint) -> simulated_ads/pre_ranking_click_baseline
    """
    cascade, *owner, name = table
    return dg.AssetKey([cascade, "_".join([*owner, SHORT.get(name, name)]) if owner else name])


def daily(cascade: Cascade) -> dg.DailyPartitionsDefinition:
    """One UTC day a partition, from the cascade's first day to its last, or to yesterday."""
    end = cascade.last_day + timedelta(days=1) if cascade.last_day else None
    return dg.DailyPartitionsDefinition(
        start_date=cascade.first_day.isoformat(), end_date=end.isoformat() if end else None, timezone="UTC"
    )


def spec(cascade: Cascade, table: tuple[str, ...], step: str, description: str, **more: Any) -> dg.AssetSpec:
    """An asset of the cascade with what all of them share: the asset of `table`, in the cascade's group.

    Args:
        step: of the flow; a tag, to select by: `tag:step=5_students`.
        description: its first sentence stands in the box of the graph.
    """
    note = f"\n\nData: {cascade.note}." if cascade.note else ""
    return dg.AssetSpec(
        key=asset_key(table),
        group_name=cascade.name,
        description=description + note,
        owners=sorted({cascade.owner, more.pop("owner", cascade.owner)}),
        kinds=set(more.pop("kinds", ["deltalake"])),
        tags={"cascade": cascade.name, "step": step, **_note_tag(cascade.note)},
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
    return dg.AssetDep(asset_key(table), partition_mapping=mapping)


def window_days(dep: dg.AssetDep) -> int:
    """How many partitions of what it depends on a partition reads, the day's own included."""
    mapping = dep.partition_mapping
    return 1 - mapping.start_offset if isinstance(mapping, dg.TimeWindowPartitionMapping) else 1


def same_day(table: tuple[str, ...]) -> dg.AssetDep:
    """A dependency on the same day of another cascade, whose days may begin or end elsewhere."""
    with warnings.catch_warnings():
        # The parameter is in beta; the version of Dagster is pinned and a test runs both cascades.
        warnings.simplefilter("ignore", dg.BetaWarning)
        mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return dg.AssetDep(asset_key(table), partition_mapping=mapping)
