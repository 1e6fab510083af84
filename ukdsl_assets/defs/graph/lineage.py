"""Column lineage of an SQL model, for Dagster and as a table that people can read."""

from typing import Any

import dagster as dg

from ukdsl_assets.defs.graph.keys import asset_key
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.tables import TableModel
from ukdsl_assets.sql.lineage import Lineage, column_lineage
from ukdsl_assets.sql.render import RenderedModel


def lineage_metadata(day: Day, model: TableModel) -> dict[str, Any]:
    """Metadata `dagster/column_lineage` and `columns` (description and origin of each column)."""
    rendered, upstream = model.rendered, model.upstream
    columns = {name: day.lake.scan(table, [day.date]).collect_schema().names() for name, table in upstream.items()}
    lineage = column_lineage(rendered, columns)
    return {
        "dagster/column_lineage": dg.TableColumnLineage({
            column: [dg.TableColumnDep(asset_key(upstream[table]), name) for table, name in origins]
            for column, origins in lineage.items()
        }),
        "columns": dg.MarkdownMetadataValue(lineage_markdown(rendered, lineage)),
    }  # fmt: skip


def lineage_markdown(rendered: RenderedModel, lineage: Lineage) -> str:
    """One row a column: its type, what it means, and the upstream columns that it comes from."""
    lines = ["| column | type | meaning | comes from |", "| --- | --- | --- | --- |"]
    for name, column in rendered.columns.items():
        origins = ", ".join(f"{table}.{origin}" for table, origin in lineage.get(name, [])) or "a bound value"
        lines.append(f"| {name} | {column.type} | {column.description} | {origins} |")
    return "\n".join(lines)
