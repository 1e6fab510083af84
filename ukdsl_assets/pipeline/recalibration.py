"""Group 3: what a teacher of another cascade says of impressions here, and the lines that put it on their level."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.frames.served_as import shown_as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.cross_domain.evaluation import evaluate_teacher
from ukdsl_assets.learning.cross_domain.foreign import ForeignModel, foreign_predictions
from ukdsl_assets.learning.cross_domain.recalibration import Line, fit_line
from ukdsl_assets.pipeline.teacher_labels import KEYS, reached
from ukdsl_assets.pipeline.workspace import Table, Workspace

AS_IT_IS, RECALIBRATED = "as it is", "recalibrated"


@dataclass(frozen=True)
class Recalibration:
    """How a day's labels are moved.

    Attributes:
        lines: by task; empty where the declaration wants none.
        versions: data versions of the impressions that the lines were fitted to, by table and day.
        as_it_is: figures of the predictions that are not moved, on the day's withheld impressions.
    """

    lines: dict[str, Line]
    versions: dict[str, str]
    as_it_is: pl.DataFrame | None = None

    @property
    def told(self) -> dict[str, str]:
        """What became of each task's labels, for people and for the record of the commit."""
        return {f"recalibration of {task}": line.told for task, line in self.lines.items()}

    def beside(self, published: pl.DataFrame) -> pl.DataFrame:
        """Figures of what is published, and of what the model said where that is not the same; a column `labels`."""
        moved = [task for task, line in self.lines.items() if line.fitted]
        named = published.select(
            labels=pl.when(pl.col("task").is_in(moved)).then(pl.lit(RECALIBRATED)).otherwise(pl.lit(AS_IT_IS))
        ).hstack(published)
        if self.as_it_is is None or not moved:
            return named
        before = self.as_it_is.filter(pl.col("task").is_in(moved))
        return pl.concat([before.select(pl.lit(AS_IT_IS).alias("labels"), pl.all()), named])


def recalibration_of(
    cascade: Cascade, workspace: Workspace, teacher: CrossDomainTeacher, model: ForeignModel, day: date
) -> Recalibration:
    """Fit a line a task to the impressions of the window that are not withheld, with today's model.

    Only days up to the partition's are read, and withheld requests only for the figures of the day.
    """
    if teacher.recalibration == "none":
        return Recalibration({}, {})
    table: Table = (cascade.name, "impressions")
    days = workspace.window(table, day, teacher.window_days)
    said = pl.concat(every_day(cascade, workspace, teacher, model, table, days)).sort("day", *KEYS)
    lines = {}
    for task in teacher.tasks:
        rows = said.filter(~pl.col("withheld"), pl.col(task).is_not_null())
        if cascade.task(task).delayed:
            late = "its labels keep arriving, so fresh ones would move it down"
            lines[task] = Line(len(rows), int(rows[task].sum()), why_not=late)
        else:
            lines[task] = fit_line(rows[f"{task}_prediction"].to_numpy(), rows[task].to_numpy())
    # As what is published is judged: see `shown_and_labelled`.
    held = said.filter("withheld", "as_scored", day=day)
    predictions = held.select(*KEYS, *(f"{task}_prediction" for task in teacher.tasks))
    figures = evaluate_teacher(predictions, held.select(*KEYS, *teacher.tasks), list(teacher.tasks))
    # The day's own version is among the inputs of its labels.
    versions = {f"{'/'.join(table)}/{each}": workspace.partition(table, each).data_version for each in days[:-1]}
    return Recalibration(lines, versions, figures)


def every_day(
    cascade: Cascade,
    workspace: Workspace,
    teacher: CrossDomainTeacher,
    model: ForeignModel,
    table: Table,
    days: list[date],
) -> Iterator[pl.DataFrame]:
    """Shard by shard: keys, day, labels, predictions as they are and `withheld` of the impressions it scored.

    A shown row is asked for as it was shown, such as in its slot; `as_scored` tells where that is `served_as`.
    """
    features = [feature.name for feature in cascade.features_known_at(teacher.stage)]
    for day in days:
        for shard in workspace.lake.scan_shards(table, [day]):
            rows = reached(cascade, teacher, shard).select(*KEYS, *teacher.tasks, *features).sort(KEYS).collect()
            said = foreign_predictions(cascade, teacher, model, rows).select(
                *KEYS,
                *teacher.tasks,
                *(f"{task}_prediction" for task in teacher.tasks),
                as_scored=shown_as_scored(cascade.features),
            )
            held = withheld(said["request_id"], cascade.withheld_share).alias("withheld")
            yield said.with_columns(held, day=pl.lit(day))
