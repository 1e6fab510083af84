"""Group 6: calibration, normalized entropy and AUC of every arm and head on withheld requests."""

from typing import Any

import dagster as dg
import polars as pl
from dagster._core.storage.tags import PRIORITY_TAG

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.closed_impressions import delay_dependencies
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import EVALUATION, asset_key, since, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, overview, picture_of, verdict
from ukdsl_assets.defs.graph.publishing import Events, committed, committed_beside, day_of
from ukdsl_assets.learning.evaluation.by_group import MEANINGS as GROUP_MEANINGS
from ukdsl_assets.learning.evaluation.gates import RULES, judge_student
from ukdsl_assets.learning.evaluation.product_gates import product_rules
from ukdsl_assets.learning.evaluation.table import MEANINGS
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.pipeline.delays import known_delays, labels_message
from ukdsl_assets.pipeline.evaluation import checkpoints_of, earlier_checkpoints, evaluated
from ukdsl_assets.pipeline.product import product_of, students_given, tables_of_product
from ukdsl_assets.pipeline.scored import ScoredLog, earlier_readers, judged_readers, share_told, with_trailing
from ukdsl_assets.pipeline.shards import scratch
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.printed import evaluation_markdown, groups_markdown, headline, trends, withheld_requests
from ukdsl_assets.reports.segments import with_names

# Dagster calls these checks non-blocking: they do not stop the day.
DECIDES = " Where it fails, and not only warns, the student is not released."


def evaluation_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, student, evaluation] of each student, which makes the table calibration_by_group too."""
    return [evaluation_asset(cascade, workspace, student) for student in cascade.students]


def evaluation_asset(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """Both tables are published whatever they say; the gates of the first decide on the release.

    They are made in two passes over the rows and judged together, so that they are one asset; calibration_by_group is
    committed first, and a day with an evaluation has both.
    """
    table: Table = (cascade.name, student.name, "evaluation")
    grouped: Table = (cascade.name, student.name, "calibration_by_group")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    log: Table = (cascade.name, "candidate_log")
    tables = [rows, log, *tables_of_product(cascade, student)]
    predicting = [student, *students_given(cascade, student)]
    arms = [(cascade.name, each.name, f"{arm}_checkpoint") for each in predicting for arm in ARMS]
    described = spec(
        cascade,
        table,
        EVALUATION,
        f"How {student.name} does on withheld requests: calibration, normalized entropy and AUC of both arms and of "
        "what was released before. IMP: shown rows, against labels; CD: what the next stage scored, against the "
        "teacher; SCORED and OWN: all that its stage scored, and what it would itself hand on; EXPLORED: shown by "
        "chance. Table calibration_by_group beside it: by decile and segment.",
        kinds={"polars", "deltalake"},
        deps=[
            *(since(key, cascade.evaluation_days) for key in tables),
            *(asset_key(key) for key in arms),
            *delay_dependencies(cascade, student),
        ],
    )

    rules = RULES | product_rules(cascade, student)
    gates = {name: text + DECIDES for name, text in rules.items()}

    @dg.multi_asset(
        name="__".join(table),
        specs=[described],
        check_specs=check_specs(cascade, table, gates, blocking=False),
        # The longest of a day's last steps: what starts late ends the day late.
        op_tags={PRIORITY_TAG: "1"},
    )
    def evaluation(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day, serving = day_of(context, workspace, cascade), student.served_heads[-1]
            checkpoints = checkpoints_of(day, student)
            earlier = earlier_checkpoints(day, student, checkpoints)
            before = [(models, earlier_readers(day, each, student)) for each, models in earlier.items()]
            days, scored = [*earlier, day.date], ScoredLog.of(day, student)
            held = judged_readers(day, student, scored)
            product = product_of(day, student, {**earlier, day.date: checkpoints})
            with scratch(day) as folder:
                judged, by_group = evaluated(
                    cascade, student, held, checkpoints, before, product, workspace.engine, folder
                )
            judged, pooled = with_trailing(day, student, judged)
            results = judge_student(cascade, student, judged)
            yield from check_results(table, results)
            inputs = day.versions(*tables)
            for each, models in earlier.items():
                for read in (rows, *tables_of_product(cascade, student)):
                    inputs[f"{'/'.join(read)}/{each}"] = day.on(each).partition(read).data_version
                inputs |= {f"{arm}/{each}": checkpoint.version for arm, checkpoint in models.items()}
            inputs |= pooled | {arm: checkpoint.version for arm, checkpoint in checkpoints.items()}
            for other in students_given(cascade, student):
                inputs |= {f"{other.name}/{arm}": each.version for arm, each in checkpoints_of(day, other).items()}
            staged, staged_groups = (
                day.lake.stage_frame(key, day.date, frame) for key, frame in ((table, judged), (grouped, by_group))
            )
            data = f"{cascade.note}, seed {student.seed}, {withheld_requests([len(days)], day.date)}"
            beside = committed_beside(context, workspace, staged_groups, inputs, MEANINGS | GROUP_MEANINGS)
            drawn = (frame.with_columns(day=pl.lit(day.date)) for frame in (judged, by_group))
            metadata: dict[str, Any] = {
                **verdict(results, headline(serving, judged), picture_of(day, student.name)),
                **link_to_report(day),
                **trends(serving, judged),
                **overview(day, student.name, *drawn),
                "evaluation": dg.MarkdownMetadataValue(evaluation_markdown(judged, data)),
                "calibration": dg.MarkdownMetadataValue(groups_markdown(with_names(cascade, by_group), serving)),
                "days": ", ".join(map(str, days)),
                **share_told(scored),
                **labels_message(cascade, student, known_delays(day, student)),
                **beside,
            }
            yield committed(context, workspace, staged, inputs, metadata, MEANINGS)

    return evaluation
