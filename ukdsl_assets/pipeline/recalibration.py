"""A day of recalibration: what another cascade's teacher predicts for impressions here, and lines to their level."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.frames.served_as import shown_as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.learning.cross_domain.evaluation import evaluate_teacher
from ukdsl_assets.learning.cross_domain.foreign import ForeignModel, foreign_predictions
from ukdsl_assets.learning.cross_domain.recalibration import Line, fit_line
from ukdsl_assets.pipeline.day import Day

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
    def messages(self) -> dict[str, str]:
        """What became of each task's labels, for people and for the record of the commit."""
        return {f"recalibration of {task}": line.message for task, line in self.lines.items()}

    def beside(self, published: pl.DataFrame) -> pl.DataFrame:
        """Figures of what is published, and of the model's own predictions where they differ; a column `labels`."""
        moved = [task for task, line in self.lines.items() if line.fitted]
        named = published.select(
            labels=pl.when(pl.col("task").is_in(moved)).then(pl.lit(RECALIBRATED)).otherwise(pl.lit(AS_IT_IS))
        ).hstack(published)
        if self.as_it_is is None or not moved:
            return named
        before = self.as_it_is.filter(pl.col("task").is_in(moved))
        return pl.concat([before.select(pl.lit(AS_IT_IS).alias("labels"), pl.all()), named])


def recalibration_of(day: Day, teacher: CrossDomainTeacher, model: ForeignModel) -> Recalibration:
    """Fit a line a task to the impressions of the window that are not withheld, with today's model.

    Only days up to the partition's are read, and withheld requests only for the figures of the day.
    """
    if teacher.recalibration == "none":
        return Recalibration({}, {})
    table = day.table("impressions")
    days = day.window(table, teacher.window_days)
    predicted = pl.concat(every_day(day, teacher, model, days)).sort("day", *KEYS)
    lines = {}
    for task in teacher.tasks:
        rows = predicted.filter(~pl.col("withheld"), pl.col(task).is_not_null())
        if day.cascade.task(task).delayed:
            late = "its labels keep arriving, so fresh ones would move it down"
            lines[task] = Line(len(rows), int(rows[task].sum()), why_not=late)
        else:
            lines[task] = fit_line(rows[label_column(task)].to_numpy(), rows[task].to_numpy())
    # As what is published is judged: see `ShownShard`.
    held = predicted.filter("withheld", "as_scored", day=day.date)
    predictions = held.select(*KEYS, *map(label_column, teacher.tasks))
    figures = evaluate_teacher(predictions, held.select(*KEYS, *teacher.tasks), list(teacher.tasks))
    # The day's own version is among the inputs of its labels.
    versions = {f"{'/'.join(table)}/{each}": day.on(each).partition(table).data_version for each in days[:-1]}
    return Recalibration(lines, versions, figures)


def every_day(
    day: Day, teacher: CrossDomainTeacher, model: ForeignModel, days: Sequence[date]
) -> Iterator[pl.DataFrame]:
    """Shard by shard: keys, day, labels, predictions as they are and `withheld` of the impressions it scored.

    A shown row is asked for as it was shown, such as in its slot; `as_scored` tells where that is `served_as`.
    """
    table = day.table("impressions")
    shards = [(each, read) for each in days for read in day.lake.shard_readers(table, [each])]
    name = f"{'/'.join(day.table(teacher.name, 'recalibration'))}, day {day.date}"
    return day.workspace.engine.map(partial(_predicted, day.cascade, teacher, model), shards, name)


def _predicted(
    cascade: Cascade, teacher: CrossDomainTeacher, model: ForeignModel, shard: tuple[date, Callable[[], pl.LazyFrame]]
) -> pl.DataFrame:
    of, read = shard
    features = [feature.name for feature in cascade.features_known_at(teacher.stage)]
    scored = read().filter(reached(cascade, teacher.stage))
    rows = scored.select(*KEYS, *teacher.tasks, *features).sort(KEYS).collect()
    predicted = foreign_predictions(cascade, teacher, model, rows).select(
        *KEYS,
        *teacher.tasks,
        *map(label_column, teacher.tasks),
        as_scored=shown_as_scored(cascade.features),
    )
    held = withheld(predicted["request_id"], cascade.withheld_share).alias("withheld")
    return predicted.with_columns(held, day=pl.lit(of))
