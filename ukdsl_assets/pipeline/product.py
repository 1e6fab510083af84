"""A student whose task is given another, judged by the product of both on all withheld impressions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from uuid import uuid4

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS, KEYS, prediction_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, PredictedShards, Predictions, kept_on_disk
from ukdsl_assets.learning.evaluation.product import (
    TRUE_GIVEN,
    given_rows,
    product_predictions,
    product_rows,
    seen_labels,
)
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.delays import KnownDelays, corrected, known_delays
from ukdsl_assets.pipeline.evaluation import (
    Further,
    LoggedTruth,
    Predictors,
    checkpoints_of,
    earlier_checkpoints,
    logged_truth,
    predictors_of,
    with_truth,
)
from ukdsl_assets.pipeline.students import as_student
from ukdsl_assets.pipeline.workspace import Table

# Who predicts a task that is given: checkpoints by arm, or the column of a stage's logged prediction.
Predicting = Mapping[str, Checkpoint] | str


def students_given(cascade: Cascade, student: Student) -> list[Student]:
    """The students of the same stage that predict what a student's task is given, the first of each task."""
    found = []
    for task in cascade.conditions_of(student.task):
        found += [each for each in cascade.students if each.stage == student.stage and each.task == task][:1]
    return found


def tables_of_product(cascade: Cascade, student: Student) -> list[Table]:
    """The table that the product is judged on; none for a student whose task is given none."""
    if not cascade.conditions_of(student.task):
        return []
    waits = student.delayed_feedback == "wait"
    return [(cascade.name, CLOSED_IMPRESSIONS if waits else "impressions")]


def product_of(day: Day, student: Student, models: Mapping[date, Mapping[str, Checkpoint]]) -> Further | None:
    """What gives the rows GIVEN and PRODUCT of a student's evaluation; None where its task is given no other.

    PRODUCT is left out where neither a student nor a stage predicts what is given.

    Args:
        models: each judged day's checkpoints, of its own time: the day's own last.
    """
    if not day.cascade.conditions_of(student.task):
        return None
    given = predicting(day, student)

    def further(scored: PredictedShards, folder: str) -> pl.DataFrame:
        judged = given_rows(scored, student.seed)
        if given is None:
            return judged
        multiplied = multiplied_days(day, student, models, given)
        shards = impression_shards(day, student, multiplied, folder)
        if not shards:
            return judged
        product = product_rows(shards, student.seed).with_columns(days=pl.lit(len(multiplied), pl.Int64))
        return pl.concat([judged, product])

    return further


def predicting(day: Day, student: Student) -> list[Predicting] | None:
    """Who predicts each task that a student's is given; None where nobody predicts one of them.

    A student of the same stage, or else what the stage itself, or the teacher's, logged.
    """
    cascade = day.cascade
    found: list[Predicting] = []
    students = {each.task: each for each in students_given(cascade, student)}
    for task in cascade.conditions_of(student.task):
        stages = [student.stage, cascade.teacher(student.teacher).stage]
        logged = [prediction_column(stage, task) for stage in stages if task in cascade.predictions_of(stage)]
        if task in students:
            found.append(checkpoints_of(day, students[task]))
        elif logged:
            found.append(logged[0])
        else:
            return None
    return found


@dataclass(frozen=True)
class Multiplied:
    """A judged day's checkpoints by arm, and who predicts each task that is given, by the same arms."""

    own: Mapping[str, Checkpoint]
    given: list[Predicting]


def multiplied_days(
    day: Day, student: Student, models: Mapping[date, Mapping[str, Checkpoint]], given: list[Predicting]
) -> dict[date, Multiplied]:
    """Who is multiplied on each judged day: arms that all students have on all days, so that sums are of the same rows.

    Left out are days without a checkpoint, a feature or a prediction that is asked for.
    """
    (table,), others = tables_of_product(day.cascade, student), _earlier_of_others(day, student, given)
    found = {}
    for judged, own in models.items():
        then = [each if isinstance(each, str) else each.get(judged) for each in others]
        if None not in then:
            found[judged] = Multiplied(own, [each for each in then if each is not None])
    heads = [{(arm, *as_student(each).heads) for arm, each in on.own.items()} for on in found.values()]
    arms = {arm for arm, *_ in set.intersection(*heads)} if heads else set()
    for on in found.values():
        arms = arms.intersection(*(each for each in on.given if not isinstance(each, str)))
    found = {
        judged: Multiplied(_of_arms(on.own, arms), [e if isinstance(e, str) else _of_arms(e, arms) for e in on.given])
        for judged, on in found.items()
    }
    return {judged: on for judged, on in found.items() if _read(student, on) <= {*day.lake.columns(table, judged)}}


def _of_arms(checkpoints: Mapping[str, Checkpoint], arms: Collection[str]) -> dict[str, Checkpoint]:
    return {arm: checkpoint for arm, checkpoint in checkpoints.items() if arm in arms}


def _read(student: Student, on: Multiplied) -> set[str]:
    """Columns of the impressions that a day's products take."""
    students = [on.own, *(each for each in on.given if not isinstance(each, str))]
    features = (as_student(each).encoder.features for of in students for each in of.values())
    logged = [each for each in on.given if isinstance(each, str)]
    return {student.task, *logged} | {feature.name for of in features for feature in of}


def impression_shards(
    day: Day, student: Student, multiplied: Mapping[date, Multiplied], folder: str
) -> PredictedShards:
    """All withheld impressions of the days that reached the stage, each with its label so far and the products.

    Each shard is kept in the folder, which exists. Left out are rows whose logged prediction is.

    Args:
        multiplied: of `multiplied_days`.
    """
    (table,), delays = tables_of_product(day.cascade, student), known_delays(day, student)
    name = f"{'/'.join(day.table(student.name, 'evaluation'))}, products of {day.date}"
    found: list[Callable[[], PredictedRows]] = []
    for judged, on in multiplied.items():
        truth, readers = logged_truth(day.on(judged), student), day.lake.shard_readers(table, [judged])
        work = partial(_multiplied_shard, day.cascade, student, delays, truth, on, len(readers), folder)
        found += day.workspace.engine.map(work, list(enumerate(readers)), name)
    return found


def _multiplied_shard(
    cascade: Cascade,
    student: Student,
    delays: KnownDelays | None,
    truth: LoggedTruth | None,
    on: Multiplied,
    shards: int,
    folder: str,
    shard: tuple[int, Callable[[], pl.LazyFrame]],
) -> Callable[[], PredictedRows]:
    number, read = shard
    reached = [stage.name for stage in cascade.stages[cascade.depth(student.stage) :]]
    logged = [each for each in on.given if isinstance(each, str)]
    rows = read().filter(pl.col("deepest_stage").is_in(reached)).drop_nulls(logged).collect()
    rows = rows.filter(withheld(rows["request_id"], cascade.withheld_share)).sort(KEYS)
    rows = corrected(cascade, student, delays, rows)
    if truth is not None:
        on_days = rows["requested_at"].dt.date().unique().sort()
        rows = with_truth(rows, [part for each in on_days for part in truth(each, number, shards)])
    own, *others = _predictors(on)
    multiplied = PredictedRows(_compared(rows, student.task), _products(rows, own, others))
    return kept_on_disk(multiplied, f"{folder}/{uuid4().hex}.parquet")


def _earlier_of_others(
    day: Day, student: Student, given: list[Predicting]
) -> list[str | dict[date, Mapping[str, Checkpoint]]]:
    """Who predicts each task that is given on every judged day: by the checkpoints of its own time, as the student."""
    found: list[str | dict[date, Mapping[str, Checkpoint]]] = []
    students = iter(students_given(day.cascade, student))
    for each in given:
        if isinstance(each, str):
            found.append(each)
        else:
            found.append({**earlier_checkpoints(day, next(students), each), day.date: each})
    return found


def _predictors(on: Multiplied) -> tuple[Predictors, *tuple[Predictors | str, ...]]:
    """The student's own by arm, and those of each task that is given."""
    students = {number: of for number, of in enumerate((on.own, *on.given)) if not isinstance(of, str)}
    # Under one name each, so that all are kept for the next shard.
    every = predictors_of({f"{number}/{arm}": each for number, of in students.items() for arm, each in of.items()})
    by_arm = {number: {arm: every[f"{number}/{arm}"] for arm in of} for number, of in students.items()}
    return by_arm[0], *(of if isinstance(of, str) else by_arm[number] for number, of in enumerate(on.given, 1))


def _compared(rows: pl.DataFrame, task: str) -> pl.DataFrame:
    """What impressions are judged by: the label so far and, where a column has it, the truth of the product."""
    label = rows[task].cast(pl.Float32).fill_null(np.nan).to_numpy()
    factor = rows["label_factor"].to_numpy() if "label_factor" in rows.columns else 1.0
    compared = rows.select("request_id", target=pl.Series(seen_labels(label, factor), dtype=pl.Float32))
    if TRUE_GIVEN not in rows.columns:
        return compared
    return compared.with_columns(truth=rows["truth"] * rows[TRUE_GIVEN])


def _predictions(rows: pl.DataFrame, predictors: Predictors) -> Predictions:
    return {(arm, head): p for arm, predict in predictors.items() for head, p in predict(rows).items()}


def _products(rows: pl.DataFrame, own: Predictors, others: Sequence[Predictors | str]) -> Predictions:
    """Own predictions times those of all others for the rows."""
    products = _predictions(rows, own)
    for each in others:
        if isinstance(each, str):
            products = product_predictions(products, rows[each].to_numpy())
        else:
            # Rows are shown rows, which head impression is for.
            given = {arm: predict(rows)["impression"] for arm, predict in each.items()}
            products = product_predictions(products, given)
    return products
