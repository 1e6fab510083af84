"""Group 3: teachers from other cascades. Their figures here are published before their labels may be."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.defs.graph.checks import check_specs, errors_as_failures
from ukdsl_assets.defs.graph.keys import TEACHERS, asset_key, same_day, since, spec
from ukdsl_assets.defs.graph.publishing import Events, committed, day_of, publish_staged
from ukdsl_assets.learning.cross_domain.evaluation import MEANINGS, constant_rules, judge_against_constant
from ukdsl_assets.learning.cross_domain.foreign import foreign_model
from ukdsl_assets.learning.teachers.gates import teacher_rules
from ukdsl_assets.pipeline.cross_domain import (
    SOURCE_MEANINGS,
    evaluated_on_withheld,
    labelled,
    model_asset,
    newest_model,
    with_source,
)
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.recalibration import recalibration_of
from ukdsl_assets.pipeline.shards import discarded_on_error
from ukdsl_assets.pipeline.teacher_labels import judge_labels, stage_labels
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.printed import teacher_markdown

# What the description of the labels adds, by the declared recalibration.
HOW = {
    "none": "",
    "labels": " Each task's logits are moved along a line fitted to the impressions of {days} days up to the day that "
    "are not withheld.",
}
LABELS_MEANING = {"labels": "whether they are the model's as it is, or recalibrated by this cascade's own labels"}


def cross_domain_assets(
    cascade: Cascade, cascades: Mapping[str, Cascade], workspace: Workspace
) -> list[dg.AssetsDefinition]:
    """[cascade, teacher, teacher_evaluation] and [cascade, teacher, teacher_labels] of each cross-domain teacher."""
    return [
        labels_asset(cascade, cascades[teacher.cascade], workspace, teacher)
        for teacher in cascade.teachers
        if teacher.foreign
    ]


def labels_asset(
    cascade: Cascade, other: Cascade, workspace: Workspace, teacher: CrossDomainTeacher
) -> dg.AssetsDefinition:
    """The evaluation is published whatever it says; its gates decide whether the labels are."""
    labels: Table = (cascade.name, teacher.name, "teacher_labels")
    evaluation: Table = (cascade.name, teacher.name, "teacher_evaluation")
    sources: list[Table] = [(cascade.name, "impressions"), (cascade.name, "considerations")]
    window = teacher.window_days if teacher.recalibration == "labels" else 1
    deps = [since(sources[0], window), asset_key(sources[1]), same_day(model_asset(other, teacher.model))]
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
        with errors_as_failures():
            day = day_of(context, workspace, cascade)
            source = newest_model(Day(workspace, other, day.date), teacher.model)
            inputs = {**day.versions(*sources), "/".join(source.key): f"{source.day}/{source.version}"}
            model = foreign_model(source.metadata, source.tensors, source.text, day.settings.threads)
            moved = recalibration_of(day, teacher, model)
            inputs |= moved.versions
            label = partial(labelled, cascade, teacher, model, moved.lines)
            of_labels, shards = stage_labels(day, teacher, labels, sources, label, keep_withheld=True)
            with discarded_on_error(day, of_labels):
                figures = evaluated_on_withheld(teacher, shards)
                results = [
                    *judge_labels(cascade, teacher, [shard.sums for shard in shards]),
                    *judge_against_constant(cascade, figures, teacher.allow_worse_than_constant),
                ]
            metadata = {"source checkpoint": f"{'/'.join(source.key)}, {source.day}, {source.version}"}
            metadata |= moved.messages
            both = moved.beside(figures)
            staged = day.lake.stage_frame(evaluation, day.date, with_source(cascade, teacher, source, both))
            shown: dict[str, Any] = {"evaluation": dg.MarkdownMetadataValue(teacher_markdown(both, cascade.note))}
            meanings = SOURCE_MEANINGS | LABELS_MEANING | MEANINGS
            yield committed(context, workspace, staged, inputs, metadata | shown, meanings)
            yield from publish_staged(context, workspace, of_labels, results, inputs, metadata, record=moved.messages)

    return cross_domain_labels
