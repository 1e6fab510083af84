"""Group 5: calibration and normalized entropy of every arm and head on the day's withheld requests."""

from collections.abc import Mapping
from datetime import date

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade, Student, truth_column
from ukdsl_assets.defs.gates import check_results, check_specs, told_plainly
from ukdsl_assets.defs.keys import EVALUATION, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.defs.students import as_student
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.learning.audit import judge_student
from ukdsl_assets.learning.evaluation import MEANINGS, evaluate
from ukdsl_assets.learning.students import ARMS, Arm, predict_student
from ukdsl_assets.reports.tables import evaluation_markdown

GATES = {
    "calibrated_on_consideration": "The distilled student agrees with its teacher on withheld considered rows.",
    "calibrated_on_impression": "It agrees with the labels of withheld impressions, at two standard errors.",
    "normalized_entropy_on_impression_kept": "Its NE on impressions is not worse than the baseline's by the bound.",
    "normalized_entropy_on_consideration_kept": "Its NE on considered rows is not worse by the bound.",
}


def evaluation_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, student, evaluation] of each student."""
    return [evaluation_asset(cascade, platform, student) for student in cascade.students]


def evaluation_asset(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
    """The table is published whatever it says; its gates decide on the release."""
    table: Table = (cascade.name, student.name, "evaluation")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    log: Table = (cascade.name, "candidate_log")
    tables = [rows, log] if cascade.has_truth else [rows]
    arms = [(cascade.name, student.name, f"{arm}_checkpoint") for arm in ARMS]
    described = spec(
        cascade,
        table,
        EVALUATION,
        f"Calibration and normalized entropy of {student.name} on withheld requests: IMP against labels, "
        "CD against the teacher, both against the truth where it is known; NE relative to the baseline arm.",
        kinds={"polars", "deltalake"},
        deps=[dg.AssetKey(key) for key in (*tables, *arms)],
    )

    @dg.multi_asset(
        name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, GATES, blocking=False)
    )
    def evaluation(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            inputs = platform.versions(day, *tables)
            found = {arm: platform.checkpoints.load((cascade.name, student.name, arm), day) for arm in ARMS}
            held = with_truth(cascade, platform, student, withheld_rows(platform, rows, day), day)
            judged = evaluated(cascade, student, held, found)
            yield from check_results(table, judge_student(cascade, student, judged))
            staged = platform.lake.stage_frame(table, day, judged)
            inputs |= {str(arm): each.version for arm, each in found.items()}
            shown = {
                "evaluation": dg.MarkdownMetadataValue(
                    evaluation_markdown(judged, f"{cascade.note}, seed {student.seed}, withheld requests of {day}")
                )
            }
            yield committed(context, platform, staged, inputs, shown, MEANINGS)

    return evaluation


def evaluated(cascade: Cascade, student: Student, held: pl.DataFrame, found: Mapping[Arm, Checkpoint]) -> pl.DataFrame:
    """The evaluation table of the arms' checkpoints, with the version of each."""
    predictions = {
        (str(arm), head): probability
        for arm, checkpoint in found.items()
        for head, probability in predict_student(as_student(checkpoint), held).items()
    }
    versions = {str(arm): checkpoint.version for arm, checkpoint in found.items()}
    return evaluate(held, predictions).select(
        pl.lit(cascade.name).alias("cascade"),
        pl.lit(cascade.note).alias("note"),
        pl.lit(student.name).alias("student"),
        pl.all(),
        pl.col("arm").replace_strict(versions).alias("checkpoint"),
    )


def withheld_rows(platform: Platform, table: Table, day: date) -> pl.DataFrame:
    """The day's rows of teacher_augmented that no arm was trained on."""
    return platform.lake.scan(table, [day]).filter("withheld").collect()


def with_truth(cascade: Cascade, platform: Platform, student: Student, rows: pl.DataFrame, day: date) -> pl.DataFrame:
    """The rows with a column `truth` from the log's audit column, where the source knows it."""
    if not cascade.has_truth:
        return rows
    keys = ["request_id", "candidate_id"]
    log = platform.lake.scan((cascade.name, "candidate_log"), [day])
    wanted = rows.lazy().select(keys).unique()
    truth = log.select(*keys, pl.col(truth_column(student.task)).alias("truth")).join(wanted, on=keys, how="semi")
    return rows.lazy().join(truth, on=keys, how="left", maintain_order="left").collect()
