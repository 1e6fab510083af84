"""Group 6, where a cascade declares `off_policy`: what a student's policy, or the page, would earn, from explored rows.

The page has an asset of its own: it reads the checkpoints of all its students of the day, whose own tables and releases
need not wait for one another.
"""

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
from ukdsl_assets.off_policy.gates import RULES, WEIGHTS_TRUE, judge_off_policy, judge_weights
from ukdsl_assets.off_policy.table import MEANINGS
from ukdsl_assets.pipeline.off_policy import estimated_day, inputs_of, policies_of, trailing_estimates
from ukdsl_assets.pipeline.page_policy import Estimated, estimated_policies, off_policy_table
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.reports.off_policy import policy_markdown, policy_sentence


def off_policy_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, student, off_policy] of each student of the last stage, where the cascade declares `off_policy`; and
    [cascade, off_policy] of the page, where it declares one of such students."""
    return [_off_policy_asset(cascade, workspace, of) for of in estimated_policies(cascade)]


def off_policy_dependencies(cascade: Cascade, student: Student) -> list[dg.AssetDep]:
    """What a release reads of the estimates; nothing where they are only told."""
    if student.release.off_policy == "told":
        return []
    return [since(off_policy_table(cascade, student), cascade.evaluation_days)]


def _off_policy_asset(cascade: Cascade, workspace: Workspace, of: Estimated) -> dg.AssetsDefinition:
    """The table is published whatever it says; a student's gate decides on its release where that is declared."""
    table = off_policy_table(cascade, of)
    student = of if isinstance(of, Student) else None
    who = f"if {student.name} ordered them" if student else "if the declared page of the day's students were shown"
    described = spec(
        cascade,
        table,
        EVALUATION,
        f"What {'pages' if student else 'requests'} would earn {who}, estimated from explored rows and their "
        "propensities, and what production earns, with 95% intervals.",
        kinds={"polars", "deltalake"},
        deps=[
            asset_key((cascade.name, "candidate_log")),
            asset_key((cascade.name, "impressions")),
            *(asset_key((cascade.name, each.name, "distilled_checkpoint")) for each in cascade.estimated_students),
        ],
    )
    decides = student is not None and student.release.off_policy == "above_production"
    gates = {name: text + (DECIDES if decides and name != WEIGHTS_TRUE else "") for name, text in RULES.items()}
    if student is None:
        # A page is no student's to release: what it would earn is told.
        gates = {WEIGHTS_TRUE: RULES[WEIGHTS_TRUE]}

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates, blocking=False)
    )
    def off_policy(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            policies = policies_of(day, of)
            frame, inputs = estimated_day(day, of, policies), inputs_of(day, policies)
            results: list[GateResult] = []

            def shown() -> dict[str, Any]:
                # Judged over days of the lake, this one among them.
                days = trailing_estimates(day, of)
                judged = [judge_weights(days.filter(day=day.date))]
                results.extend(judge_off_policy(cascade, student, days, day.date) if student else judged)
                told = {"estimates": dg.MarkdownMetadataValue(policy_markdown(frame))}
                return {**verdict(results, policy_sentence(cascade, of, days)), **told, **link_to_report(day)}

            made = committed(context, workspace, day.lake.stage_frame(table, day.date, frame), inputs, shown, MEANINGS)
            yield from check_results(table, results)
            yield made

    return off_policy
