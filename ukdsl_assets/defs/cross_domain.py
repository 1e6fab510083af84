"""Group 3: teachers from other cascades. Their figures here are published before their labels may be."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from ukdsl_assets.cascade import Cascade
from ukdsl_assets.cross_domain import CrossDomainTeacher
from ukdsl_assets.defs.evaluation import released_before
from ukdsl_assets.defs.gates import check_specs, told_plainly
from ukdsl_assets.defs.keys import TEACHERS, same_day, since, spec
from ukdsl_assets.defs.platform import Platform, Table
from ukdsl_assets.defs.publishing import Events, committed, day_of, publish_staged
from ukdsl_assets.defs.recalibration import recalibration_of
from ukdsl_assets.defs.teacher_labels import KEYS, judged, shown_and_labelled, write_labels
from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints import Checkpoint
from ukdsl_assets.lake.staging import removed_on_error
from ukdsl_assets.learning.cross_domain import ForeignModel, foreign_labels, foreign_model
from ukdsl_assets.learning.recalibration import Line, recalibrated
from ukdsl_assets.learning.teacher_audit import teacher_rules
from ukdsl_assets.learning.teacher_evaluation import (
    MEANINGS,
    constant_rules,
    evaluate_teacher,
    judge_against_constant,
)
from ukdsl_assets.reports.tables import teacher_markdown
from ukdsl_assets.sql.withheld import withheld

SOURCE_MEANINGS = {
    "cascade": "the cascade that is taught",
    "note": "what data the figures are of",
    "teacher": "the teacher",
    "source": "cascade and model that it is",
    "source_day": "day of its checkpoint",
    "source_checkpoint": "version of its checkpoint",
}
# What is said of the labels, by the declared recalibration.
HOW = {
    "none": "",
    "labels": " Each task's logits are moved along a line fitted to the impressions of {days} days up to the day that "
    "are not withheld.",
}
LABELS_MEANING = {"labels": "whether they are the model's as it is, or recalibrated by this cascade's own labels"}


def cross_domain_assets(
    cascade: Cascade, cascades: Mapping[str, Cascade], platform: Platform
) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_evaluation] and [cascade, teacher, teacher_labels] of each cross-domain teacher."""
    return [
        labels_asset(cascade, cascades[teacher.cascade], platform, teacher)
        for teacher in cascade.teachers
        if teacher.kind == "cross_domain"
    ]


def labels_asset(
    cascade: Cascade, other: Cascade, platform: Platform, teacher: CrossDomainTeacher
) -> dg.AssetsDefinition:
    """The evaluation is published whatever it says; its gates decide whether the labels are."""
    labels: Table = (cascade.name, teacher.name, "teacher_labels")
    evaluation: Table = (cascade.name, teacher.name, "teacher_evaluation")
    sources: list[Table] = [(cascade.name, "impressions"), (cascade.name, "considerations")]
    window = teacher.window_days if teacher.recalibration == "labels" else 1
    deps = [since(sources[0], window), dg.AssetKey(sources[1]), same_day(model_asset(other, teacher.model))]
    of = f"{teacher.model} of cascade {teacher.cascade}"
    described = {
        evaluation: f"Calibration, NE and AUC of {of}, used as it is, on this cascade's withheld impressions"
        + ("." if teacher.recalibration == "none" else "; and recalibrated, as its labels are."),
        labels: f"Predictions of {of} for all rows that {teacher.stage} scored here; the newest model up to the day."
        + HOW[teacher.recalibration].format(days=window),
    }
    specs = [spec(cascade, table, TEACHERS, text, deps=deps) for table, text in described.items()]
    rules = {**teacher_rules(cascade, teacher), **constant_rules(list(teacher.tasks))}

    @dg.multi_asset(name="__".join(labels), specs=specs, check_specs=check_specs(cascade, labels, rules))
    def cross_domain_labels(context: dg.AssetExecutionContext) -> Events:
        with told_plainly():
            day = day_of(context)
            found = newest_model(other, teacher.model, platform, day)
            inputs = {**platform.versions(day, *sources), "/".join(found.key): f"{found.day}/{found.version}"}
            model = foreign_model(found.metadata, found.tensors, found.text, platform.settings.threads)
            moved = recalibration_of(cascade, platform, teacher, model, day)
            inputs |= moved.versions
            label = partial(labelled, cascade, teacher, model, moved.lines)
            files = write_labels(cascade, platform, teacher, labels, sources, day, label)
            with removed_on_error(files):
                figures = evaluated_on_withheld(cascade, platform, teacher, day, files)
                results = [
                    *judged(cascade, platform, teacher, day, files),
                    *judge_against_constant(cascade, figures, teacher.allow_worse_than_constant),
                ]
                of_labels = platform.lake.stage_files(labels, day, files)
            told = {"source checkpoint": f"{'/'.join(found.key)}, {found.day}, {found.version}", **moved.told}
            both = moved.beside(figures)
            staged = platform.lake.stage_frame(evaluation, day, with_source(cascade, teacher, found, both))
            shown: dict[str, Any] = {"evaluation": dg.MarkdownMetadataValue(teacher_markdown(both, cascade.note))}
            meanings = SOURCE_MEANINGS | LABELS_MEANING | MEANINGS
            yield committed(context, platform, staged, inputs, told | shown, meanings)
            yield from publish_staged(context, platform, of_labels, results, inputs, told, record=moved.told)

    return cross_domain_labels


def labelled(
    cascade: Cascade,
    teacher: CrossDomainTeacher,
    model: ForeignModel,
    lines: Mapping[str, Line],
    rows: pl.DataFrame,
) -> pl.DataFrame:
    """Labels of rows that are sorted by key, on their lines."""
    return recalibrated(foreign_labels(cascade, teacher, model, rows), lines)


def model_asset(other: Cascade, model: str) -> Table:
    """The asset whose materialization makes a newer model of the other cascade known: a student's is its release."""
    of_student = model in [student.name for student in other.students]
    return (other.name, model, "release" if of_student else "teacher_checkpoint")


def newest_model(other: Cascade, model: str, platform: Platform, day: date) -> Checkpoint:
    """The newest published checkpoint of a trained teacher, or released one of a student, of the day or before it.

    One of the same day has seen that day's logs of the other cascade, none of this one's, and nothing later.

    Raises:
        LakeError: when there is none.
    """
    key: Table = (other.name, model)
    until = day + timedelta(days=1)
    if model_asset(other, model)[-1] == "release":
        entry = released_before(platform.checkpoints.release_history(key), until)
        if entry is not None:
            of = date.fromisoformat(entry["day"])
            return platform.checkpoints.load((*key, entry["arm"]), of, entry["checkpoint"])
    elif (of_teacher := platform.checkpoints.newest_before(key, until)) is not None:
        return platform.checkpoints.load(key, of_teacher)
    raise LakeError(
        f"{'/'.join(key)}: nothing is {'released' if model_asset(other, model)[-1] == 'release' else 'published'} for "
        f"{day} or a day before below {platform.settings.lake}; run cascade {other.name} first: "
        f"ukdsl run {other.name} --days {day}"
    )


def evaluated_on_withheld(
    cascade: Cascade, platform: Platform, teacher: CrossDomainTeacher, day: date, files: Sequence[str]
) -> pl.DataFrame:
    """The teacher's figures on the day's shown rows that no model is trained on; of others nothing is kept.

    Args:
        files: of the day's labels, as in `shown_and_labelled`.
    """
    impressions, labels = [], []
    columns = [task.name for task in cascade.tasks]
    for shown, said in shown_and_labelled(cascade, platform, teacher, day, files, columns):
        impressions.append(shown.filter(withheld(shown["request_id"], cascade.withheld_share)))
        labels.append(said.join(impressions[-1].lazy(), on=KEYS, how="semi").collect())
    return evaluate_teacher(pl.concat(labels), pl.concat(impressions), list(teacher.tasks))


def with_source(
    cascade: Cascade, teacher: CrossDomainTeacher, found: Checkpoint, figures: pl.DataFrame
) -> pl.DataFrame:
    """The figures with the columns of `SOURCE_MEANINGS` before them."""
    values = (
        cascade.name,
        cascade.note,
        teacher.name,
        f"{teacher.cascade}/{teacher.model}",
        str(found.day),
        found.version,
    )
    named = [pl.lit(value).alias(name) for name, value in zip(SOURCE_MEANINGS, values, strict=True)]
    return figures.select(*named, pl.all())
