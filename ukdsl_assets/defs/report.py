"""Group 8: the report of a day, one HTML file for people, from what the day has published."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.checks import errors_as_failures, result
from ukdsl_assets.defs.graph.keys import REPORT, asset_key, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, pictures_of
from ukdsl_assets.defs.graph.publishing import Events, day_of
from ukdsl_assets.pipeline.page_policy import estimated_policies, off_policy_table
from ukdsl_assets.pipeline.workspace import Table, Workspace

# What the report of a student is made of, of one that selects its features, and of the cascade itself.
OF_STUDENT = ("evaluation", "release")
OF_SELECTION = ("feature_union", "selection_comparison")
OF_CASCADE = ("candidate_log", "impressions", "stage_calibration")


def report_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, report]"""
    table: Table = (cascade.name, "report")
    upstream: list[Table] = [(cascade.name, name) for name in OF_CASCADE]
    upstream += [(cascade.name, student.name, name) for student in cascade.students for name in OF_STUDENT]
    selecting = [student for student in cascade.students if student.selection is not None]
    upstream += [(cascade.name, student.name, name) for student in selecting for name in OF_SELECTION]
    upstream += [off_policy_table(cascade, of) for of in estimated_policies(cascade)]
    described = spec(
        cascade,
        table,
        REPORT,
        "The day for people, behind the link `report`. One HTML file that needs no network and prints on A4: "
        "verdicts, the funnel, calibration of the "
        "stages, and of every student what distillation did, reliability, segments, trends, selected features, gates "
        "and releases, and what their policies would earn where that is estimated.",
        kinds={"html"},
        deps=[asset_key(key) for key in upstream],
    )

    @dg.multi_asset(name="__".join(table), specs=[described])
    def report(context: dg.AssetExecutionContext) -> Events:
        from ukdsl_assets.reports.html import write_report

        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            written = write_report(day.settings, cascade, day.date)
            names = [part.student.name for part in written.report.students]
            shown = {**link_to_report(day), **pictures_of(day, names), "bytes": written.bytes}
            yield result(table, written.version, shown)

    return [report]
