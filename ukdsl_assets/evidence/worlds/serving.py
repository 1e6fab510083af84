"""Who serves pre-ranking in a closed loop: a student, or one of the ceilings; the other stages are production's."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.worlds.arms import Learner
from ukdsl_assets.evidence.worlds.simulated_days import feature_of
from ukdsl_assets.learning.students.vectors import tower_vectors
from ukdsl_assets.simulation.ads.production import ProductionModels
from ukdsl_assets.simulation.ads.truth import dot_probabilities, pair_signals, true_probabilities
from ukdsl_assets.simulation.ads.world import Ads, Requests, World

# As many requests are scored by the ranking model at a time as its signals stay small for.
_BLOCK = 1_000


@dataclass
class Production:
    """The production models, each at its own stage; implements `day.ServingModels`, as the others below."""

    models: ProductionModels

    def retrieval(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        return self.models.retrieval(requests, ads, slots)

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        return self.models.pre_ranking(requests, ads, slots)

    def ranking(
        self, requests: Requests, ads: Ads, slots: np.ndarray, signals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.models.ranking(requests, ads, slots, signals)


@dataclass
class StudentServes(Production):
    """An arm's student serves pre-ranking with its last head."""

    learner: Learner
    cascade: Cascade
    student: Student

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        fitted = self.learner.fitted
        assert fitted is not None
        # Each request once, and each ad once; the other side of these pairs does not matter.
        of_requests = self._pairs(requests, ads, np.arange(len(requests.number)), np.zeros(len(requests.number), int))
        of_ads = self._pairs(requests, ads, np.zeros(len(ads.ad), int), np.arange(len(ads.ad)))
        head = fitted.heads[-1]
        request, ad = tower_vectors(fitted, of_requests, head)[0], tower_vectors(fitted, of_ads, head)[1]
        slope, intercept = self.learner.line
        return dot_probabilities(np.float32(slope) * request, ad, np.float32(intercept), slots)

    def _pairs(self, requests: Requests, ads: Ads, request: np.ndarray, slot: np.ndarray) -> pl.DataFrame:
        columns: dict[str, pl.Series | np.ndarray] = {"request_id": request}
        for feature in self.cascade.features_of(self.student):
            columns[feature.name] = feature_of(requests, ads, feature.name, request, slot)
        return pl.DataFrame(columns)


@dataclass
class RankingServes(Production):
    """Ceiling: the ranking model scores at the named stages what they score."""

    stages: tuple[str, ...]

    def retrieval(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        score = self._ranked if "retrieval" in self.stages else super().retrieval
        return score(requests, ads, slots)

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        score = self._ranked if "pre_ranking" in self.stages else super().pre_ranking
        return score(requests, ads, slots)

    def _ranked(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(slots), _BLOCK):
            block = slice(start, start + _BLOCK)
            some = Requests(*(values[block] for values in requests))
            signals = pair_signals(some, ads, slots[block])
            parts.append(self.models.ranking(some, ads, slots[block], signals)[0])
        return np.concatenate(parts)


@dataclass
class TruthServes(Production):
    """Ceiling: pre-ranking knows the true probability of a click."""

    world: World

    def pre_ranking(self, requests: Requests, ads: Ads, slots: np.ndarray) -> np.ndarray:
        return true_probabilities(self.world, requests, ads, slots)[0]
