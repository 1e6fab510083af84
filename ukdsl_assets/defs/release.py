"""Group 7: the pointer `released` of a student moves to a checkpoint whose gates all passed, and never otherwise."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures, result
from ukdsl_assets.defs.graph.keys import RELEASE, asset_key, since, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, picture_of
from ukdsl_assets.defs.graph.publishing import Events, day_of
from ukdsl_assets.defs.off_policy import off_policy_dependencies
from ukdsl_assets.pipeline.release import RULES, decide, how_to_score
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.printed import history_markdown

# The newest decisions are shown; all are kept.
SHOWN_DECISIONS = 30


def release_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, student, release] of each student."""
    return [release_asset(cascade, workspace, student) for student in cascade.students]


def release_asset(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """Releases a distilled checkpoint, or records why it was refused or could not be judged."""
    table: Table = (cascade.name, student.name, "release")
    evaluation: Table = (cascade.name, student.name, "evaluation")
    comparison: Table = (cascade.name, student.name, "champion_comparison")
    checkpoint: Table = (cascade.name, student.name, "distilled_checkpoint")
    audit: Table = (cascade.name, student.teacher, "teacher_audit")
    described = spec(
        cascade,
        table,
        RELEASE,
        f"Which checkpoint of {student.name} is released, its history, and why a day was refused or not judged.",
        kinds={"json"},
        deps=[
            asset_key(audit),
            asset_key(evaluation),
            since(comparison, cascade.evaluation_days),
            asset_key(checkpoint),
            *off_policy_dependencies(cascade, student),
        ],
    )

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, RULES, blocking=False)
    )
    def release(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            decision = decide(day, student)
            yield from check_results(table, [decision.verdict])
            history = day.checkpoints.release_history(table[:2], last=SHOWN_DECISIONS)
            released = day.checkpoints.released(table[:2])
            yield result(
                table,
                decision.checkpoint,
                {
                    "decision": decision.message,
                    **link_to_report(day),
                    "picture": dg.MetadataValue.md(picture_of(day, student.name)),
                    "released": released["checkpoint"] if released else "nothing yet",
                    # A command and a folder are too long for a column.
                    **({"how to score": how_to_score(day.settings, table[:2], released)} if released else {}),
                    "history": dg.MarkdownMetadataValue(history_markdown(history)),
                },
            )

    return release
