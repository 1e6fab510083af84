"""The table off_policy: what a day's student and production earn a request, by every estimator, and sums over days."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.learning.metrics.weighted import effective_number
from ukdsl_assets.off_policy.estimators import (
    Choices,
    Estimator,
    doubly_robust,
    ips,
    lost_by_clipping,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)
from ukdsl_assets.off_policy.explored import CASCADE, PAGE, SLOTS, Explored, choices_of
from ukdsl_assets.off_policy.means import NOTHING, Mean, difference, interval, mean_of, pooled

# Production's value is of the same explored requests, or what it earned on those that it served itself.
SAME, OWN = "same requests", "own requests"
_MEANS = ("value", "production", "difference", "own")
_OF_A_MEAN = ("", "_error", "_skewness", "_low", "_high")
COLUMNS = {
    **dict.fromkeys(("when", "reward", "estimator", "weights"), pl.String),
    **dict.fromkeys(("requests", "matched", "rewarded", "production_requests", "own_requests"), pl.Int64),
    **dict.fromkeys(("effective", "mean_weight", "mean_weight_error", "lost_by_clipping", "closed"), pl.Float64),
    **{f"{mean}{part}": pl.Float64 for mean in _MEANS for part in _OF_A_MEAN},
    **dict.fromkeys(("production_of", "checkpoint"), pl.String),
    "checkpoint_day": pl.Date,
}
MEANINGS = {
    "when": "same_day: the day's student on withheld explored requests; next_day: the student of the day before on all "
    "explored requests of the day, which it has not seen",
    "reward": "the task whose positive labels are counted",
    "estimator": "ips, snips: inverse propensity scores, self-normalised; dr, sndr: doubly robust, self-normalised; "
    "switch_dr: dr with the model alone above off_policy.switch; pi: pseudo-inverse of whole pages; rips, "
    "cascade_dr: cascades",
    "weights": "what a reward is taken to depend on: slots: the candidate and its slot; cascade: those above it too; "
    "page: a page's reward adds up over slots",
    "requests": "explored requests",
    "matched": "their rows that the policy would have shown alike, those of weight other than 0",
    "rewarded": "matched rows with a reward; without any there is no interval",
    "production_requests": "requests that production's value is of",
    "own_requests": "requests that production served itself",
    "effective": "requests of equal weight that would know as much (Kish)",
    "mean_weight": "mean weight of a row; 1 where propensities are true and everything had its chance",
    "mean_weight_error": "its standard error over requests",
    "lost_by_clipping": "what off_policy.clip takes from ips, by the rows themselves: about so much it is too low",
    "closed": "share of the requests whose attribution window had closed when the logs were read",
    "value": "rewards a request if the student ordered what got to the last stage; in the cascade's own table, if the "
    "declared page of its students were shown, without exploration",
    "production": "the same of production",
    "own": "what production earned a request on those that it served itself, counted and not estimated",
    "difference": "the student's value less production's: by the same requests, paired, where its order is known there",
    "production_of": f"{SAME}: its order is known on explored requests, and is estimated like the student's; {OWN}: "
    "the mean of requests that it served itself",
    "checkpoint": "version of the student's checkpoint; of a page those of all its students",
    "checkpoint_day": "its day",
} | {
    f"{mean}{part}": text
    for mean in _MEANS
    for part, text in {
        "_error": f"standard error of {mean} over requests",
        "_skewness": f"skewness of {mean} as a mean",
        "_low": f"lower end of the 95% interval of {mean}",
        "_high": "upper end",
    }.items()
}


def estimators(switch: float) -> dict[str, tuple[str, Estimator, bool]]:
    """Name -> which weights, what estimates, and whether it takes a model of the reward."""
    return {
        "ips": (SLOTS, ips, False),
        "snips": (SLOTS, snips, False),
        "dr": (SLOTS, doubly_robust, True),
        "sndr": (SLOTS, self_normalised_doubly_robust, True),
        "switch_dr": (SLOTS, switch_doubly_robust(switch), True),
        "pi": (PAGE, ips, False),
        "rips": (CASCADE, ips, False),
        "cascade_dr": (CASCADE, doubly_robust, True),
    }


class Outcome(NamedTuple):
    """One task as a reward on explored candidates.

    reward: float64 [rows], 0 where not shown. model: float64 [rows, slots or 1], what is expected of each candidate in
    each slot by a model that has not seen these rewards; None for none. own: production's mean over requests that it
    served itself. closed: share of requests whose rewards are final.
    """

    reward: NDArray[np.float64]
    model: NDArray[np.float64] | None
    own: Mean
    closed: float


def estimated(
    declared: OffPolicy,
    explored: Explored,
    placed: NDArray[np.int64],
    production: NDArray[np.int64] | None,
    outcomes: Mapping[str, Outcome],
) -> pl.DataFrame:
    """A row for each reward and estimator; no rows without explored requests.

    Args:
        placed: slot of each candidate under the student's policy, int64 [rows], 0 for none.
        production: the same under production, None where its order on these requests is not known.
        outcomes: by task.

    Returns:
        Columns of `COLUMNS` but `when`, `checkpoint` and `checkpoint_day`. Estimates that a policy matches no row for
        are 0, or NaN where self-normalised.
    """
    names = [name for name in COLUMNS if name not in ("when", "checkpoint", "checkpoint_day")]
    rows: list[dict[str, Any]] = []
    if len(explored.request):
        for task, outcome in outcomes.items():
            student = choices_of(explored, outcome.reward, placed, outcome.model)
            other = None if production is None else choices_of(explored, outcome.reward, production, outcome.model)
            rows += _of_reward(declared, task, outcome, student, other)
    return pl.DataFrame([{name: row[name] for name in names} for row in rows], {name: COLUMNS[name] for name in names})


def _of_reward(
    declared: OffPolicy,
    task: str,
    outcome: Outcome,
    student: Mapping[str, Choices],
    production: Mapping[str, Choices] | None,
) -> Iterator[dict[str, Any]]:
    for name, (weights, estimate, takes_model) in estimators(declared.switch).items():
        if weights not in student or (takes_model and outcome.model is None):
            continue
        whole = student[weights]
        clip = (
            declared.clip if weights != PAGE else None
        )  # Weights of pages are negative too: bounding one side shifts.
        choices = whole if clip is None else whole.clipped(clip)
        parts = estimate(choices)
        value = mean_of(parts)
        if production is None:
            theirs, more, of = outcome.own, difference(value, outcome.own), OWN
        else:
            same = estimate(production[weights] if clip is None else production[weights].clipped(clip))
            # Of a paired difference the skewness is small and its estimate mostly noise: measured, the symmetric
            # interval covers 95% and one that allows for it 94%.
            theirs, more, of = mean_of(same), mean_of(parts - same)._replace(skewness=0.0), SAME
        matched = choices.weight != 0
        rewarded = int((matched & (choices.reward > 0)).sum())
        average = mean_of(np.bincount(whole.request, whole.weight, whole.requests).astype(np.float64))
        slots = len(whole.request) * whole.filled / whole.requests
        yield {
            "reward": task,
            "estimator": name,
            "weights": weights,
            "requests": whole.requests,
            "matched": int(matched.sum()),
            "rewarded": rewarded,
            "effective": effective_number(np.abs(choices.weight), choices.request),
            "mean_weight": average.value / slots if slots else math.nan,
            "mean_weight_error": average.error / slots if slots else math.nan,
            "lost_by_clipping": 0.0 if clip is None else lost_by_clipping(whole, clip)[0],
            "closed": outcome.closed,
            **_columns("value", value, rewarded),
            **_columns("production", theirs),
            **_columns("difference", more, rewarded),
            **_columns("own", outcome.own),
            "production_of": of,
            "production_requests": theirs.requests,
            "own_requests": outcome.own.requests,
        }


@dataclass(frozen=True)
class PooledEstimate:
    """A reward and estimator over some days.

    Attributes:
        days: of how many; requests, matched, rewarded: sums. effective: sum of the days' effective requests.
        value, production, difference, own: means over all requests.
        production_of: of all days, or both where days differ.
        lost_by_clipping, closed: means over requests.
    """

    reward: str
    estimator: str
    days: int
    requests: int
    matched: int
    rewarded: int
    effective: float
    value: Mean
    production: Mean
    difference: Mean
    own: Mean
    production_of: str
    lost_by_clipping: float
    closed: float


def pooled_over_days(table: pl.DataFrame, when: str, through: date | None = None) -> list[PooledEstimate]:
    """Each reward and estimator of one comparison over the days of the table, in the order of the table.

    Every day counts with its own student and by its explored requests.

    Args:
        table: columns of `COLUMNS` and day.
        when: same_day or next_day. through: days after it are left out.
    """
    rows = table.filter(when=when) if through is None else table.filter(pl.col("day") <= through, when=when)
    found = []
    for (reward, estimator), of in rows.sort("day").group_by("reward", "estimator", maintain_order=True):
        value, production, more, own = (
            pooled([_mean(name, row) for row in of.iter_rows(named=True)]) for name in _MEANS
        )
        requests = int(of["requests"].sum())
        lost, closed = (float((of[n] * of["requests"]).sum()) / requests for n in ("lost_by_clipping", "closed"))
        found.append(
            PooledEstimate(
                reward=str(reward),
                estimator=str(estimator),
                days=of["day"].n_unique(),
                requests=requests,
                matched=int(of["matched"].sum()),
                rewarded=int(of["rewarded"].sum()),
                effective=float(of["effective"].sum()),
                value=value,
                production=production,
                difference=more,
                own=own,
                production_of=" and ".join(of["production_of"].unique(maintain_order=True)),
                lost_by_clipping=lost,
                closed=closed,
            )
        )
    return found


def of_task(found: Sequence[PooledEstimate], reward: str, estimator: str) -> PooledEstimate | None:
    """The one of a reward and estimator; None where there is none."""
    return next((each for each in found if (each.reward, each.estimator) == (reward, estimator)), None)


def interval_of(mean: Mean, rewarded: int) -> tuple[float, float]:
    """Its 95% interval; NaN without a matched reward, when nothing says how far rewards spread."""
    return interval(mean) if rewarded > 0 else (math.nan, math.nan)


def _columns(name: str, mean: Mean, rewarded: int = 1) -> dict[str, float]:
    low, high = interval_of(mean, rewarded)
    return dict(zip((f"{name}{part}" for part in _OF_A_MEAN), (*mean[1:], low, high), strict=True))


def _mean(name: str, row: Mapping[str, Any]) -> Mean:
    """A row's mean; of the student's requests, or of those that production's is of."""
    requests = row[f"{name}_requests" if name in ("production", "own") else "requests"]
    value, error, skewness = (row[f"{name}{part}"] for part in ("", "_error", "_skewness"))
    return Mean(requests, value, error, skewness) if value is not None and not math.isnan(value) else NOTHING
