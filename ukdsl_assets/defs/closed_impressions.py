"""Group 2, where labels keep arriving: impressions read again once their attribution windows have closed."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.graph.checks import check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import TABLES, asset_key, since, spec
from ukdsl_assets.defs.graph.publishing import Events, day_of, publish_staged
from ukdsl_assets.learning.training.delayed_feedback import DELAY_DAYS
from ukdsl_assets.pipeline.closed_impressions import RULES, stage_closed
from ukdsl_assets.pipeline.workspace import Table, Workspace


def closed_impression_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, closed_impressions], where a student corrects its labels or waits for them."""
    if not any(student.delayed_feedback for student in cascade.students):
        return []
    table: Table = (cascade.name, CLOSED_IMPRESSIONS)
    described = spec(
        cascade,
        table,
        TABLES,
        "Impressions and final labels of the newest day whose attribution windows have all closed, as known at this "
        "partition's clock; no rows before the first window has closed.",
        kinds={"duckdb", "sql", "deltalake"},
        # Read from the source once more; the day's own logs come first, so that days are simulated in order.
        deps=[asset_key((cascade.name, "event_log"))],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, RULES))
    def closed_impressions(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            closed = stage_closed(day_of(context, workspace, cascade))
            yield from publish_staged(context, workspace, closed.staged, closed.results, closed.inputs, {})

    return [closed_impressions]


def delay_dependencies(cascade: Cascade, student: Student) -> list[dg.AssetDep]:
    """What a model or evaluation of the student reads of `closed_impressions` itself."""
    return [since((cascade.name, CLOSED_IMPRESSIONS), DELAY_DAYS)] if student.delayed_feedback == "correct" else []
