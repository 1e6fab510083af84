"""Group 6: each day's challenger against what serves, on the same rows."""

from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.closed_impressions import delay_dependencies
from ukdsl_assets.defs.evaluation import DECIDES
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import EVALUATION, asset_key, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, verdict
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of
from ukdsl_assets.gates import GateResult
from ukdsl_assets.learning.evaluation.champion_gates import RULES, judge_champion
from ukdsl_assets.learning.evaluation.champion_table import MEANINGS
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.pipeline.champion import compared, matches_of, trailing
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.champion import champion_markdown, champion_sentences, champion_trends


def champion_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, student, champion_comparison] of each student."""
    return [champion_asset(cascade, workspace, student) for student in cascade.students]


def champion_asset(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """The table is published whatever it says; its gates decide on the release, over `evaluation_days` of it."""
    table: Table = (cascade.name, student.name, "champion_comparison")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    described = spec(
        cascade,
        table,
        EVALUATION,
        f"{student.name} against what serves, on the same rows. NE of the day's student on withheld requests of the "
        "day, and that of the day before on all requests of the day, which it has not seen. Where nothing was released "
        "before, the baseline of the same day is the champion.",
        kinds={"polars", "deltalake"},
        deps=[
            asset_key(rows),
            *(asset_key((cascade.name, student.name, f"{arm}_checkpoint")) for arm in ARMS),
            *delay_dependencies(cascade, student),
        ],
    )
    gates = {name: text + DECIDES for name, text in RULES.items()}

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates, blocking=False)
    )
    def champion_comparison(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            matches = matches_of(day, student)
            frame = compared(day, student, matches)
            inputs = day.versions(rows)
            for match in matches:
                inputs[f"{match.when} challenger"] = match.challenger.version
                inputs[f"{match.when} champion"] = match.champion.version
            results: list[GateResult] = []

            def shown() -> dict[str, Any]:
                # Judged over days of the lake, this one among them.
                days = trailing(day, student)
                results.extend(judge_champion(cascade, student, days, day.date))
                told = "\n".join(champion_sentences(student, days, day.date))
                table = {"champion": dg.MarkdownMetadataValue(champion_markdown(frame))}
                return {**verdict(results, told), **table, **link_to_report(day), **champion_trends(frame)}

            made = committed(context, workspace, day.lake.stage_frame(table, day.date, frame), inputs, shown, MEANINGS)
            yield from check_results(table, results)
            yield made

    return champion_comparison
