"""Group 3: teachers, each with one table of labels that every student reads, judged before it is published."""

from dataclasses import replace
from functools import partial

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher, LoggedTeacher, TrainedTeacher
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures, refuse_if_blocked, result
from ukdsl_assets.defs.graph.keys import TEACHERS, asset_key, since, spec
from ukdsl_assets.defs.graph.publishing import Events, day_of, publish_staged
from ukdsl_assets.defs.tables import sql_asset
from ukdsl_assets.defs.teacher_audit import audit_asset
from ukdsl_assets.learning.teachers import trained
from ukdsl_assets.learning.teachers.gates import teacher_rules
from ukdsl_assets.learning.training.delayed_feedback import labels_as_seen_messages
from ukdsl_assets.pipeline.progress import training_progress
from ukdsl_assets.pipeline.shards import discarded_on_error, threads_of_a_shard
from ukdsl_assets.pipeline.tables import table_model
from ukdsl_assets.pipeline.teacher_labels import judge_labels, label_audit, stage_labels
from ukdsl_assets.pipeline.teachers import checkpoint_rules, loaded_teacher, train_teacher
from ukdsl_assets.pipeline.workspace import Table, Workspace

LOGGED_MODEL = "logged_teacher_labels"
MODELS = {"trained": "LightGBM", "foundation": "One network"}
KINDS = {"trained": {"lightgbm"}, "foundation": {"pytorch"}}


def teacher_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_labels] and teacher_audit of each teacher, and teacher_checkpoint of the trained ones.

    Labels of those of other cascades need more than their own: see `cross_domain`.
    """
    assets = []
    for teacher in cascade.teachers:
        assets.append(audit_asset(cascade, workspace, teacher))
        if teacher.logged:
            assets.append(logged_labels(cascade, workspace, teacher))
        elif teacher.trained_here:
            assets += [trained_checkpoint(cascade, workspace, teacher), trained_labels(cascade, workspace, teacher)]
    return assets


def logged_labels(cascade: Cascade, workspace: Workspace, teacher: LoggedTeacher) -> dg.AssetsDefinition:
    """What a later stage predicted when it served, as labels: an SQL model, judged by the teacher's gates too."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")

    model = table_model(cascade, workspace, LOGGED_MODEL, table, teacher=teacher)

    model = replace(model, audit=label_audit(cascade, teacher))
    return sql_asset(cascade, workspace, model, TEACHERS, teacher_rules(cascade, teacher))


def trained_checkpoint(
    cascade: Cascade, workspace: Workspace, teacher: TrainedTeacher | FoundationTeacher
) -> dg.AssetsDefinition:
    """Trees or a network, trained on the impressions of a rolling window that are not withheld."""
    table: Table = (cascade.name, teacher.name, "teacher_checkpoint")
    impressions: Table = (cascade.name, "impressions")
    label_messages = labels_as_seen_messages(cascade, cascade.tasks_taught(teacher))
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"{MODELS[teacher.kind]} for {', '.join(cascade.tasks_taught(teacher))} on {teacher.window_days} days of "
        f"impressions, with every feature known at {teacher.stage}."
        + "".join(f" Labels of {message}." for message in label_messages.values()),
        kinds=KINDS[teacher.kind],
        deps=[since(impressions, teacher.window_days)],
    )

    checks = check_specs(cascade, table, checkpoint_rules())

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=checks)
    def checkpoint(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            of_day = train_teacher(day, teacher, training_progress(context.log.info, teacher.name))
            yield from check_results(table, of_day.results)
            refuse_if_blocked({table: of_day.results})
            day.checkpoints.publish(of_day.checkpoint)
            version = of_day.checkpoint.version
            yield result(table, version, {"checkpoint": version, **of_day.figures, **label_messages})

    return checkpoint


def trained_labels(
    cascade: Cascade, workspace: Workspace, teacher: TrainedTeacher | FoundationTeacher
) -> dg.AssetsDefinition:
    """The teacher's predictions on every row, shown or considered, that its stage scored."""
    table: Table = (cascade.name, teacher.name, "teacher_labels")
    sources: list[Table] = [(cascade.name, "impressions"), (cascade.name, "considerations")]
    described = spec(
        cascade,
        table,
        TEACHERS,
        f"Predictions of {teacher.name} for all rows that {teacher.stage} scored, computed once a day.",
        kinds=KINDS[teacher.kind] | {"deltalake"},
        deps=[asset_key((*table[:2], "teacher_checkpoint")), *(asset_key(key) for key in sources)],
    )
    rules = teacher_rules(cascade, teacher)

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, rules))
    def labels(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            checkpoint = day.checkpoints.load(table[:2], day.date)
            inputs = {**day.versions(*sources), "teacher_checkpoint": checkpoint.version}
            predict = partial(trained.predict, loaded_teacher(checkpoint), threads=threads_of_a_shard(day))
            staged, shards = stage_labels(day, teacher, table, sources, predict)
            with discarded_on_error(day, staged):
                results = judge_labels(cascade, teacher, [shard.sums for shard in shards])
            yield from publish_staged(context, workspace, staged, results, inputs, {})

    return labels
