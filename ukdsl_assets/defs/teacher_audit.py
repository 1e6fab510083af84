"""Group 3: teacher_audit, a teacher's calibration on explored rows of the trailing days, and a check."""

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import TEACHERS, since, spec
from ukdsl_assets.defs.graph.pictures import verdict
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of
from ukdsl_assets.learning.teachers.exploration import MEANINGS
from ukdsl_assets.learning.teachers.verdicts import audit_rules, corrections_told, judge_exploration
from ukdsl_assets.pipeline.exploration import audit_inputs, audited
from ukdsl_assets.pipeline.workspace import Table, Workspace


def audit_asset(cascade: Cascade, workspace: Workspace, teacher: Teacher) -> dg.AssetsDefinition:
    """[cascade, teacher, teacher_audit]: published whatever its figures are; its checks do not block."""
    table: Table = (cascade.name, teacher.name, "teacher_audit")
    read = audit_inputs(cascade, teacher)
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"Whether {teacher.name} can be believed. "
        f"Calibration on rows that exploration showed, weighted by 1 / propensity, on the day and "
        f"over {cascade.exploration_days} days, with 95% intervals, and the correction that they support; the same, as "
        "it is and corrected, on withheld explored rows, and on withheld impressions against a constant.",
        kinds={"polars", "deltalake"},
        deps=[since(key, cascade.exploration_days if key in read[:2] else 1) for key in read],
    )
    rules = audit_rules(cascade, teacher)
    checks = check_specs(cascade, table, rules, blocking=False)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def audit(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            frame = audited(day, teacher)
            results = judge_exploration(cascade, frame)
            yield from check_results(table, results)
            staged = day.lake.stage_frame(table, day.date, frame)
            told = {f"correction of {task}": text for task, text in corrections_told(frame).items()}
            yield committed(context, workspace, staged, day.versions(*read), {**verdict(results), **told}, MEANINGS)

    return audit
