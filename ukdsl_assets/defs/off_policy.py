"""Group 6, where a cascade declares `off_policy`: what a student's policy would earn, from explored rows."""

from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.evaluation import DECIDES
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import EVALUATION, asset_key, since, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, verdict
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.off_policy.gates import RULES, judge_off_policy
from ukdsl_assets.off_policy.table import MEANINGS
from ukdsl_assets.pipeline.off_policy import TABLE, estimated_day, inputs_of, policies_of, trailing_estimates
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.off_policy import policy_markdown, policy_sentence


def off_policy_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, student, off_policy] of each student of the last stage, where the cascade declares `off_policy`."""
    return [_off_policy_asset(cascade, workspace, student) for student in cascade.estimated_students]


def off_policy_dependencies(cascade: Cascade, student: Student) -> list[dg.AssetDep]:
    """What a release reads of the estimates; nothing where they are only told."""
    if student.release.off_policy == "told":
        return []
    return [since((cascade.name, student.name, TABLE), cascade.evaluation_days)]


def _off_policy_asset(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """The table is published whatever it says; its gate decides on the release where the declaration says so."""
    table: Table = (cascade.name, student.name, TABLE)
    described = spec(
        cascade,
        table,
        EVALUATION,
        f"What pages would earn if {student.name} ordered them, estimated from explored rows and their propensities, "
        "and what production earns, with 95% intervals.",
        kinds={"polars", "deltalake"},
        deps=[
            asset_key((cascade.name, "candidate_log")),
            asset_key((cascade.name, "impressions")),
            *(asset_key((cascade.name, each.name, "distilled_checkpoint")) for each in cascade.estimated_students),
        ],
    )
    decides = student.release.off_policy == "above_production"
    gates = {name: text + (DECIDES if decides and name != next(iter(RULES)) else "") for name, text in RULES.items()}

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates, blocking=False)
    )
    def off_policy(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            policies = policies_of(day, student)
            frame, inputs = estimated_day(day, student, policies), inputs_of(day, policies)
            results: list[GateResult] = []

            def shown() -> dict[str, Any]:
                # Judged over days of the lake, this one among them.
                days = trailing_estimates(day, student)
                results.extend(judge_off_policy(cascade, student, days, day.date))
                told = {"estimates": dg.MarkdownMetadataValue(policy_markdown(frame))}
                return {**verdict(results, policy_sentence(cascade, student, days)), **told, **link_to_report(day)}

            made = committed(context, workspace, day.lake.stage_frame(table, day.date, frame), inputs, shown, MEANINGS)
            yield from check_results(table, results)
            yield made

    return off_policy
