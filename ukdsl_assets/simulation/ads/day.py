"""One simulated day of the cascade: requests, candidates, three stages, the auction, and what the users then did."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ukdsl_assets.simulation.ads.truth import candidates, pair_signals, true_probabilities
from ukdsl_assets.simulation.ads.world import Ads, Requests, World
from ukdsl_assets.simulation.hashing import normals, uniforms

PRE_RANKED, RANKED, SHOWN = 80, 24, 6
EXPLORED_SHARE = 0.02
PROPENSITY = SHOWN / RANKED
# What the final auction knows and no stage does: exp(0.8 N) per request and ad.
AUCTION_SPREAD = 0.8

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
MEAN_CLICK_DELAY = 60 * _SECOND
MEAN_CONVERSION_DELAY = 20 * _HOUR
# The next day at 05:00 UTC, counted from the day's start: when production trains on the day.
CLOCK = 29 * _HOUR


class ServingModels(Protocol):
    """What serves a cascade. Slots are integers [R, K], rows of `ads`; probabilities are float32 [R, K] in [0, 1]."""

    def retrieval(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        """Click probabilities of the 300 candidates of each request."""

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        """Click probabilities of the 80 that retrieval kept."""

    def ranking(
        self, requests: Requests, ads: Ads, slots: np.ndarray, signals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Click and conversion-given-click probabilities of the 24 that pre-ranking kept; signals: [R, 24, 8]."""


@dataclass(frozen=True)
class Outcomes:
    """What became of the 6 shown ads of each request; arrays are [R, 6], times in microseconds since the day's start.

    `click_at` and `conversion_at` only mean something where `clicked` and `converted`.
    """

    impression_at: np.ndarray
    clicked: np.ndarray
    click_at: np.ndarray
    converted: np.ndarray
    conversion_at: np.ndarray


@dataclass(frozen=True)
class Probes:
    """Rejected candidates that the next stage scored all the same; arrays are [R, 300], NaN where it did not.

    rate: of the rejected, the share that was drawn. probed: bool. pre_ranking_click: float32, of what retrieval
    rejected; ranking_click, ranking_conversion: float32, of what pre-ranking rejected.
    """

    rate: float
    probed: np.ndarray
    pre_ranking_click: np.ndarray
    ranking_click: np.ndarray
    ranking_conversion: np.ndarray


@dataclass(frozen=True)
class SimulatedDay:
    """All that happened on a day (R requests).

    Attributes:
        slots: int16 [R, 300], the candidates as rows of `ads`, ascending.
        pre_ranked, ranked: int64 [R, 80], [R, 24]; places among the 300, ascending.
        shown: int64 [R, 6], places among the 24 ranked, ascending. shown_slots: int16 [R, 6], the same ads' slots.
        retrieval_click, pre_ranking_click, ranking_click, ranking_conversion: float32, the stages' predictions for
            the 300, the 80, the 24 and the 24.
        signals: float32 [R, 24, 8], pair signals of the ranked.
        explored: bool [R], whether the request showed 6 random ones of its 24 ranked.
        true_click, true_conversion: float32 [R, 300], or None if not asked for.
        probes: of both stages that reject, or None if not asked for.
    """

    day: int
    requests: Requests
    ads: Ads
    slots: np.ndarray
    pre_ranked: np.ndarray
    ranked: np.ndarray
    shown: np.ndarray
    shown_slots: np.ndarray
    retrieval_click: np.ndarray
    pre_ranking_click: np.ndarray
    ranking_click: np.ndarray
    ranking_conversion: np.ndarray
    signals: np.ndarray
    explored: np.ndarray
    true_click: np.ndarray | None
    true_conversion: np.ndarray | None
    outcomes: Outcomes
    probes: Probes | None = None


def simulate_day(
    world: World, models: ServingModels, day: int, requests: int, truths: bool = True, probe_rate: float = 0.0
) -> SimulatedDay:
    """Serve a day with the models.

    Args:
        day: days since the cascade's first; may be negative.
        requests: how many.
        truths: whether to compute the true probabilities of all candidates; the outcomes are the same without.
        probe_rate: share of what a stage rejects that the next one scores too; what is served is the same without.

    Returns:
        The day; a pure function of the arguments.
    """
    day_requests, ads = world.requests(day, requests), world.ads(day)
    slots = candidates(world, ads, day, day_requests)
    # The truth of all 300 candidates is a kernel that holds no lock, so that it runs beside the stages.
    with ThreadPoolExecutor(1) as beside:
        truth = beside.submit(true_probabilities, world, day_requests, ads, slots) if truths else None
        served = _served(world, models, day, day_requests, ads, slots, probe_rate)
        true_click, true_conversion = truth.result() if truth else (None, None)
    return replace(served, true_click=true_click, true_conversion=true_conversion)


def some_requests(served: SimulatedDay, which: slice | np.ndarray) -> SimulatedDay:
    """The same day with some of its requests alone, which keep their numbers; a slice copies nothing.

    Args:
        which: a slice of the requests, or bool [R].
    """
    arrays: dict[str, Any] = {n: value[which] for n, value in vars(served).items() if isinstance(value, np.ndarray)}
    requests = Requests(*(value[which] for value in served.requests))
    outcomes = Outcomes(**{name: value[which] for name, value in vars(served.outcomes).items()})
    probes = served.probes
    if probes is not None:
        of_probes: dict[str, Any] = {n: v[which] for n, v in vars(probes).items() if isinstance(v, np.ndarray)}
        probes = replace(probes, **of_probes)
    return replace(served, requests=requests, outcomes=outcomes, probes=probes, **arrays)


def known_to_auction(world: World, day: int, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
    """The factor on the bid by which the final auction values a click, float32 [R, K] of integer slots [R, K]."""
    draws = normals(world.stream, "auction", day, requests.number[:, None], ads.ad[slots])
    return np.exp(np.float32(AUCTION_SPREAD) * draws)


def keep_top(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of each row's `count` highest scores, ascending; of equal scores the earlier place wins.

    Args:
        scores: float32 [R, K], not negative, no NaN, K < 65,536.

    Returns:
        int64 [R, count].
    """
    width = scores.shape[1]
    # A non-negative float orders as its bits do; the place below them makes every key of a row different.
    keys = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32).astype(np.uint64) << np.uint64(16)
    keys |= np.arange(width, 0, -1, dtype=np.uint64)
    least = np.partition(keys, width - count, axis=1)[:, width - count]
    return np.nonzero(keys >= least[:, None])[1].reshape(-1, count)


def _served(
    world: World,
    models: ServingModels,
    day: int,
    requests: Requests,
    ads: Ads,
    slots: np.ndarray,
    probe_rate: float,
) -> SimulatedDay:
    """What became of the candidates, without their truth; arguments as the day's of the same names."""
    retrieval_click = models.retrieval(requests, ads, slots)
    pre_ranked = keep_top(ads.bid[slots] * retrieval_click, PRE_RANKED)
    slots_80 = np.take_along_axis(slots, pre_ranked, axis=1)
    pre_ranking_click = models.pre_ranking(requests, ads, slots_80)
    among_80 = keep_top(ads.bid[slots_80] * pre_ranking_click, RANKED)
    ranked = np.take_along_axis(pre_ranked, among_80, axis=1)
    slots_24 = np.take_along_axis(slots, ranked, axis=1)
    signals = pair_signals(requests, ads, slots_24)
    ranking_click, ranking_conversion = models.ranking(requests, ads, slots_24, signals)

    explored = uniforms(world.stream, "explored", day, requests.number) < EXPLORED_SHARE
    pair = (day, requests.number[:, None], ads.ad[slots_24])
    score = ads.bid[slots_24] * known_to_auction(world, day, requests, ads, slots_24) * ranking_click
    score[explored] = uniforms(world.stream, "exploration order", *pair)[explored]
    shown = keep_top(score, SHOWN)
    shown_slots = np.take_along_axis(slots_24, shown, axis=1)
    probes = None
    if probe_rate > 0:
        probes = _probes(world, models, day, requests, ads, slots, pre_ranked, ranked, probe_rate)
    return SimulatedDay(
        day=day,
        requests=requests,
        ads=ads,
        slots=slots,
        pre_ranked=pre_ranked,
        ranked=ranked,
        shown=shown,
        shown_slots=shown_slots,
        retrieval_click=retrieval_click,
        pre_ranking_click=pre_ranking_click,
        ranking_click=ranking_click,
        ranking_conversion=ranking_conversion,
        signals=signals,
        explored=explored,
        true_click=None,
        true_conversion=None,
        outcomes=_outcomes(world, day, requests, ads, shown_slots),
        probes=probes,
    )


def _probes(
    world: World,
    models: ServingModels,
    day: int,
    requests: Requests,
    ads: Ads,
    slots: np.ndarray,
    pre_ranked: np.ndarray,
    ranked: np.ndarray,
    rate: float,
) -> Probes:
    """Draw probes among what either stage rejected, and score them; arguments as the day's of the same names."""
    depth = np.zeros(slots.shape, np.uint8)
    np.put_along_axis(depth, pre_ranked, 1, axis=1)
    np.put_along_axis(depth, ranked, 2, axis=1)
    pair = (day, requests.number[:, None], ads.ad[slots])
    probed = (uniforms(world.stream, "probed", *pair) < rate) & (depth < 2)
    scores = [np.full(slots.shape, np.nan, np.float32) for _ in range(3)]
    for rejected_at in (0, 1):
        row, place = np.nonzero(probed & (depth == rejected_at))
        # Each probe as a request of one candidate.
        of_probes, one = Requests(*(values[row] for values in requests)), slots[row, place][:, None]
        if rejected_at == 0:
            scores[0][row, place] = models.pre_ranking(of_probes, ads, one)[:, 0]
        else:
            click, conversion = models.ranking(of_probes, ads, one, pair_signals(of_probes, ads, one))
            scores[1][row, place], scores[2][row, place] = click[:, 0], conversion[:, 0]
    return Probes(rate, probed, *scores)


def _outcomes(world: World, day: int, requests: Requests, ads: Ads, slots: np.ndarray) -> Outcomes:
    seed, pair = world.stream, (day, requests.number[:, None], ads.ad[slots])
    click, conversion = true_probabilities(world, requests, ads, slots)
    clicked = uniforms(seed, "click", *pair) < click
    impression_at = requests.microsecond[:, None] + _delay(uniforms(seed, "impression delay", *pair), 0.2 * _SECOND)
    click_at = impression_at + _SECOND + _delay(uniforms(seed, "click delay", *pair), MEAN_CLICK_DELAY)
    return Outcomes(
        impression_at=impression_at,
        clicked=clicked,
        click_at=click_at,
        converted=clicked & (uniforms(seed, "conversion", *pair) < conversion),
        conversion_at=click_at + _delay(uniforms(seed, "conversion delay", *pair), MEAN_CONVERSION_DELAY),
    )


def _delay(uniform: np.ndarray, mean: float) -> np.ndarray:
    """Exponential delays of the given mean, whole microseconds."""
    return (-mean * np.log1p(-uniform)).astype(np.int64)
