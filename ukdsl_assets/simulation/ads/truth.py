"""Per-pair kernels: which ads are candidates, their signals, the true probabilities, and two-tower predictions."""

import math

import numpy as np
from numba import njit

from ukdsl_assets.simulation.ads.world import ACTIVE_ADS, LATENT, Ads, Requests, World
from ukdsl_assets.simulation.hashing import NORMAL_LEVELS, absorb, hashed

# Compiled kernels are cached by this file's date alone: touch it after a change to `absorb` or an imported constant.
CANDIDATES = 300
_S16 = np.uint64(16)
_MASK = np.uint64(0xFFFF)
_HIDDEN = np.uint64(2)  # blocks 0 and 1 of a pair's hashes hold its eight signals


def candidates(world: World, ads: Ads, day: int, requests: Requests) -> np.ndarray:
    """Slots of each request's 300 different candidates, int16 [R, 300], ascending (so by ad id).

    Ads are drawn one after the other in proportion to their popularity, repeated ones again.
    """
    return _draw(hashed(world.stream, "candidates", day, requests.number), ads.drawn)


def pair_signals(requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
    """The signals x0 .. x7 of (request, slot) pairs, float32 [R, K, 8]; N(0, 1), fixed for a user and an ad.

    Args:
        slots: integers [R, K].
    """
    return _signals(requests.pair_state, ads.ad.view(np.uint64), slots, NORMAL_LEVELS)


def true_probabilities(world: World, requests: Requests, ads: Ads, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True probability of a click, and of a conversion given a click, for (request, slot) pairs.

    Args:
        slots: integers [R, K].

    Returns:
        Two float32 [R, K] in (0, 1).
    """
    return _probabilities(requests, ads, ads.ad.view(np.uint64), world.tables, slots, NORMAL_LEVELS)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot_probabilities(request, ad, bias, slots):  # type: ignore[no-untyped-def]
    """Sigmoid of (request vector . ad vector + bias), float32 [R, K]: a two-tower model's predictions.

    Args:
        request, ad: float32 [R, D] and [A, D]. bias: float32.
        slots: integers [R, K], rows of `ad`.
    """
    probability = np.empty(slots.shape, np.float32)
    for row in range(slots.shape[0]):
        for column in range(slots.shape[1]):
            logit = bias
            for place in range(request.shape[1]):
                logit += request[row, place] * ad[slots[row, column], place]
            probability[row, column] = np.float32(1) / (np.float32(1) + math.exp(-logit))
    return probability


@njit(cache=True, nogil=True)
def _draw(states, drawn):  # type: ignore[no-untyped-def]
    slots = np.empty((len(states), CANDIDATES), np.int16)
    taken = np.zeros(ACTIVE_ADS, np.bool_)
    for row in range(len(states)):
        missing = CANDIDATES
        block = np.uint64(0)
        while missing > 0:
            bits = absorb(states[row], block)
            block += np.uint64(1)
            for _ in range(4):
                slot = drawn[bits & _MASK]
                bits >>= _S16
                if missing > 0 and not taken[slot]:
                    taken[slot] = True
                    missing -= 1
        position = 0
        for slot in range(ACTIVE_ADS):
            if taken[slot]:
                slots[row, position] = slot
                position += 1
                taken[slot] = False
    return slots


@njit(cache=True, nogil=True)
def _fill_signals(pair, levels, signals):  # type: ignore[no-untyped-def]
    for block in range(LATENT // 4):
        bits = absorb(pair, np.uint64(block))
        for place in range(4):
            signals[4 * block + place] = levels[bits & _MASK]
            bits >>= _S16


@njit(cache=True, nogil=True)
def _signals(pair_state, ad, slots, levels):  # type: ignore[no-untyped-def]
    signals = np.empty((*slots.shape, LATENT), np.float32)
    for row in range(slots.shape[0]):
        for column in range(slots.shape[1]):
            _fill_signals(absorb(pair_state[row], ad[slots[row, column]]), levels, signals[row, column])
    return signals


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _probabilities(requests, ads, ad, tables, slots, levels):  # type: ignore[no-untyped-def]
    click = np.empty(slots.shape, np.float32)
    conversion = np.empty(slots.shape, np.float32)
    x = np.empty(LATENT, np.float32)
    for row in range(slots.shape[0]):
        by_segment = tables.segment_category[requests.user_segment[row]]
        by_hour = tables.hour_category[requests.hour[row]]
        by_placement = tables.placement_format[requests.placement[row]]
        taste = requests.latent[row]
        profile0 = requests.profile[row, 0]
        for column in range(slots.shape[1]):
            slot = slots[row, column]
            pair = absorb(requests.pair_state[row], ad[slot])
            _fill_signals(pair, levels, x)
            hidden = levels[absorb(pair, _HIDDEN) & _MASK]
            affinity = np.float32(0)
            for place in range(LATENT):
                affinity += taste[place] * ads.latent[slot, place]
            affinity *= np.float32(1 / math.sqrt(LATENT))
            signal = (
                np.float32(0.7) * math.tanh(np.float32(1.5) * x[0])
                + np.float32(0.5) * x[1] * x[2]
                + np.float32(0.7) * max(x[3], np.float32(0))
                + np.float32(0.4) * x[4] * profile0
                + np.float32(0.35) * math.sin(np.float32(2) * x[5])
            )
            click_logit = (
                requests.click_effect[row]
                + ads.click_effect[slot]
                + np.float32(0.7) * affinity
                + by_segment[ads.category[slot]]
                + by_hour[ads.category[slot]]
                + by_placement[ads.format[slot]]
                + np.float32(0.25) * signal
                + np.float32(0.3) * hidden
            )
            conversion_logit = (
                requests.conversion_effect[row]
                + ads.conversion_effect[slot]
                + np.float32(0.35) * affinity
                + np.float32(0.2) * signal
                + np.float32(0.25) * (x[6] + x[7])
            )
            click[row, column] = np.float32(1) / (np.float32(1) + math.exp(-click_logit))
            conversion[row, column] = np.float32(1) / (np.float32(1) + math.exp(-conversion_logit))
    return click, conversion
