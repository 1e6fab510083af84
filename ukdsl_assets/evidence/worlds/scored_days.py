"""All that pre-ranking scored on days of the simulated cascade, and probes drawn from what it rejected."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, KEYS, REJECTED
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.simulated_days import feature_of
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.simulation.ads.day import PRE_RANKED, RANKED, SimulatedDay, keep_top
from ukdsl_assets.simulation.ads.logs import REQUESTS_A_DAY
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.truth import pair_signals
from ukdsl_assets.simulation.ads.world import Requests
from ukdsl_assets.simulation.hashing import uniforms

# As many requests are scored by the ranking model at a time as its signals stay small for.
_BLOCK = 1_000


def scored(served: SimulatedDay, models: ProductionModels, cascade: Cascade, student: Student) -> pl.DataFrame:
    """Every row that pre-ranking scored, 80 a request, with what the ranking model says of it.

    Args:
        served: with truths; a day or some requests of it.
        models: those that served the day, before they have learnt from it.

    Returns:
        Sorted by key, with the columns of `simulated_days.augmented` in their order: domain CD for the 24 that ranking
        scored and REJECTED for the 56 others, target the ranking model's prediction, weight 1, explored false; beside
        them `truth`, `teacher` (the target once more) and `own` (pre-ranking's prediction), each Float32.
    """
    assert served.true_click is not None
    requests, ads = served.requests, served.ads
    slots = np.take_along_axis(served.slots, served.pre_ranked, axis=1)
    passed = _passed(served)
    teacher = np.empty(slots.shape, np.float32)
    teacher[passed] = served.ranking_click.ravel()
    rejected = slots[~passed].reshape(len(slots), -1)
    teacher[~passed] = _ranked(served, models, rejected).ravel()

    request, slot = np.repeat(np.arange(len(slots)), PRE_RANKED), slots.ravel()
    request_id = pl.Series(served.day * REQUESTS_A_DAY + requests.number)
    columns = {
        "request_id": request_id.gather(request),
        "candidate_id": ads.ad[slot],
        "domain": pl.Series([REJECTED, CD]).gather(passed.ravel().astype(np.uint32)),
        "explored": np.zeros(len(slot), dtype=bool),
        "target": teacher.ravel(),
        "weight": np.ones(len(slot), dtype=np.float32),
        "bid": ads.bid[slot],
        "withheld": withheld(request_id, cascade.withheld_share).gather(request),
    }
    for feature in cascade.features_of(student):
        columns[feature.name] = feature_of(requests, ads, feature.name, request, slot)
    columns["truth"] = np.take_along_axis(served.true_click, served.pre_ranked, axis=1).ravel()
    columns["teacher"] = teacher.ravel()
    columns["own"] = served.pre_ranking_click.ravel()
    return pl.DataFrame(columns)


def probes(rows: pl.DataFrame, rate: float, seed: int = 0) -> pl.DataFrame:
    """The rejected rows of `scored` that ranking scores all the same, each of weight 1 / rate.

    Args:
        rate: of the rejected rows, in [0, 1]; a higher one has all probes of a lower one. None are drawn at 0.
        seed: which rows; every one is drawn by itself, by a hash of its key.
    """
    drawn = uniforms(seed, "probed", *(rows[key].to_numpy() for key in KEYS)) < rate
    return rows.filter(pl.Series(drawn), domain=REJECTED).with_columns(
        weight=pl.lit(1 / rate if rate else 1, pl.Float32)
    )


def with_probes(rows: pl.DataFrame, probed: pl.DataFrame) -> pl.DataFrame:
    """Rows of `augmented` and probes of the same day together, sorted by key."""
    return pl.concat([rows, probed.select(rows.columns)]).sort(KEYS, maintain_order=True)


def _passed(served: SimulatedDay) -> NDArray[np.bool_]:
    """Which of the 80 pre-ranked of each request are among the 24 ranked, [R, 80]."""
    passed = np.zeros(served.slots.shape, dtype=bool)
    np.put_along_axis(passed, served.ranked, True, axis=1)
    return np.take_along_axis(passed, served.pre_ranked, axis=1)


def _ranked(served: SimulatedDay, models: ProductionModels, slots: np.ndarray) -> NDArray[np.float32]:
    """The ranking model's click predictions, float32 [R, K] of integer slots [R, K]."""
    parts = []
    for start in range(0, len(slots), _BLOCK):
        block = slice(start, start + _BLOCK)
        some = Requests(*(values[block] for values in served.requests))
        signals = pair_signals(some, served.ads, slots[block])
        parts.append(models.ranking(some, served.ads, slots[block], signals)[0])
    return np.concatenate(parts)


def chosen(value: NDArray[np.float32], count: int = RANKED) -> NDArray[np.bool_]:
    """Which rows a stage that scores 80 a request by `value` (float [rows], >= 0) would hand on, `count` a request."""
    table = value.reshape(-1, PRE_RANKED)
    among = np.zeros(table.shape, dtype=bool)
    np.put_along_axis(among, keep_top(table, count), True, axis=1)
    return among.ravel()


def choice(picked: NDArray[np.bool_], worth: NDArray[np.float32], count: int = RANKED) -> tuple[float, float]:
    """Share of each request's best rows that were picked, and share of the best rows' worth that the picked have.

    Args:
        picked: [rows], `count` of each request's 80 rows; worth: float [rows], bid * truth.
    """
    best = chosen(worth, count)
    worth = worth.astype(np.float64)
    return float(picked[best].mean()), float(worth[picked].sum() / worth[best].sum())
