"""By which order production would have shown an explored request: found in those that it served itself, or not at all.

Only what reproduces its slates there is taken for its order: what it shows by what is not logged, such as an auction's
own knowledge, is not guessed. Then its value is what it earned on its own requests.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import prediction_column
from ukdsl_assets.off_policy.policies import top
from ukdsl_assets.pages.rules import PageRules
from ukdsl_assets.pipeline.page_policy import PolicyOf, greedy_rules, placed_by_rules, rule_columns

# Least share of what production showed that an order must show alike to be taken for its own.
LEAST_AGREEMENT = 0.99
# Requests of a day by which that is told.
SAMPLED_REQUESTS = 2_000
_PLACE, _LOGGED, _STATIC, _WORTH = "_place", "_logged", "_static", "_worth"
# (rows, request int64 [rows] from 0 on, slots int64 [requests]) -> slot int64 [rows], 0 for what is not shown.
Order = Callable[[pl.DataFrame, NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


class OrderFound(NamedTuple):
    """Of a shard: each candidate's places in requests that production served (candidate_id, requests, places), and the
    rows of some of these requests (request_id, candidate_id, place, logged score)."""

    places: pl.DataFrame
    sample: pl.DataFrame


def production_columns(cascade: Cascade, policy: PolicyOf) -> list[pl.Expr]:
    """What production may have ordered by; null where the last stage logs no such prediction.

    `_logged`: what it predicted for the student's task and those that it is given, times the bid; null for a page.
    `_worth`, where a page is declared: what the page's candidates are worth by such predictions; beside it what its
    rules read.
    """
    columns = [pl.lit(None, pl.Float64)]
    if policy.rules is None:
        score = _logged_product(cascade, policy.students[0].task)
        columns = [score * pl.col("bid") if cascade.has_bid else score]
    columns = [columns[0].alias(_LOGGED)]
    if cascade.estimated_page is not None:
        rules = greedy_rules(cascade)
        # Terms multiply what a task is given themselves.
        worth = [weight * _logged_product(cascade, cascade.student(names[0]).task) for weight, names in rules.terms]
        columns += [pl.sum_horizontal(worth, ignore_nulls=False).alias(_WORTH), *rule_columns(rules)]
    return columns


def _logged_product(cascade: Cascade, task: str) -> pl.Expr:
    last = cascade.stages[-1].name
    tasks = [task, *cascade.conditions_of(task)]
    if not {*tasks} <= {*cascade.predictions_of(last)}:
        return pl.lit(None, pl.Float64)
    product = pl.col(prediction_column(last, tasks[0])).cast(pl.Float64)
    for given in tasks[1:]:
        product = product * pl.col(prediction_column(last, given))
    return product


def order_sums(cascade: Cascade, policy: PolicyOf, scored: pl.LazyFrame, own: pl.Series, shards: int) -> OrderFound:
    """What a shard says of production's order.

    Args:
        scored: its candidates that reached the last stage; own: ids of the requests that production served itself,
            ascending.
        shards: how many there are, which share the sample.
    """
    slot = cascade.off_policy.slot if cascade.off_policy else None
    # Without slots what was shown stands before what was not, and no further order is told.
    shown = pl.col(slot).cast(pl.Float64) if slot is not None else pl.lit(0.0)
    place = pl.when("shown").then(shown).otherwise(None).alias(_PLACE)
    every = scored.join(own.to_frame().lazy(), on="request_id", how="semi").select(
        "request_id", "candidate_id", place, *production_columns(cascade, policy)
    )
    rows = every.collect()
    places = _unshown_in_the_middle(rows).group_by("candidate_id").agg(pl.len().alias("requests"), pl.col(_PLACE).sum())
    most = max(SAMPLED_REQUESTS // shards, 1)
    some = own.gather_every(max(len(own) // most, 1))
    return OrderFound(places, rows.filter(pl.col("request_id").is_in(some.implode())))


def order_of(found: Sequence[OrderFound], cascade: Cascade) -> Order | None:
    """What puts rows (candidate_id, `production_columns`) into production's slots; None if that is unknown.

    Tried are what its last stage logs, one order of candidates for all requests (that of their mean place), and where a
    page is declared its rules on what the last stage logs. Each must show at least `LEAST_AGREEMENT` of what production
    showed, in the same slot where slots matter.
    """
    sample = pl.concat([each.sample for each in found])
    if not len(sample):
        return None
    totals = pl.concat([each.places for each in found]).group_by("candidate_id").agg(pl.col("requests", _PLACE).sum())
    mean = totals.select("candidate_id", (-pl.col(_PLACE) / pl.col("requests")).alias(_STATIC))
    tried: list[Order] = [_by_logged, partial(_by_mean_place, mean)]
    if _WORTH in sample.columns:
        tried.append(partial(_by_rules, greedy_rules(cascade)))
    by_slot = cascade.off_policy is not None and cascade.off_policy.slot is not None
    shares = [agreement(sample, order, by_slot) for order in tried]
    best = int(np.argmax(shares))
    return tried[best] if shares[best] >= LEAST_AGREEMENT else None


def agreement(sample: pl.DataFrame, order: Order, by_slot: bool) -> float:
    """Share of what was shown that an order shows too, in the same slot if `by_slot`; 0 for one without scores."""
    rows = sample.sort("request_id", "candidate_id")
    request = rows["request_id"].rle_id().cast(pl.Int64).to_numpy()
    place = rows[_PLACE].fill_null(np.nan).to_numpy()
    shown = np.isfinite(place)
    placed = order(rows, request, np.bincount(request, shown).astype(np.int64))
    if not by_slot:
        return float((placed[shown] > 0).mean())
    # Slots may be counted from any number on: the first of a request is its first.
    logged = top(np.where(shown, -place, -np.inf), request, np.bincount(request, shown).astype(np.int64))
    return float((placed[shown] == logged[shown]).mean())


def _by_mean_place(
    scores: pl.DataFrame, rows: pl.DataFrame, request: NDArray[np.int64], slots: NDArray[np.int64]
) -> NDArray[np.int64]:
    """An order of candidates that is the same for all requests; what it does not know comes last."""
    joined = rows.select("candidate_id").join(scores, on="candidate_id", how="left", maintain_order="left")
    return top(joined[_STATIC].fill_null(-np.inf).to_numpy(), request, slots)


def _by_logged(rows: pl.DataFrame, request: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    score = rows[_LOGGED].fill_null(np.nan).to_numpy()
    return top(score, request, slots) if np.isfinite(score).any() else np.zeros(len(rows), np.int64)


def _by_rules(
    rules: PageRules, rows: pl.DataFrame, request: NDArray[np.int64], slots: NDArray[np.int64]
) -> NDArray[np.int64]:
    value = rows[_WORTH].fill_null(np.nan).to_numpy()
    if not np.isfinite(value).any():
        return np.zeros(len(rows), np.int64)
    return placed_by_rules(rules, rows, value, request, slots)


def _unshown_in_the_middle(rows: pl.DataFrame) -> pl.DataFrame:
    """Places with those of what was not shown: the mean of the places that are left."""
    shown = pl.col(_PLACE).count().over("request_id")
    last = pl.col(_PLACE).max().over("request_id").fill_null(0.0)
    left = pl.len().over("request_id") - shown
    return rows.with_columns(pl.col(_PLACE).fill_null(last + (left + 1) / 2))
