"""Write, judge, publish: a partition is staged, judged, and committed only if no gate of severity ERROR failed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import check_results, refuse_if_blocked, result
from ukdsl_assets.defs.graph.pictures import VERDICT
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.lake.tables.lake import StagedPartition
from ukdsl_assets.lake.tables.undated import publish_whole
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.workspace import Table, Workspace

Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]


def publish_frame(
    context: dg.AssetExecutionContext,
    day: Day,
    table: Table,
    frame: pl.DataFrame,
    results: Sequence[GateResult],
    inputs: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> Events:
    """Publish a frame that was judged in memory; nothing is written when a gate blocks."""
    yield from check_results(table, results)
    refuse_if_blocked({table: results})
    staged = day.lake.stage_frame(table, day.date, frame)
    yield committed(context, day.workspace, staged, inputs or {}, metadata or {}, descriptions)


def publish_staged(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    staged: StagedPartition,
    results: Sequence[GateResult],
    inputs: Mapping[str, str],
    metadata: Mapping[str, Any],
    descriptions: Mapping[str, str] | None = None,
    record: Mapping[str, str] | None = None,
) -> Events:
    """Publish files that were judged after they were written; they are removed when a gate blocks."""
    table = staged.table
    yield from check_results(table, results)
    if blocking(results):
        workspace.lake.discard(staged)
    refuse_if_blocked({table: results})
    yield committed(context, workspace, staged, inputs, metadata, descriptions or {}, record)


def committed(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    staged: StagedPartition,
    inputs: Mapping[str, str],
    metadata: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    descriptions: Mapping[str, str] | None = None,
    record: Mapping[str, str] | None = None,
) -> dg.MaterializeResult:
    """Commit a staged partition and describe it for the UI; `descriptions` are of columns, by name, and `metadata` may
    be made once the commit stands.

    The run's id, the inputs' versions and `record` go into the commit. What the asset says of itself comes first. An
    asset with a `verdict` begins with it: Dagster would put a section of columns before it, so they are linked instead.
    """
    versions = {f"input:{name}": version for name, version in inputs.items()}
    published = workspace.lake.commit(staged, {"run_id": context.run.run_id, **versions, **(record or {})})
    said = metadata() if callable(metadata) else metadata
    shown: dict[str, Any] = {
        "dagster/partition_row_count": published.rows,
        "dagster/table_name": "/".join(staged.table),
        "dagster/uri": workspace.lake.table_uri(staged.table),
        "columns" if VERDICT in said else "dagster/column_schema": columns_of(staged, descriptions or {}),
        "delta_version": published.version,
        "bytes": published.bytes,
        "shards": len(published.files),
    }
    return result(staged.table, published.data_version, {**said, **shown})


def committed_beside(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    staged: StagedPartition,
    inputs: Mapping[str, str],
    descriptions: Mapping[str, str],
) -> dict[str, Any]:
    """Commit a table that has no asset of its own, but belongs to another: metadata for that one."""
    versions = {f"input:{name}": version for name, version in inputs.items()}
    published = workspace.lake.commit(staged, {"run_id": context.run.run_id, **versions})
    name = staged.table[-1]
    return {
        f"{name} columns": columns_of(staged, descriptions),
        f"{name} rows": published.rows,
    }


def columns_of(staged: StagedPartition, meanings: Mapping[str, str]) -> dg.TableSchema:
    """The columns of a staged table with their types, and what each means where `meanings` says so."""
    return dg.TableSchema(
        [dg.TableColumn(name, str(dtype), meanings.get(name)) for name, dtype in staged.schema.items()]
    )


def committed_undated(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    table: Table,
    frame: pl.DataFrame,
    descriptions: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> dg.MaterializeResult:
    """Commit a table without days, which was judged before, and describe it; `descriptions` are of its columns."""
    published = publish_whole(workspace.settings.tables, table, frame, {"run_id": context.run.run_id})
    columns = [dg.TableColumn(name, str(dtype), descriptions[name]) for name, dtype in frame.schema.items()]
    shown: dict[str, Any] = {
        "dagster/row_count": published.rows,
        "dagster/table_name": "/".join(table),
        "dagster/uri": published.uri,
        "dagster/column_schema": dg.TableSchema(columns),
        "delta_version": published.version,
    }
    return result(table, published.data_version, {**shown, **metadata})


def day_of(context: dg.AssetExecutionContext, workspace: Workspace, cascade: Cascade) -> Day:
    """The cascade on the partition's day."""
    return Day(workspace, cascade, date.fromisoformat(context.partition_key))
