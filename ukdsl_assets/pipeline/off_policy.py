"""A day of off-policy estimates: explored requests, what a student and production would show there, and the table."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import LakeError
from ukdsl_assets.frames.served_as import as_scored
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.frames.stages import reached
from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.checkpoints.store import Checkpoint
from ukdsl_assets.lake.tables.reading import ShardReader
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.off_policy.explored import Explored
from ukdsl_assets.off_policy.gates import judge_above_production
from ukdsl_assets.off_policy.means import Mean, mean_of
from ukdsl_assets.off_policy.policies import Slate, top
from ukdsl_assets.off_policy.table import COLUMNS, Outcome, estimated
from ukdsl_assets.off_policy.weights import depths
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import Predictors, can_predict, predictors_of
from ukdsl_assets.pipeline.production_order import OrderFound, order_of, order_sums, production_columns
from ukdsl_assets.pipeline.students import as_student
from ukdsl_assets.pipeline.workspace import Table

TABLE = "off_policy"
# Slots that a model of the reward is asked about; those below are taken for the last of them.
MODELLED_SLOTS = 24
_SLOT, _PROPENSITY, _BID = "_slot", "_propensity", "_bid"
# Begins the columns of a task's expected reward, `_model/click/0` of the first slot.
_MODEL = "_model/"


class Policy(NamedTuple):
    """A student's checkpoint, those of the students of its stage by task, and which explored requests it has not seen.

    unseen: Boolean expression of `withheld`.
    """

    when: str
    own: Checkpoint
    by_task: Mapping[str, Checkpoint]
    unseen: pl.Expr


def estimated_day(
    day: Day, student: Student, policies: Sequence[Policy] | None = None, slate: Slate = top
) -> pl.DataFrame:
    """The rows of the table off_policy of a day, columns of `COLUMNS`; none without explored requests.

    A policy shows the candidates that reached the last stage in the order of its prediction, times its bid where there
    are bids: as many as the request showed by chance. Of a task that is given others that is the product with the
    predictions of the students of these tasks, where there are such.

    Args:
        student: of the last stage, of a cascade that declares `off_policy`.
        policies: of `policies_of`; read for None.
        slate: what makes slates of scores; rules of a page go in here.

    Raises:
        LakeError: a table or checkpoint of the day is missing, or slots are not counted as declared.
    """
    declared, tables = day.cascade.off_policy, [pl.DataFrame(schema=COLUMNS)]
    assert declared is not None
    readers = day.shard_readers(day.table("candidate_log"), day.table("impressions"))
    policies = policies_of(day, student) if policies is None else policies
    work = partial(_shard, day.cascade, student, policies, len(readers))
    name = f"{'/'.join(day.table(student.name, TABLE))}, day {day.date}"
    shards = list(day.workspace.engine.map(work, readers, name))
    order = order_of([shard.order for shard in shards], day.cascade)
    until = known_until(day.cascade, day.settings, day.date)
    # Sorted, so that no sum depends on how many shards there are.
    own = {task: mean_of(np.sort(np.concatenate([s.own[task] for s in shards]))) for task in rewards_of(day.cascade)}
    for number, policy in enumerate(policies):
        # A shard without a deep slot has no model of it.
        rows = pl.concat([shard.rows[number] for shard in shards], how="diagonal").sort(*KEYS)
        made = _estimates(day.cascade, student, rows, order, own, until, slate)
        found = {"when": policy.when, "checkpoint": policy.own.version, "checkpoint_day": policy.own.day}
        tables.append(made.with_columns(pl.lit(value).alias(key) for key, value in found.items()).select([*COLUMNS]))
    return pl.concat(tables)


def inputs_of(day: Day, policies: Sequence[Policy]) -> dict[str, str]:
    """Versions of what `estimated_day` reads."""
    versions = day.versions(day.table("candidate_log"), day.table("impressions"))
    for policy in policies:
        versions |= {f"{policy.when} {task}": each.version for task, each in policy.by_task.items()}
    return versions


def trailing_estimates(day: Day, student: Student, days: Sequence[dt.date] | None = None) -> pl.DataFrame:
    """Rows of the table with their column day: of the `evaluation_days` that end with the day, or of given days.

    Raises:
        LakeError: when the day is not published, or none of the days given.
    """
    table: Table = day.table(student.name, TABLE)
    if days is None:
        return day.lake.scan(table, day.window(table, day.cascade.evaluation_days)).collect()
    published = set(day.lake.partitions(table))
    there = [each for each in days if each in published]
    if not there:
        has = f"; it has {min(published)} to {max(published)}" if published else ""
        raise LakeError(
            f"{'/'.join(table)} has no day of {days[0]}..{days[-1]} below {day.settings.lake}{has}. Make one first: "
            f"ukdsl run {table[0]} --days {days[0]}"
        )
    return day.lake.scan(table, there).collect()


def policy_gate(day: Day, student: Student) -> list[GateResult]:
    """The gate of the student's release that the estimate decides; none where it is only told.

    Raises:
        LakeError: it decides and the day's table is not published.
    """
    if student.release.off_policy == "told":
        return []
    return [judge_above_production(day.cascade, student, trailing_estimates(day, student), day.date)]


def estimated_checkpoints(day: Day, student: Student) -> list[str]:
    """The versions whose estimate decides on the day; none where it is only told."""
    if student.release.off_policy == "told":
        return []
    of_day = trailing_estimates(day, student, [day.date]).filter(when=student.release.decided_by)
    return of_day["checkpoint"].unique().sort().to_list()


def policies_of(day: Day, student: Student) -> list[Policy]:
    """The day's student on withheld requests, and that of the day before on all, where there is one that reads them."""
    store, found = day.checkpoints, list[Policy]()
    newest = store.newest_before((*day.table(student.name), "distilled"), day.date)
    columns = day.lake.columns(day.table("candidate_log"), day.date)
    for when, of, unseen in (("same_day", day.date, pl.col("withheld")), ("next_day", newest, pl.lit(True))):
        if of is None:
            continue
        checkpoints: dict[str, tuple[str, Checkpoint]] = {}
        for each in [student, *(s for s in day.cascade.estimated_students if s.name != student.name)]:
            key = (*day.table(each.name), "distilled")
            if of in store.days(key) and can_predict(loaded := store.load(key, of), day.cascade, each, columns):
                checkpoints.setdefault(each.task, (each.name, loaded))
        if student.task in checkpoints and checkpoints[student.task][0] == student.name:
            by_task = {task: checkpoint for task, (_, checkpoint) in checkpoints.items()}
            found.append(Policy(when, by_task[student.task], by_task, unseen))
    return found


def rewards_of(cascade: Cascade) -> list[str]:
    """The tasks that are counted as rewards: those whose labels do not keep arriving."""
    return [task.name for task in cascade.tasks if not task.delayed]


class _Shard(NamedTuple):
    """What a shard adds.

    rows: explored candidates of each policy. own: by task, rewards of each request that production served itself,
    float64 [requests]. order: what its order is found by.
    """

    rows: list[pl.DataFrame]
    own: dict[str, NDArray[np.float64]]
    order: OrderFound


def _shard(
    cascade: Cascade, student: Student, policies: Sequence[Policy], shards: int, shard: tuple[ShardReader, ShardReader]
) -> _Shard:
    log, impressions = (read() for read in shard)
    tasks = rewards_of(cascade)
    labels = impressions.select(*KEYS, "explored", *tasks).collect()
    by_request = labels.group_by("request_id").agg(pl.col("explored").any(), pl.col(tasks).sum().cast(pl.Float64))
    own = by_request.filter(~pl.col("explored")).sort("request_id")
    explored = by_request.filter("explored").select("request_id")
    scored = log.filter(reached(cascade, cascade.stages[-1].name))
    candidates = scored.join(explored.lazy(), on="request_id", how="semi").collect()
    # What was shown in such a request, but not by chance, took part in no draw.
    candidates = candidates.filter(pl.col("explored") | ~pl.col("shown"))
    candidates = candidates.join(labels.select(*KEYS, *tasks), on=KEYS, how="left").with_columns(
        pl.col(tasks).fill_null(0.0).cast(pl.Float64), withheld(candidates["request_id"], cascade.withheld_share)
    )
    # All at once, so that they are kept for the next shard.
    predictors = predictors_of({f"{p.when}/{task}": each for p in policies for task, each in p.by_task.items()})
    rows = [_rows_of(cascade, student, policy, predictors, candidates.filter(policy.unseen)) for policy in policies]
    found = order_sums(cascade, student, scored, own["request_id"], shards)
    return _Shard(rows, {task: own[task].to_numpy() for task in tasks}, found)


def _rows_of(
    cascade: Cascade, student: Student, policy: Policy, predictors: Predictors, candidates: pl.DataFrame
) -> pl.DataFrame:
    """Explored candidates with their slot, the policy's score, rewards, models of them, and production's columns."""
    assert cascade.off_policy is not None
    rows = candidates.sort(*KEYS)
    slot = cascade.off_policy.slot
    tasks = rewards_of(cascade)
    heads = {task: as_student(each).heads[-1] for task, each in policy.by_task.items()}

    def said(of: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
        alone = {t: predictors[f"{policy.when}/{t}"](of)[head].astype(np.float64) for t, head in heads.items()}
        return {task: _product(cascade, task, alone) for task in alone}

    scored = rows.with_columns(as_scored(cascade.features))
    columns = {"_score": said(scored)[student.task]}
    first = next((f.served_as for f in cascade.features if f.name == slot), None)
    if slot is None or not isinstance(first, int):
        numbers = pl.col("explored").cast(pl.Int64).cum_sum().over("request_id") * pl.col("explored").cast(pl.Int64)
        models = [said(scored)]
    else:
        numbers = pl.when("explored").then(pl.col(slot).cast(pl.Int64) - first + 1).otherwise(0).fill_null(0)
        deepest = int(rows.select(numbers.max()).item() or 1)
        places = range(first, first + min(max(deepest, 1), MODELLED_SLOTS))
        # One column of the slot at a time; other features of what was shown stay as they are served.
        models = [said(scored.with_columns(pl.lit(k).cast(rows.schema[slot]).alias(slot))) for k in places]
    known = [task for task in tasks if {task, *cascade.conditions_of(task)} <= heads.keys()]
    columns |= {f"{_MODEL}{task}/{place}": model[task] for task in known for place, model in enumerate(models)}
    bid = pl.col("bid") if cascade.has_bid else pl.lit(1.0)
    kept = rows.select(
        *(*KEYS, "requested_at"),
        numbers.alias(_SLOT),
        pl.col("propensity").cast(pl.Float64).alias(_PROPENSITY),
        bid.cast(pl.Float64).alias(_BID),
        *tasks,
        *production_columns(cascade, student),
    )
    return kept.with_columns(pl.Series(name, values) for name, values in columns.items())


def _estimates(
    cascade: Cascade,
    student: Student,
    rows: pl.DataFrame,
    order: Callable[[pl.DataFrame], NDArray[np.float64]] | None,
    own: Mapping[str, Mean],
    until: dt.datetime,
    slate: Slate,
) -> pl.DataFrame:
    assert cascade.off_policy is not None
    request = rows["request_id"].rle_id().cast(pl.Int64).to_numpy()
    slot, propensity = rows[_SLOT].to_numpy(), rows[_PROPENSITY].fill_null(np.nan).to_numpy()
    explored = Explored(request, slot, propensity, by_slot=cascade.off_policy.slot is not None)
    if explored.by_slot:
        _refuse_other_slots(cascade, rows, explored)
    slots = explored.slots
    placed = slate(rows["_score"].to_numpy() * rows[_BID].to_numpy(), request, slots)
    # Whatever rules a student's page has, production's own slates were found to be in this order.
    production = None if order is None else top(order(rows), request, slots)
    outcomes = {}
    for task in rewards_of(cascade):
        models = sorted((name for name in rows.columns if name.startswith(f"{_MODEL}{task}/")), key=_place)
        model = rows.select(pl.col(models).fill_null(0.0)).to_numpy() if models else None
        ages = until - rows.unique("request_id")["requested_at"]
        closed = int((ages >= cascade.task(task).attribution_window).sum()) / max(len(ages), 1)
        outcomes[task] = Outcome(rows[task].to_numpy(), model, own[task], closed)
    return estimated(cascade.off_policy, explored, placed, production, outcomes)


def _refuse_other_slots(cascade: Cascade, rows: pl.DataFrame, explored: Explored) -> None:
    """Slots of each request are 1, 2, ... once each."""
    shown = np.flatnonzero(explored.slot > 0)
    shown = shown[np.lexsort((explored.slot[shown], explored.request[shown]))]
    request = explored.request[shown]
    wrong = shown[explored.slot[shown] != depths(request) + 1]
    unplaced = np.flatnonzero((explored.slot <= 0) & np.isfinite(explored.propensity))
    if len(wrong) or len(unplaced):
        row = int(unplaced[0] if len(unplaced) else wrong[0])
        slot = cascade.off_policy.slot if cascade.off_policy else None
        raise LakeError(
            f"{cascade.name}, request {rows['request_id'][row]}: its explored rows are not in slots 1, 2, ... once "
            f"each (`{slot}`, counted from its `served_as`); log the slot of each, or leave `off_policy.slot` out"
        )


def _place(column: str) -> int:
    return int(column.rpartition("/")[2])


def _product(cascade: Cascade, task: str, alone: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """A task's prediction times those of the tasks that it is given, as far as there are any."""
    product = alone[task]
    for given in cascade.conditions_of(task):
        product = product * alone[given] if given in alone else product
    return product
