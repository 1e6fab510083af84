"""Group 6: calibration, normalized entropy and AUC of every arm and head on withheld requests."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade, Feature, truth_column
from ukdsl_assets.declared_students import Student
from ukdsl_assets.defs.gates import check_results, check_specs, told_plainly
from ukdsl_assets.defs.keys import EVALUATION, since, spec
from ukdsl_assets.defs.labels import corrected, delay_dependencies, known_delays, told_of_labels
from ukdsl_assets.defs.pictures import link_to_report, overview
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of
from ukdsl_assets.defs.students import as_student
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.learning.audit import judge_student
from ukdsl_assets.learning.delayed_feedback import corrected_target
from ukdsl_assets.learning.evaluation import MEANINGS, evaluate_shards
from ukdsl_assets.learning.groups import MEANINGS as GROUP_MEANINGS
from ukdsl_assets.learning.groups import calibration_by_group_of_shards
from ukdsl_assets.learning.scored import Scored, ScoredShards, kept_on_disk
from ukdsl_assets.learning.students import ARMS, predictor
from ukdsl_assets.learning.totals import totals_of
from ukdsl_assets.reports.tables import evaluation_markdown, groups_markdown, trends, withheld_requests

# Dagster calls these checks non-blocking: they do not stop the day.
DECIDES = " Where it fails, and not only warns, the student is not released."
GATES = {
    "calibrated_on_consideration": "The distilled student agrees with its teacher on withheld considered rows.",
    "calibrated_on_impression": "It agrees with the labels of withheld impressions, at two standard errors.",
    "normalized_entropy_on_impression_kept": "Its NE on impressions exceeds the baseline's by at most the bound.",
    "normalized_entropy_on_consideration_kept": "Its NE on considered rows exceeds it by at most the bound.",
}
KEYS = ["request_id", "candidate_id"]
# What predictions are compared with, and by.
COMPARED = (*KEYS, "domain", "target", "weight", "truth")


def evaluation_assets(cascade: Cascade, platform: Platform) -> list[dg.AssetsDefinition]:
    """[cascade, student, evaluation] and [cascade, student, calibration_by_group] of each student."""
    return [evaluation_asset(cascade, platform, student) for student in cascade.students]


def evaluation_asset(cascade: Cascade, platform: Platform, student: Student) -> dg.AssetsDefinition:
    """The tables are published whatever they say; the gates of the first decide on the release."""
    table: Table = (cascade.name, student.name, "evaluation")
    grouped: Table = (cascade.name, student.name, "calibration_by_group")
    rows: Table = (cascade.name, student.name, "teacher_augmented")
    log: Table = (cascade.name, "candidate_log")
    tables = [rows, log] if cascade.has_truth else [rows]
    arms = [(cascade.name, student.name, f"{arm}_checkpoint") for arm in ARMS]
    described = {
        table: f"Calibration, normalized entropy and AUC of {student.name} on withheld requests: IMP against labels, "
        "CD against the teacher, both against the truth where it is known; NE relative to the baseline arm. Arm "
        "released: the student released before the day, when it is materialized (progressive validation).",
        grouped: f"Calibration of {student.name} on withheld requests by decile of the prediction and by segment.",
    }
    specs = [
        spec(
            cascade,
            each,
            EVALUATION,
            description,
            kinds={"polars", "deltalake"},
            deps=[
                *(since(key, cascade.evaluation_days) for key in tables),
                *(dg.AssetKey(key) for key in arms),
                *delay_dependencies(cascade, student),
            ],
        )
        for each, description in described.items()
    ]

    gates = {name: text + DECIDES for name, text in GATES.items()}

    @dg.multi_asset(name="__".join(table), specs=specs, check_specs=check_specs(cascade, table, gates, blocking=False))
    def evaluation(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day, serving = day_of(context), student.served_heads[-1]
            days = judged_days(cascade, platform, student, day)
            inputs = platform.versions(day, *tables)
            inputs |= {f"{'/'.join(rows)}/{each}": platform.partition(rows, each).data_version for each in days[:-1]}
            found = checkpoints_of(cascade, platform, student, day)
            held = (shard for each in days for shard in held_shards(cascade, platform, student, each, day))
            judged, by_group = evaluated(cascade, student, held, found)
            yield from check_results(table, judge_student(cascade, student, judged))
            inputs |= {arm: each.version for arm, each in found.items()}
            staged, staged_groups = (
                platform.lake.stage_frame(*each) for each in ((table, day, judged), (grouped, day, by_group))
            )
            data = f"{cascade.note}, seed {student.seed}, {withheld_requests(cascade, day)}"
            shown = {"calibration": dg.MarkdownMetadataValue(groups_markdown(by_group, serving))}
            yield committed(context, platform, staged_groups, inputs, shown, MEANINGS | GROUP_MEANINGS)
            drawn = judged.with_columns(day=pl.lit(day)), by_group.with_columns(day=pl.lit(day))
            told: dict[str, Any] = {
                "evaluation": dg.MarkdownMetadataValue(evaluation_markdown(judged, data)),
                "days": ", ".join(map(str, days)),
                **overview({student.name: drawn}),
                **told_of_labels(cascade, student, known_delays(platform, cascade, student, day)),
                **link_to_report(platform, cascade, day),
                **trends(serving, judged),
            }
            yield committed(context, platform, staged, inputs, told, MEANINGS)

    return evaluation


def checkpoints_of(cascade: Cascade, platform: Platform, student: Student, day: date) -> dict[str, Checkpoint]:
    """The day's checkpoint of each arm, and under `released` what was released before the day, if it can predict."""
    key = (cascade.name, student.name)
    found = {str(arm): platform.checkpoints.load((*key, arm), day) for arm in ARMS}
    before = released_before(platform.checkpoints.release_history(key), day)
    if before is None:
        return found
    of = date.fromisoformat(before["day"])
    released = platform.checkpoints.load((*key, before["arm"]), of, before["checkpoint"])
    columns = platform.lake.scan((*key, "teacher_augmented"), [day]).collect_schema().names()
    return {**found, "released": released} if can_predict(released, cascade, student, columns) else found


def released_before(history: Sequence[Mapping[str, Any]], day: date) -> Mapping[str, Any] | None:
    """The release of the newest day strictly before `day`, so that a rerun finds the one that the first run found.

    Args:
        history: of `release_history`, oldest decision first.
    """
    days = [each["entry"] for each in history if each["outcome"] == "released" and each["entry"]["day"] < str(day)]
    newest = max((entry["day"] for entry in days), default=None)
    return next((entry for entry in reversed(days) if entry["day"] == newest), None)


def can_predict(checkpoint: Checkpoint, cascade: Cascade, student: Student, columns: Sequence[str]) -> bool:
    """Whether a checkpoint of an earlier declaration is of today's task and its features are among today's columns."""
    today = {feature.name: feature for feature in cascade.features_of(student)}

    def same(feature: Feature) -> bool:
        now = today.get(feature.name)
        parts = ("kind", "values", "hash_buckets", "pooling", "width", "side", "served_as")
        return now is not None and all(getattr(now, part) == getattr(feature, part) for part in parts)

    features = as_student(checkpoint).encoder.features
    declared = checkpoint.metadata["declaration"]["task"] == student.task
    return declared and all(feature.name in columns and same(feature) for feature in features)


def evaluated(
    cascade: Cascade, student: Student, shards: Iterable[pl.DataFrame], found: Mapping[str, Checkpoint]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables evaluation and calibration_by_group of checkpoints by arm; the first has the version of each.

    Args:
        shards: of `held_shards`; predictions and what they are compared with wait on disk.
    """
    features = {feature.name for feature in cascade.features_of(student)}
    segments = [name for name in cascade.segments if name in features]
    versions = {str(arm): checkpoint.version for arm, checkpoint in found.items()}
    names = {"cascade": cascade.name, "note": cascade.note, "student": student.name}
    of_whom = [pl.lit(value).alias(name) for name, value in names.items()]
    with TemporaryDirectory() as folder:
        scored = scored_shards(shards, found, [*COMPARED, *segments], Path(folder))
        totals = totals_of(scored)
        table = evaluate_shards(scored, totals, student.seed)
        by_group = calibration_by_group_of_shards(scored, totals, segments, student.seed)
    return (
        table.select(*of_whom, pl.all(), pl.col("arm").replace_strict(versions).alias("checkpoint")),
        by_group.select(*of_whom, pl.all()),
    )


def scored_shards(
    shards: Iterable[pl.DataFrame], found: Mapping[str, Checkpoint], columns: Sequence[str], folder: Path
) -> ScoredShards:
    """The shards with the predictions of every checkpoint, each kept in the folder, which exists.

    Args:
        columns: what is kept of each, of those that are there.
    """
    predictors = {str(arm): predictor(as_student(checkpoint)) for arm, checkpoint in found.items()}
    kept = []
    for number, shard in enumerate(shards):
        predictions = {(arm, head): p for arm, predict in predictors.items() for head, p in predict(shard).items()}
        rows = shard.select(name for name in columns if name in shard.columns)
        kept.append(kept_on_disk(Scored(rows, predictions), folder / f"{number}.parquet"))
    return kept


def judged_days(cascade: Cascade, platform: Platform, student: Student, day: date) -> list[date]:
    """The trailing days whose withheld requests are judged: those whose rows have every feature of the student.

    Rows of before a feature was declared read as null, which no day's training has seen.
    """
    table: Table = (cascade.name, student.name, "teacher_augmented")
    features = {feature.name for feature in cascade.features_of(student)}
    days = platform.window(table, day, cascade.evaluation_days)
    return [each for each in days if each == day or features <= {*platform.lake.columns(table, each)}]


def held_shards(
    cascade: Cascade, platform: Platform, student: Student, day: date, known: date | None = None
) -> Iterator[pl.DataFrame]:
    """The day's rows of teacher_augmented that no arm was trained on, labels corrected and the truth beside them.

    One shard at a time.

    Args:
        known: the later day that judges by them: its knowledge of delays corrects labels, and what a teacher said that
            the student has had before is left out.
    """
    table: Table = (cascade.name, student.name, "teacher_augmented")
    delays, truth = known_delays(platform, cascade, student, known or day), logged_truth(cascade, platform, student)
    shards = platform.lake.scan_shards(table, [day])
    for shard, scan in enumerate(shards):
        held = scan.filter("withheld")
        if known not in (None, day):
            held = held.filter((pl.col("domain") == "IMP") | (pl.col("teacher") == student.teacher))
        rows = corrected(cascade, student, delays, held.collect())
        rows = rows.with_columns(target=corrected_target(rows))
        if truth is None:
            yield rows
            continue
        days = rows["requested_at"].dt.date().unique().sort()
        logged = [part for each in days for part in truth(each, shard, len(shards))]
        yield with_truth(rows, logged)


def logged_truth(
    cascade: Cascade, platform: Platform, student: Student
) -> Callable[[date, int, int], list[pl.LazyFrame]] | None:
    """What finds the keys and `truth` of a day's log in a shard of n, nothing where the day is not published.

    Of a log with as many shards it is the same one, since a request's rows are in the same shard of every table. None
    where the source does not know the truth.
    """
    if not cascade.has_truth:
        return None
    table: Table = (cascade.name, "candidate_log")
    published = set(platform.lake.partitions(table))
    columns = [*KEYS, pl.col(truth_column(student.task)).alias("truth")]

    @cache
    def shards(day: date) -> list[pl.LazyFrame]:
        return [scan.select(columns) for scan in platform.lake.scan_shards(table, [day])]

    def found(day: date, shard: int, count: int) -> list[pl.LazyFrame]:
        if day not in published:
            return []
        return [shards(day)[shard]] if len(shards(day)) == count else shards(day)

    return found


def with_truth(rows: pl.DataFrame, logged: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """The rows with a column `truth`, null where no log has it; logged: keys and `truth`."""
    if not logged:
        return rows.with_columns(truth=pl.lit(None, pl.Float32))
    truth = pl.concat(logged).join(rows.lazy().select(KEYS).unique(), on=KEYS, how="semi")
    return rows.lazy().join(truth, on=KEYS, how="left", maintain_order="left").collect()
