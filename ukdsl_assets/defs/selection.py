"""Group 4: features chosen from importance on shown and on considered rows, for students that declare a selection.

A day's selection is what students are trained with from the next day on.
"""

from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.graph.checks import check_results, check_specs, errors_as_failures, refuse_if_blocked, result
from ukdsl_assets.defs.graph.keys import SELECTION, asset_key, since, spec
from ukdsl_assets.defs.graph.pictures import link_to_report, rankings
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of, publish_frame
from ukdsl_assets.pipeline.progress import training_progress
from ukdsl_assets.pipeline.selection import (
    IMPORTANCE,
    checkpoint_name,
    comparison_readers,
    judged_rows,
    mapped_by,
    measured_importance,
    readers_elsewhere,
    selected_before,
)
from ukdsl_assets.pipeline.students import TrainedArm, arm_rules, as_student, shard_readers, train_arm
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.selection_section import comparison_markdown
from ukdsl_assets.selection.choice import MEANINGS as CHOICE_MEANINGS
from ukdsl_assets.selection.choice import choice_table, chosen_of
from ukdsl_assets.selection.comparison import MEANINGS as COMPARISON_MEANINGS
from ukdsl_assets.selection.comparison import compare_rules, marked
from ukdsl_assets.selection.gates import RULES, judge_selection
from ukdsl_assets.selection.simplified import selection_of, simplified
from ukdsl_assets.selection.tables import MEANINGS as IMPORTANCE_MEANINGS
from ukdsl_assets.selection.tables import scores_from


def selection_assets(cascade: Cascade, workspace: Workspace) -> list[dg.AssetsDefinition]:
    """The five assets of each student that declares a selection."""
    makers = (simplified_student, importance, feature_union, selection_comparison)
    selecting = [student for student in cascade.students if student.selection is not None]
    return [make(cascade, workspace, student) for student in selecting for make in makers]


def simplified_student(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, simplified_student]: trained on all candidates, as often as declared."""
    table: Table = (cascade.name, student.name, "simplified_student")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    selection = selection_of(student)
    described = spec(
        cascade,
        table,
        SELECTION,
        f"{student.name} with all {len(cascade.candidates_of(student))} candidate features, on labelled and "
        f"teacher-labelled rows; {selection.trainings} training(s), whose importance is averaged.",
        kinds={"pytorch" if (selection.architecture or student.architecture).is_network else "lightgbm"},
        deps=[since(rows, selection.window_days)],
    )

    gates = arm_rules(student, "distilled")

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates))
    def checkpoints(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            trained: list[TrainedArm] = []
            for training in range(selection.trainings):
                declared = simplified(cascade, student, training)
                progress = training_progress(context.log.info, f"{student.name} simplified, training {training + 1}")
                trained.append(train_arm(day, declared, "distilled", progress, name=checkpoint_name(training)))
            # Each gate holds for every training; the first that fails is shown.
            by_gate = zip(*(arm.results for arm in trained), strict=True)
            results = [next((verdict for verdict in same if not verdict.passed), same[0]) for same in by_gate]
            yield from check_results(table, results)
            refuse_if_blocked({table: results})
            for arm in trained:
                day.checkpoints.publish(arm.checkpoint)
            version = "-".join(arm.checkpoint.version for arm in trained)
            yield result(table, version, trained[0].figures | {"trainings": len(trained)})

    return checkpoints


def importance(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, impression_importance] and [cascade, student, consideration_importance]."""
    tables: dict[str, Table] = {domain: (cascade.name, student.name, name) for domain, name in IMPORTANCE.items()}
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    selection = selection_of(student)
    where = {IMP: "shown rows, against labels", CD: "considered rows, against the teacher"}
    specs = [
        spec(
            cascade,
            tables[domain],
            SELECTION,
            f"How much NE rises when a candidate feature of {student.name} is permuted over withheld {where[domain]}; "
            "one half of the withheld requests, the other judges the choice.",
            kinds={"numba", "deltalake"},
            deps=[
                asset_key((cascade.name, student.name, "simplified_student")), since(rows, selection.window_days)
            ],
        )
        for domain in IMPORTANCE
    ]  # fmt: skip

    @dg.multi_asset(name="__".join((*tables[IMP][:2], "importance")), specs=specs)
    def importances(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            checkpoints = [
                day.checkpoints.load(day.table(student.name, checkpoint_name(training)), day.date)
                for training in range(selection.trainings)
            ]
            days = day.window(rows, selection.window_days)
            students = [as_student(checkpoint) for checkpoint in checkpoints]
            measured = measured_importance(day, student, days, students, context.log.info)
            inputs = {checkpoint.key[-1]: checkpoint.version for checkpoint in checkpoints} | day.versions(rows)
            # Both tables are staged before either is committed.
            staged = [day.lake.stage_frame(tables[domain], day.date, measured[domain]) for domain in IMPORTANCE]
            for partition in staged:
                yield committed(context, workspace, partition, inputs, {}, IMPORTANCE_MEANINGS)

    return importances


def feature_union(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, feature_union]: what the declared rule chooses, and what every other one would have."""
    table: Table = (cascade.name, student.name, "feature_union")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    importance = {domain: (cascade.name, student.name, name) for domain, name in IMPORTANCE.items()}
    selection, features = selection_of(student), cascade.candidates_of(student)
    others: list[Table] = [
        (cascade.name, other.name, "teacher_augmented") for other in cascade.students if other != student
    ]
    use = "is trained with from the next day on" if student.features == "selected" else "could be trained with"
    described = spec(
        cascade,
        table,
        SELECTION,
        f"The features that {student.name} {use}, by rule {selection.rule}, and what every rule would choose.",
        kinds={"polars", "deltalake"},
        deps=[asset_key(key) for key in (*importance.values(), rows, *others)],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, RULES))
    def union(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            rankings_of = {domain: day.lake.scan(key, [day.date]).collect() for domain, key in importance.items()}
            towers = student.architecture.kind == "two_tower"
            chosen = choice_table(scores_from(rankings_of, features), features, selection, towers)
            held, before = judged_rows(day, student), selected_before(day, table)
            elsewhere = readers_elsewhere(day, student)
            results = judge_selection(cascade, student, chosen, rankings_of, held, before, elsewhere)
            inputs = day.versions(*importance.values(), rows)
            metadata: dict[str, Any] = {
                "chosen": ", ".join(chosen_of(chosen)),
                **rankings(rankings_of, chosen),
                **link_to_report(day),
            }
            yield from publish_frame(context, day, table, chosen, results, inputs, metadata, CHOICE_MEANINGS)

    return union


def selection_comparison(cascade: Cascade, workspace: Workspace, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, selection_comparison]: table 2 of the paper, of the day."""
    table: Table = (cascade.name, student.name, "selection_comparison")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    union: Table = (cascade.name, student.name, "feature_union")
    log: Table = (cascade.name, "candidate_log")
    selection = selection_of(student)
    described = spec(
        cascade,
        table,
        SELECTION,
        f"NE on the other half of the withheld rows of {student.name} trained anew with what each rule chose, relative "
        "to impression importance alone (paper, table 2); IMP against labels, CD against the teacher, both against the "
        "truth where it is known.",
        kinds={"polars", "deltalake"},
        deps=[
            asset_key(union), since(rows, selection.window_days), *([asset_key(log)] if cascade.has_truth else [])
        ],
    )  # fmt: skip

    @dg.multi_asset(name="__".join(table), specs=[described])
    def comparison(context: dg.AssetExecutionContext) -> Events:
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            days = day.window(rows, selection.window_days)
            read = shard_readers(day, rows, days, max(day.on(past_day).partition(rows).version for past_day in days))
            compared = compare_rules(
                cascade,
                student,
                marked(day.lake.scan(union, [day.date]).collect()),
                read,
                comparison_readers(day, student),
                day.settings.training_threads,
                context.log.info,
                mapped_by(day, rows),
            )
            inputs = day.versions(union, rows)
            judged = f"half of the withheld requests of {day.date}, by which no rule chose"
            data = f"{cascade.note}, {judged}, seed {student.seed}; NE relative to rule impression"
            metadata = {"table 2": dg.MarkdownMetadataValue(comparison_markdown(compared, data))}
            yield from publish_frame(context, day, table, compared, [], inputs, metadata, COMPARISON_MEANINGS)

    return comparison
