"""A day of the teacher audit: explored rows of the trailing days, and withheld impressions."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS, label_column
from ukdsl_assets.declaration.corrections import KnownRate
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.frames.served_as import shown_as_scored
from ukdsl_assets.frames.splits import SHARD_KEY, for_correction, withheld
from ukdsl_assets.frames.stages import probed_by
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.lake.tables.reading import ShardReader
from ukdsl_assets.learning.metrics.least_positives import ENOUGH_TO_COMPARE
from ukdsl_assets.learning.metrics.weighted import shift_to_rate
from ukdsl_assets.learning.teachers.exploration import AS_SCORED, audit_on_exploration
from ukdsl_assets.learning.teachers.verdicts import judge_teacher_of
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.teachers import KEPT_FOR_CORRECTION
from ukdsl_assets.pipeline.workspace import Table


def audited(day: Day, teacher: Teacher) -> pl.DataFrame:
    """The table of a day, from the published days of the window."""
    cascade = day.cascade
    impressions, labels = day.table("impressions"), day.table(teacher.name, "teacher_labels")
    labelled = day.window(labels, cascade.exploration_days)
    days = [each for each in day.window(impressions, cascade.exploration_days) if each in labelled]
    shards = {each: day.on(each).shard_readers(impressions, labels) for each in days}
    every = [shard for of_day in shards.values() for shard in of_day]
    parts = day.workspace.engine.map(partial(_explored, cascade, teacher), every, _step(day, teacher))
    # Sums must not depend on the order in which rows were put together.
    explored = pl.concat(parts).sort("day", *KEYS)
    held = withheld(explored["request_id"], cascade.withheld_share)
    return audit_on_exploration(
        cascade,
        teacher,
        explored.filter(may_correct(day, teacher, explored, held, days)),
        day.date,
        explored.filter(held),
        shown_withheld(day, teacher, shards),
        {(task, rate): rate_shift(day, teacher, task, rate) for task, rate in cascade.known_rates(teacher)},
    )


def may_correct(
    day: Day, teacher: Teacher, explored: pl.DataFrame, held: pl.Series, days: list[dt.date]
) -> pl.Series | pl.Expr:
    """Which explored rows may correct a teacher: those that are not withheld, and that it has not learnt from.

    A teacher that is trained here has learnt from what is not withheld, but for the requests that its training left
    out; on days before it left any out none may correct. Where nobody has it corrected, withheld rows tell alone.
    """
    if not teacher.trained_here:
        return ~held
    if not day.cascade.corrected_on_exploration(teacher):
        return held
    keeping = [each for each in days if KEPT_FOR_CORRECTION in day.checkpoints.facts(day.table(teacher.name), each)]
    return ~held & for_correction(explored["request_id"]) & explored["day"].is_in(keeping)


def explored_rows(cascade: Cascade, teacher: Teacher, impressions: pl.LazyFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    """What a shard of a day adds to `audited`: explored rows, their own labels and the teacher's.

    Column `as_scored` says which were shown with every feature at its `served_as`, so that the teacher speaks of them.
    """
    tasks = [task.name for task in cascade.tasks]
    scored = impressions.filter("explored").with_columns(shown_as_scored(cascade.features).alias(AS_SCORED))
    return _with_labels(cascade, teacher, scored.select("day", *KEYS, "propensity", AS_SCORED, *tasks), labels)


def shown_withheld(
    day: Day, teacher: Teacher, shards: Mapping[dt.date, Sequence[tuple[ShardReader, ...]]]
) -> pl.DataFrame:
    """Withheld impressions as they were scored: of the day, and of as many days before it as it takes to compare.

    Args:
        shards: of each published day, in order, what reads its impressions and the teacher's labels.
    """
    cascade = day.cascade
    work = partial(_shown_withheld, cascade, teacher)
    parts: list[pl.DataFrame] = []
    for each in reversed([*shards]):
        parts += day.workspace.engine.map(work, shards[each], _step(day, teacher))
        taught = pl.concat([part.select(cascade.tasks_taught(teacher)) for part in parts])
        if all(float(taught[task].sum() or 0) >= ENOUGH_TO_COMPARE for task in taught.columns):
            break
    return pl.concat(parts).sort("day", *KEYS).with_columns(propensity=pl.lit(1.0))


def rate_shift(day: Day, teacher: Teacher, task: str, rate: KnownRate) -> float:
    """What is added to a teacher's logits so that its mean over what it labels on a day is a known rate.

    All considered rows with its label count, shown or, if the rate is of these alone, not shown, each by its weight; 0
    where there are none. Probes that a logged teacher labels count by 1 / their rate where every student that is
    corrected so stands at the stage that rejected them, and else not at all: a student elsewhere learns from none.
    """
    column = label_column(task)
    tables = day.table("impressions"), day.table("considerations"), day.table(teacher.name, "teacher_labels")
    corrected = (s for s in day.cascade.students if (s.teacher, s.task, s.correction) == (teacher.name, task, rate))
    next_stages = {day.cascade.depth(student.stage) + 1 for student in corrected}
    of_probes = next_stages == {day.cascade.depth(teacher.stage)}
    work = partial(_counted, day.cascade, teacher, column, rate, of_probes)
    counted = day.workspace.engine.map(work, day.shard_readers(*tables), _step(day, teacher))
    every = pl.concat(counted).group_by(column, "weight").agg(pl.col("len").sum()).sort(column, "weight")
    prediction, weight, number = (every[name].to_numpy().astype("float64") for name in (column, "weight", "len"))
    return shift_to_rate(prediction, weight * number, rate.rate) if len(every) else 0.0


def audit_inputs(cascade: Cascade, teacher: Teacher) -> list[Table]:
    """The tables that `audited` reads, the day's own and, but for considerations, those of the trailing days."""
    read: list[Table] = [(cascade.name, "impressions"), (cascade.name, teacher.name, "teacher_labels")]
    return [*read, (cascade.name, "considerations")] if cascade.known_rates(teacher) else read


def judged_teacher(lake: Lake, cascade: Cascade, student: Student, day: dt.date) -> list[GateResult]:
    """The gates of a student's release that its teacher decides, by the day's table; not judged without one."""
    table: Table = (cascade.name, student.teacher, "teacher_audit")
    audit = lake.scan(table, [day]).collect() if lake.partition(table, day) is not None else None
    return judge_teacher_of(cascade, student, audit)


def _step(day: Day, teacher: Teacher) -> str:
    return f"{'/'.join(day.table(teacher.name, 'teacher_audit'))}, day {day.date}"


def _explored(cascade: Cascade, teacher: Teacher, shard: tuple[ShardReader, ...]) -> pl.DataFrame:
    impressions, labels = shard
    return explored_rows(cascade, teacher, impressions(), labels())


def _shown_withheld(cascade: Cascade, teacher: Teacher, shard: tuple[ShardReader, ...]) -> pl.DataFrame:
    impressions, labels = shard
    tasks = [task.name for task in cascade.tasks]
    shown = impressions().filter(shown_as_scored(cascade.features)).select("day", *KEYS, *tasks).collect()
    shown = shown.filter(withheld(shown["request_id"], cascade.withheld_share))
    return _with_labels(cascade, teacher, shown.lazy(), labels())


def _counted(
    cascade: Cascade, teacher: Teacher, column: str, rate: KnownRate, of_probes: bool, shard: tuple[ShardReader, ...]
) -> pl.DataFrame:
    """How often each label comes with each weight in a shard: `column`, weight and len."""
    impressions, considerations, labels = (read() for read in shard)
    weights = [considerations]
    if teacher.logged and cascade.has_probes:
        probes = probed_by(cascade, teacher.stage)
        if of_probes:
            stood_for = pl.when(probes).then(1 / pl.col("probe_rate")).otherwise("weight")
            weights = [considerations.with_columns(weight=stood_for.cast(pl.Float32))]
        else:
            weights = [considerations.filter(~probes)]
    if rate.over == "labelled":
        weights.append(impressions.with_columns(weight=pl.lit(1.0, pl.Float32)))
    scored = pl.concat(each.select(*KEYS, "weight") for each in weights)
    rows = scored.join(labels.select(*KEYS, column), on=KEYS, how="inner").drop_nulls(column)
    # Equal rows are one that is counted: no order of a sum decides, and a day of trees' predictions is small.
    return rows.group_by(column, "weight").len().collect()


def _with_labels(cascade: Cascade, teacher: Teacher, shown: pl.LazyFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    columns = [label_column(task) for task in cascade.tasks_taught(teacher)]
    rows = shown.collect()
    # As in `evaluation.with_truth`: few requests are asked for.
    asked = labels.filter(pl.col(SHARD_KEY).is_in(rows[SHARD_KEY].unique().implode()))
    predictions = asked.select(*KEYS, *columns).join(rows.lazy(), on=KEYS, how="semi")
    return rows.join(predictions.collect(), on=KEYS, how="inner")
