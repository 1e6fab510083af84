"""A day of off-policy estimates: explored requests, what a student and production would show there, and the table."""

import datetime as dt
from collections.abc import Mapping, Sequence
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
from ukdsl_assets.pipeline.page_policy import (
    Estimated,
    PolicyOf,
    off_policy_table,
    placed_by_rules,
    policy_of,
)
from ukdsl_assets.pipeline.production_order import Order, OrderFound, order_of, order_sums, production_columns
from ukdsl_assets.pipeline.students import as_student

# Slots that a model of the reward is asked about; those below are taken for the last of them.
MODELLED_SLOTS = 24
_SLOT, _PROPENSITY, _BID = "_slot", "_propensity", "_bid"
# Begins the columns of a task's expected reward, `_model/click/0` of the first slot.
_MODEL = "_model/"


class Policy(NamedTuple):
    """The checkpoints of a policy's students, those of its stage by task, and which explored requests they have not
    seen.

    own: the student's, or those of the page's students in order; all of one day. unseen: Boolean expression of
    `withheld`.
    """

    when: str
    own: tuple[Checkpoint, ...]
    by_task: Mapping[str, Checkpoint]
    unseen: pl.Expr


def estimated_day(
    day: Day, of: Estimated, policies: Sequence[Policy] | None = None, slate: Slate = top
) -> pl.DataFrame:
    """The rows of the table off_policy of a day, columns of `COLUMNS`; none without explored requests.

    That of a student shows the candidates that reached the last stage in the order of its prediction, times its bid
    where there are bids: as many as the request showed by chance. Of a task that is given others that is the product
    with the predictions of the students of these tasks, where there are such. That of the page is what its rules make
    of the predictions of its students (`page_policy.placed_by_rules`), without exploration.

    Args:
        of: a student of the last stage, of a cascade that declares `off_policy`; or the cascade's `estimated_page`.
        policies: of `policies_of`; read for None.
        slate: what makes slates of a student's scores, in place of their order; of no effect on the page.

    Raises:
        LakeError: a table or checkpoint of the day is missing, or slots are not counted as declared.
    """
    declared, tables = day.cascade.off_policy, [pl.DataFrame(schema=COLUMNS)]
    assert declared is not None
    readers = day.shard_readers(day.table("candidate_log"), day.table("impressions"))
    policies = policies_of(day, of) if policies is None else policies
    whose = policy_of(day.cascade, of)
    work = partial(_shard, day.cascade, whose, policies, len(readers))
    name = f"{'/'.join(off_policy_table(day.cascade, of))}, day {day.date}"
    shards = list(day.workspace.engine.map(work, readers, name))
    order = order_of([shard.order for shard in shards], day.cascade)
    until = known_until(day.cascade, day.settings, day.date)
    # Sorted, so that no sum depends on how many shards there are.
    own = {task: mean_of(np.sort(np.concatenate([s.own[task] for s in shards]))) for task in rewards_of(day.cascade)}
    for number, policy in enumerate(policies):
        # A shard without a deep slot has no model of it.
        rows = pl.concat([shard.rows[number] for shard in shards], how="diagonal").sort(*KEYS)
        made = _estimates(day.cascade, whose, rows, order, own, until, slate)
        versions = " ".join(each.version for each in policy.own)
        found = {"when": policy.when, "checkpoint": versions, "checkpoint_day": policy.own[0].day}
        tables.append(made.with_columns(pl.lit(value).alias(key) for key, value in found.items()).select([*COLUMNS]))
    return pl.concat(tables)


def inputs_of(day: Day, policies: Sequence[Policy]) -> dict[str, str]:
    """Versions of what `estimated_day` reads."""
    versions = day.versions(day.table("candidate_log"), day.table("impressions"))
    for policy in policies:
        versions |= {f"{policy.when} {task}": each.version for task, each in policy.by_task.items()}
    return versions


def trailing_estimates(day: Day, of: Estimated, days: Sequence[dt.date] | None = None) -> pl.DataFrame:
    """Rows of the table with their column day: of the `evaluation_days` that end with the day, or of given days.

    Raises:
        LakeError: when the day is not published, or none of the days given.
    """
    table = off_policy_table(day.cascade, of)
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


def policies_of(day: Day, of: Estimated) -> list[Policy]:
    """The day's students on withheld requests, and those of the day before on all, where there are such that read them.

    Of a page all of its students must be of one day: without one of them there is no page.
    """
    store, found = day.checkpoints, list[Policy]()
    own = policy_of(day.cascade, of).students
    there = set.intersection(*({*store.days((*day.table(each.name), "distilled"))} for each in own))
    newest = max((each for each in there if each < day.date), default=None)
    columns = day.lake.columns(day.table("candidate_log"), day.date)
    for when, on, unseen in (("same_day", day.date, pl.col("withheld")), ("next_day", newest, pl.lit(True))):
        if on is None:
            continue
        checkpoints: dict[str, tuple[str, Checkpoint]] = {}
        for each in [*own, *(s for s in day.cascade.estimated_students if s not in own)]:
            key = (*day.table(each.name), "distilled")
            if on in store.days(key) and can_predict(loaded := store.load(key, on), day.cascade, each, columns):
                checkpoints.setdefault(each.task, (each.name, loaded))
        if all(each.task in checkpoints and checkpoints[each.task][0] == each.name for each in own):
            by_task = {task: checkpoint for task, (_, checkpoint) in checkpoints.items()}
            found.append(Policy(when, tuple(by_task[each.task] for each in own), by_task, unseen))
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
    cascade: Cascade, whose: PolicyOf, policies: Sequence[Policy], shards: int, shard: tuple[ShardReader, ShardReader]
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
    rows = [_rows_of(cascade, whose, policy, predictors, candidates.filter(policy.unseen)) for policy in policies]
    found = order_sums(cascade, whose, scored, own["request_id"], shards)
    return _Shard(rows, {task: own[task].to_numpy() for task in tasks}, found)


def _rows_of(
    cascade: Cascade, whose: PolicyOf, policy: Policy, predictors: Predictors, candidates: pl.DataFrame
) -> pl.DataFrame:
    """Explored candidates with their slot, the policy's score, rewards, models of them, and production's columns."""
    assert cascade.off_policy is not None
    rows = candidates.sort(*KEYS)
    slot = cascade.off_policy.slot
    tasks = rewards_of(cascade)
    heads = {task: as_student(each).heads[-1] for task, each in policy.by_task.items()}

    def alone(of: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
        return {t: predictors[f"{policy.when}/{t}"](of)[head].astype(np.float64) for t, head in heads.items()}

    def said(each: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        return {task: _product(cascade, task, each) for task in each}

    scored = rows.with_columns(as_scored(cascade.features))
    predicted = alone(scored)
    columns = {"_score": whose.score(said(predicted), predicted)}
    first = next((f.served_as for f in cascade.features if f.name == slot), None)
    if slot is None or not isinstance(first, int):
        numbers = pl.col("explored").cast(pl.Int64).cum_sum().over("request_id") * pl.col("explored").cast(pl.Int64)
        models = [said(predicted)]
    else:
        numbers = pl.when("explored").then(pl.col(slot).cast(pl.Int64) - first + 1).otherwise(0).fill_null(0)
        deepest = int(rows.select(numbers.max()).item() or 1)
        places = range(first, first + min(max(deepest, 1), MODELLED_SLOTS))
        # One column of the slot at a time; other features of what was shown stay as they are served.
        models = [said(alone(scored.with_columns(pl.lit(k).cast(rows.schema[slot]).alias(slot)))) for k in places]
    known = [task for task in tasks if {task, *cascade.conditions_of(task)} <= heads.keys()]
    columns |= {f"{_MODEL}{task}/{place}": model[task] for task in known for place, model in enumerate(models)}
    bid = pl.col("bid") if cascade.has_bid else pl.lit(1.0)
    kept = rows.select(
        *(*KEYS, "requested_at"),
        numbers.alias(_SLOT),
        pl.col("propensity").cast(pl.Float64).alias(_PROPENSITY),
        bid.cast(pl.Float64).alias(_BID),
        *tasks,
        *production_columns(cascade, whose),
    )
    return kept.with_columns(pl.Series(name, values) for name, values in columns.items())


def _estimates(
    cascade: Cascade,
    whose: PolicyOf,
    rows: pl.DataFrame,
    order: Order | None,
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
    if whose.rules is None:
        placed = slate(rows["_score"].to_numpy() * rows[_BID].to_numpy(), request, slots)
    else:
        placed = placed_by_rules(whose.rules, rows, rows["_score"].to_numpy(), request, slots)
    # Whatever rules a page has, production's own slates were found to be in this order.
    production = None if order is None else order(rows, request, slots)
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
