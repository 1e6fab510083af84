"""The production models of the simulated cascade: they serve a day, then learn from its impressions alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ukdsl_assets.simulation.ads.day import CLOCK, MEAN_CONVERSION_DELAY, Outcomes, SimulatedDay
from ukdsl_assets.simulation.ads.networks import EarlyStageNetwork, Ranker
from ukdsl_assets.simulation.ads.truth import dot_probabilities
from ukdsl_assets.simulation.ads.world import ACTIVE_ADS, FIRST_DAYS_OLDEST_AD, NEW_ADS_A_DAY, Ads, Requests
from ukdsl_assets.simulation.scales import Scale

_CLICK_BIAS, _CONVERSION_BIAS = -3.2, -2.4  # logits of about 4% and 8%
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
# Torch's own are the process's, and steps may be made at once.
_RANDOM_NUMBERS = Lock()
_SCORED_REQUESTS = 256  # a block of the MLP's activations that stays in the cache


class ProductionModels:
    """Retrieval, pre-ranking and ranking, ready to serve the day after `trained_to`.

    Implements `day.ServingModels`. All torch work runs on one thread, so that results do not depend on thread counts.
    """

    def __init__(self, seed: int, trained_to: int) -> None:
        """Random models, whose predictions hardly differ between ads: such a cascade ranks by bid."""
        self.seed = seed
        self.trained_to = trained_to
        with _RANDOM_NUMBERS, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._retrieval = EarlyStageNetwork(profile=0, embedding=4, hidden=16, output=8, bias=_CLICK_BIAS)
            self._pre_ranking = EarlyStageNetwork(profile=4, embedding=8, hidden=48, output=16, bias=_CLICK_BIAS)
            self._ranking = Ranker(embedding=8, click_bias=_CLICK_BIAS, conversion_bias=_CONVERSION_BIAS)
        self._networks = nn.ModuleDict(
            {"retrieval": self._retrieval, "pre_ranking": self._pre_ranking, "ranking": self._ranking}
        )
        # Its moments are carried from day to day: conversions are so few that a fresh Adam each day loses them.
        self._optimizer = torch.optim.Adam(self._networks.parameters(), fused=True)

    def state(self) -> dict[str, Tensor]:
        """Parameters by name, e.g. `ranking.wide.weight`, and after a first training Adam's `<name>#exp_avg` and so on.

        The tensors share memory with the models.
        """
        tensors = dict(self._networks.state_dict())
        for name, parameter in self._networks.named_parameters():
            tensors |= {f"{name}#{key}": value for key, value in self._optimizer.state[parameter].items()}
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over a `state`; RuntimeError or KeyError if a name or a shape differs."""
        self._networks.load_state_dict({name: tensor for name, tensor in tensors.items() if "#" not in name})
        for name, parameter in self._networks.named_parameters():
            self._optimizer.state[parameter] = {key: tensors[f"{name}#{key}"] for key in _MOMENTS}

    def copy(self) -> "ProductionModels":
        """Models of their own with the same state, for a cascade that goes on differently."""
        other = ProductionModels(self.seed, self.trained_to)
        other.load({name: tensor.clone() for name, tensor in self.state().items()})
        return other

    def retrieval(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        """Click probabilities, float32 [R, K]."""
        return _two_tower_probabilities(self._retrieval, requests, ads, slots)

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        """Click probabilities, float32 [R, K]."""
        return _two_tower_probabilities(self._pre_ranking, requests, ads, slots)

    def ranking(
        self, requests: Requests, ads: Ads, slots: np.ndarray, signals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Click and conversion-given-click probabilities, each float32 [R, K]."""
        probabilities = np.empty((2, *slots.shape), np.float32)
        with torch.no_grad(), _one_thread():
            for block in _blocks(len(slots), _SCORED_REQUESTS):
                logits = self._ranking(_rows(requests, block), ads, slots[block], signals[block])
                probabilities[:, block] = torch.sigmoid(logits).movedim(-1, 0)
        return probabilities[0], probabilities[1]

    def train(self, served: SimulatedDay, scale: Scale) -> None:
        """One epoch on the day's impressions, with what was known of their outcomes at 05:00 UTC the next morning.

        Tomorrow's new ads then get fresh rows.
        """
        slots = served.shown_slots
        clicked = torch.from_numpy(served.outcomes.clicked.astype(np.float32))
        converted = torch.from_numpy(conversion_targets(served.outcomes))
        signals = np.take_along_axis(served.signals, served.shown[:, :, None], axis=1)

        with _one_thread():
            for block, rate in _batches(len(slots), scale):
                requests = _rows(served.requests, block)
                retrieval = self._retrieval(requests, served.ads, slots[block])
                pre_ranking = self._pre_ranking(requests, served.ads, slots[block])
                ranking, conversion = self._ranking(requests, served.ads, slots[block], signals[block]).unbind(-1)
                # The networks share no parameter, so one sum trains each on its own. Only clicks convert.
                loss = cross_entropy(conversion, converted[block], weight=clicked[block])
                for click in (retrieval, pre_ranking, ranking):
                    loss = loss + cross_entropy(click, clicked[block])
                self._optimizer.param_groups[0]["lr"] = rate
                self._optimizer.zero_grad()
                loss.backward()
                self._optimizer.step()
        self.trained_to = served.day
        tomorrows = FIRST_DAYS_OLDEST_AD + NEW_ADS_A_DAY * served.day + ACTIVE_ADS + np.arange(NEW_ADS_A_DAY)
        for network in (self._retrieval, self._pre_ranking, self._ranking):
            network.admit(self.seed, tomorrows)


def conversion_targets(outcomes: Outcomes) -> np.ndarray:
    """Targets for the conversion head from the conversions seen by the clock, float32 [R, 6].

    Each counts 1 / (probability that a conversion of this click would be seen by now), so that the mean over clicks
    estimates the final conversion rate without looking ahead.
    """
    elapsed = np.maximum(CLOCK - outcomes.click_at, 1)
    converted_by_now = outcomes.converted & (outcomes.conversion_at < CLOCK)
    return np.where(converted_by_now, 1 / -np.expm1(-elapsed / MEAN_CONVERSION_DELAY), 0).astype(np.float32)


def _two_tower_probabilities(network: EarlyStageNetwork, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
    with torch.no_grad(), _one_thread():
        request = network.request_vectors(requests).numpy()
        ad = network.ad_vectors(ads, np.arange(len(ads.ad))).numpy()
    return dot_probabilities(request, ad, np.float32(network.bias.item()), slots)


def _batches(requests: int, scale: Scale) -> Iterator[tuple[slice, float]]:
    """Blocks of requests, which are in random order already, and their learning rates.

    The rate falls towards zero over the day; at a constant one, the last few batches would sway tomorrow's calibration.
    """
    for block in _blocks(requests, scale.batch_requests):
        yield block, scale.learning_rate * (1 - block.start / requests)


def _rows(requests: Requests, block: slice) -> Requests:
    return Requests(*(values[block] for values in requests))


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in torch depend on the number of threads; with one, they never do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
