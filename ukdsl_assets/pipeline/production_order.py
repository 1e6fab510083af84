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
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.off_policy.policies import top

# Least share of what production showed that an order must show alike to be taken for its own.
LEAST_AGREEMENT = 0.99
# Requests of a day by which that is told.
SAMPLED_REQUESTS = 2_000
_PLACE, _LOGGED, _STATIC = "_place", "_logged", "_static"


class OrderFound(NamedTuple):
    """Of a shard: each candidate's places in requests that production served (candidate_id, requests, places), and the
    rows of some of these requests (request_id, candidate_id, place, logged score)."""

    places: pl.DataFrame
    sample: pl.DataFrame


def production_columns(cascade: Cascade, student: Student) -> list[pl.Expr]:
    """`_logged`: what the last stage predicted for the student's task and those that it is given, times the bid; null
    where it logs no such prediction."""
    last = cascade.stages[-1].name
    tasks = [student.task, *cascade.conditions_of(student.task)]
    if not {*tasks} <= {*cascade.predictions_of(last)}:
        return [pl.lit(None, pl.Float64).alias(_LOGGED)]
    score = pl.col(prediction_column(last, tasks[0])).cast(pl.Float64)
    for task in tasks[1:]:
        score = score * pl.col(prediction_column(last, task))
    return [(score * pl.col("bid") if cascade.has_bid else score).alias(_LOGGED)]


def order_sums(cascade: Cascade, student: Student, scored: pl.LazyFrame, own: pl.Series, shards: int) -> OrderFound:
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
        "request_id", "candidate_id", place, *production_columns(cascade, student)
    )
    rows = every.collect()
    places = _unshown_in_the_middle(rows).group_by("candidate_id").agg(pl.len().alias("requests"), pl.col(_PLACE).sum())
    most = max(SAMPLED_REQUESTS // shards, 1)
    some = own.gather_every(max(len(own) // most, 1))
    return OrderFound(places, rows.filter(pl.col("request_id").is_in(some.implode())))


def order_of(found: Sequence[OrderFound], cascade: Cascade) -> Callable[[pl.DataFrame], NDArray[np.float64]] | None:
    """What scores rows (candidate_id, `_logged`) in production's order, float64, the highest first; None if unknown.

    Tried are what its last stage logs, and one order of candidates for all requests: that of their mean place. Each
    must show at least `LEAST_AGREEMENT` of what production showed, in the same slot where slots matter.
    """
    sample = pl.concat([each.sample for each in found])
    if not len(sample):
        return None
    totals = pl.concat([each.places for each in found]).group_by("candidate_id").agg(pl.col("requests", _PLACE).sum())
    mean = totals.select("candidate_id", (-pl.col(_PLACE) / pl.col("requests")).alias(_STATIC))
    tried: list[Callable[[pl.DataFrame], NDArray[np.float64]]] = [_logged, partial(_static, mean)]
    by_slot = cascade.off_policy is not None and cascade.off_policy.slot is not None
    shares = [agreement(sample, order, by_slot) for order in tried]
    best = int(np.argmax(shares))
    return tried[best] if shares[best] >= LEAST_AGREEMENT else None


def agreement(sample: pl.DataFrame, order: Callable[[pl.DataFrame], NDArray[np.float64]], by_slot: bool) -> float:
    """Share of what was shown that an order shows too, in the same slot if `by_slot`; 0 for one without scores."""
    rows = sample.sort("request_id", "candidate_id")
    score = order(rows)
    if np.isnan(score).all():
        return 0.0
    request = rows["request_id"].rle_id().cast(pl.Int64).to_numpy()
    place = rows[_PLACE].fill_null(np.nan).to_numpy()
    shown = np.isfinite(place)
    placed = top(score, request, np.bincount(request, shown).astype(np.int64))
    if not by_slot:
        return float((placed[shown] > 0).mean())
    # Slots may be counted from any number on: the first of a request is its first.
    logged = top(np.where(shown, -place, -np.inf), request, np.bincount(request, shown).astype(np.int64))
    return float((placed[shown] == logged[shown]).mean())


def _static(scores: pl.DataFrame, rows: pl.DataFrame) -> NDArray[np.float64]:
    """An order of candidates that is the same for all requests; what it does not know comes last."""
    joined = rows.select("candidate_id").join(scores, on="candidate_id", how="left", maintain_order="left")
    return joined[_STATIC].fill_null(-np.inf).to_numpy()


def _logged(rows: pl.DataFrame) -> NDArray[np.float64]:
    return rows[_LOGGED].fill_null(np.nan).to_numpy()


def _unshown_in_the_middle(rows: pl.DataFrame) -> pl.DataFrame:
    """Places with those of what was not shown: the mean of the places that are left."""
    shown = pl.col(_PLACE).count().over("request_id")
    last = pl.col(_PLACE).max().over("request_id").fill_null(0.0)
    left = pl.len().over("request_id") - shown
    return rows.with_columns(pl.col(_PLACE).fill_null(last + (left + 1) / 2))
