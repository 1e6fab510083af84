"""Group 4: features chosen from importance on shown and on considered rows, for students that declare a selection.

A day's selection is what students are trained with from the next day on.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.defs.evaluation import held_shards, released_before
from ukdsl_assets.defs.gates import check_results, check_specs, refuse_if_blocked, result, told_plainly
from ukdsl_assets.defs.keys import SELECTION, since, spec
from ukdsl_assets.defs.pictures import link_to_report, rankings
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.progress import training_progress
from ukdsl_assets.defs.publishing import Events, committed, day_of, publish_frame
from ukdsl_assets.defs.students import (
    TrainedArm,
    as_selected,
    as_student,
    gates_of,
    shard_readers,
    train_arm,
)
from ukdsl_assets.reports.selection_section import comparison_markdown
from ukdsl_assets.selection.choice import MEANINGS as CHOICE_MEANINGS
from ukdsl_assets.selection.choice import choice_table, chosen_of
from ukdsl_assets.selection.comparison import MEANINGS as COMPARISON_MEANINGS
from ukdsl_assets.selection.comparison import compare_rules, marked
from ukdsl_assets.selection.halves import halves
from ukdsl_assets.selection.importance_tables import MEANINGS as IMPORTANCE_MEANINGS
from ukdsl_assets.selection.importance_tables import importance_tables, scores_from
from ukdsl_assets.selection.judge import RULES, judge_selection
from ukdsl_assets.selection.sampled_rows import sample_of_shards
from ukdsl_assets.selection.simplified import selection_of, simplified

# Domain of teacher_augmented -> table of importance on it.
IMPORTANCE = {"IMP": "impression_importance", "CD": "consideration_importance"}


def selection_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """The five assets of each student that declares a selection."""
    makers = (simplified_student, importance, feature_union, selection_comparison)
    selecting = [student for student in cascade.students if student.selection is not None]
    return [make(cascade, platform, student) for student in selecting for make in makers]


def simplified_student(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
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
        kinds={"lightgbm" if (selection.architecture or student.architecture).kind == "lightgbm" else "pytorch"},
        deps=[since(rows, selection.window_days)],
    )

    gates = gates_of(student, "distilled")

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, gates))
    def checkpoints(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            trained: list[TrainedArm] = []
            for training in range(selection.trainings):
                declared = simplified(cascade, student, training)
                progress = training_progress(context.log.info, f"{student.name} simplified, training {training + 1}")
                trained.append(
                    train_arm(platform, cascade, declared, "distilled", day, progress, name=checkpoint_name(training))
                )
            # Each gate holds for every training; the first that fails is told.
            by_gate = zip(*(each.results for each in trained), strict=True)
            results = [next((each for each in same if not each.passed), same[0]) for same in by_gate]
            yield from check_results(table, results)
            refuse_if_blocked({table: results})
            for each in trained:
                platform.checkpoints.publish(each.checkpoint)
            version = "-".join(each.checkpoint.version for each in trained)
            yield result(table, version, trained[0].figures | {"trainings": len(trained)})

    return checkpoints


def checkpoint_name(training: int) -> str:
    """Last part of a simplified student's key in the checkpoint store."""
    return f"simplified_{training}"


def importance(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, impression_importance] and [cascade, student, consideration_importance]."""
    tables: dict[str, Table] = {domain: (cascade.name, student.name, name) for domain, name in IMPORTANCE.items()}
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    selection, features = selection_of(student), cascade.candidates_of(student)
    where = {"IMP": "shown rows, against labels", "CD": "considered rows, against the teacher"}
    specs = [
        spec(
            cascade,
            tables[domain],
            SELECTION,
            f"How much NE rises when a candidate feature of {student.name} is permuted over withheld {where[domain]}; "
            "one half of the withheld requests, the other judges the choice.",
            kinds={"numba", "deltalake"},
            deps=[
                dg.AssetKey((cascade.name, student.name, "simplified_student")), since(rows, selection.window_days)
            ],
        )
        for domain in IMPORTANCE
    ]  # fmt: skip

    @dg.multi_asset(name="__".join((*tables["IMP"][:2], "importance")), specs=specs)
    def importances(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            found = [
                platform.checkpoints.load((cascade.name, student.name, checkpoint_name(training)), day)
                for training in range(selection.trainings)
            ]
            days = platform.window(rows, day, selection.window_days)
            made = importance_tables(
                [as_student(each) for each in found],
                measured_rows(platform, rows, days, selection.rows, student.seed),
                features,
                selection,
                student.seed,
                platform.settings.threads,
                context.log.info,
            )
            inputs = {each.key[-1]: each.version for each in found} | platform.versions(day, rows)
            # Both tables are staged before either is committed.
            staged = [platform.lake.stage_frame(tables[domain], day, made[domain]) for domain in IMPORTANCE]
            for each in staged:
                yield committed(context, platform, each, inputs, {}, IMPORTANCE_MEANINGS)

    return importances


def feature_union(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
    """[cascade, student, feature_union]: what the declared rule chooses, and what every other one would have."""
    table: Table = (cascade.name, student.name, "feature_union")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    importance = {domain: (cascade.name, student.name, name) for domain, name in IMPORTANCE.items()}
    selection, features = selection_of(student), cascade.candidates_of(student)
    others: list[Table] = [
        (cascade.name, each.name, "teacher_augmented") for each in cascade.students if each != student
    ]
    use = "is trained with from the next day on" if student.features == "selected" else "could be trained with"
    described = spec(
        cascade,
        table,
        SELECTION,
        f"The features that {student.name} {use}, by rule {selection.rule}, and what every rule would choose.",
        kinds={"polars", "deltalake"},
        deps=[dg.AssetKey(each) for each in (*importance.values(), rows, *others)],
    )

    @dg.multi_asset(name="__".join(table), specs=[described], check_specs=check_specs(cascade, table, RULES))
    def union(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            found = {domain: platform.lake.scan(key, [day]).collect() for domain, key in importance.items()}
            towers = student.architecture.kind == "two_tower"
            chosen = choice_table(scores_from(found, features), features, selection, towers)
            held, before = judged_rows(cascade, platform, student, day), selected_before(platform, table, day)
            elsewhere = readers_elsewhere(cascade, platform, student, day)
            results = judge_selection(cascade, student, chosen, found, held, before, elsewhere)
            inputs = platform.versions(day, *importance.values(), rows)
            told: dict[str, Any] = {
                "chosen": ", ".join(chosen_of(chosen)),
                **rankings(found, chosen),
                **link_to_report(platform, cascade, day),
            }
            yield from publish_frame(context, platform, table, chosen, results, inputs, told, CHOICE_MEANINGS)

    return union


def selection_comparison(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
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
            dg.AssetKey(union), since(rows, selection.window_days), *([dg.AssetKey(log)] if cascade.has_truth else [])
        ],
    )  # fmt: skip

    @dg.multi_asset(name="__".join(table), specs=[described])
    def comparison(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            days = platform.window(rows, day, selection.window_days)
            read = shard_readers(platform, rows, days, max(platform.partition(rows, each).version for each in days))
            held = (halves(shard, student.seed)[1] for shard in held_shards(cascade, platform, student, day))
            compared = compare_rules(
                cascade,
                student,
                marked(platform.lake.scan(union, [day]).collect()),
                read,
                held,
                platform.settings.training_threads,
                context.log.info,
            )
            inputs = platform.versions(day, union, rows)
            judged = f"half of the withheld requests of {day}, by which no rule chose"
            data = f"{cascade.note}, {judged}, seed {student.seed}; NE relative to rule impression"
            told = {"table 2": dg.MarkdownMetadataValue(comparison_markdown(compared, data))}
            yield from publish_frame(context, platform, table, compared, [], inputs, told, COMPARISON_MEANINGS)

    return comparison


def measured_rows(platform: Platform, table: Table, days: list[date], most: int, seed: int) -> pl.DataFrame:
    """The rows that importance is measured on: of half the withheld requests, at most `most` rows of each domain."""
    shards = [shard.filter("withheld") for day in days for shard in platform.lake.scan_shards(table, [day])]
    ids, rows = (
        (halves(shard.collect(), seed)[0] for shard in read)
        for read in ([shard.select("day", "request_id", "domain") for shard in shards], shards)
    )
    return sample_of_shards(ids, rows, most, seed, by_domain=True)


def judged_rows(cascade: Cascade, platform: Platform, student: Student, day: date) -> pl.DataFrame:
    """The rows that a selection is judged on: of withheld requests, as many as importance is measured on at most.

    Domains are drawn together, so that a considered row's shown twin is there if it was shown.
    """
    table: Table = (cascade.name, student.name, "teacher_augmented")
    shards = platform.lake.scan_shards(table, [day])
    ids = (shard.filter("withheld").select("day", "request_id", "domain").collect() for shard in shards)
    rows = held_shards(cascade, platform, student, day)
    return sample_of_shards(ids, rows, 2 * selection_of(student).rows, student.seed, by_domain=False)


def selected_before(platform: Platform, table: Table, day: date) -> pl.DataFrame | None:
    """feature_union of the newest published day before, None where there is none."""
    newest = max((each for each in platform.lake.partitions(table) if each < day), default=None)
    return None if newest is None else platform.lake.scan(table, [newest]).collect()


def readers_elsewhere(
    cascade: Cascade, platform: Platform, student: Student, day: date
) -> Mapping[str, tuple[set[str], set[str]]]:
    """Who else reads features, and which features hold values in the rows that they read; see `judge_selection`."""
    readers = {}
    for other in cascade.students:
        rows: Table = (cascade.name, other.name, "teacher_augmented")
        names = [feature.name for feature in cascade.columns_of(other)]
        there = platform.lake.scan(rows, [day]).select(pl.col(names).is_not_null().any()).collect()
        columns = {name for name in names if there[name].item()}
        if other.name != student.name:
            features = cascade.features_of(as_selected(platform, cascade, other, day))
            readers[other.name] = ({feature.name for feature in features}, columns)
            continue
        readers["segments"] = (set(cascade.segments) & set(names), columns)
        released = released_before(platform.checkpoints.release_history((cascade.name, other.name)), day)
        if released is not None:
            key = (cascade.name, other.name, released["arm"])
            found = platform.checkpoints.load(key, date.fromisoformat(released["day"]), released["checkpoint"])
            features = as_student(found).encoder.features
            readers["what is released"] = ({feature.name for feature in features}, columns)
    return readers
