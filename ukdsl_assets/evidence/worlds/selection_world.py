"""A synthetic world of 100 candidate features in which it is known what each of them is good for.

Requests have candidates; a serving score shows the best of each. What matters among the shown is then not what matters
among the considered: features that the score already uses hardly vary among the shown, some only matter near the top,
some only below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Kind -> how many features. A pair is two features of which only the product matters.
KINDS: Mapping[str, int] = MappingProxyType({"gated": 8, "top": 12, "both": 12, "below": 6, "pair": 8})
FEATURES = 100
COPY_CORRELATION = 0.94
CANDIDATES = 60
BASE_LOGIT = -3.5
EFFECTS = (0.1, 0.3)


@dataclass(frozen=True)
class Regime:
    """copies: noisy copies of features that matter; gate: how much more the score uses gated features than the rest;
    shown: of the 60 candidates of a request."""

    copies: int
    gate: float
    shown: int


REGIMES: Mapping[str, Regime] = MappingProxyType(
    {
        "base": Regime(copies=18, gate=1.0, shown=6),
        "strong shift": Regime(copies=18, gate=2.0, shown=3),
        "no copies": Regime(copies=0, gate=1.0, shown=6),
    }
)


@dataclass(frozen=True)
class SelectionWorld:
    """One world; a pure function of its regime and seed.

    kinds: of each feature, one of KINDS, `copy` or `noise`; effects: float64 [features], 0 for the last two; copied:
    int64 [features], what a copy copies, itself for all others (both then measure one signal with noise, so that they
    correlate by COPY_CORRELATION and neither is the true one); costs: float64 [features], of mean 1 or about.
    """

    regime: Regime
    seed: int
    kinds: tuple[str, ...]
    effects: NDArray[np.float64]
    copied: NDArray[np.int64]
    costs: NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, which tell the kind."""
        return tuple(f"{kind}_{at:02d}" for at, kind in enumerate(self.kinds))

    def day(self, part: int, requests: int, considered: int, explored: float = 0.0) -> pl.DataFrame:
        """The shown and the first `considered` candidates of some requests, sorted by request_id and candidate_id.

        Candidates of a request are drawn alike, so that its first ones are as good as random ones.

        Args:
            part: which requests; the same part and numbers give the same rows, and parts share no request.
            explored: share of the requests that show their first candidates instead of the best.

        Returns:
            Columns request_id, candidate_id (Int64), the features and truth (Float32), label (Float32; of the shown
            alone one would know it), shown and considered (Boolean).
        """
        rng = np.random.default_rng((self.seed, 1, part))
        of_score = np.concatenate([self._of("gated"), self._of("both")])
        early = rng.standard_normal((requests, CANDIDATES, len(of_score)), dtype=np.float32)
        score = self._score(early) + 0.5 * rng.standard_normal((requests, CANDIDATES))
        order = np.where(rng.random((requests, 1)) < explored, np.arange(CANDIDATES), np.argsort(-score, axis=1))
        shown = np.zeros((requests, CANDIDATES), dtype=bool)
        np.put_along_axis(shown, order[:, : self.regime.shown], True, axis=1)
        first = np.arange(CANDIDATES) < considered
        request, candidate = np.nonzero(shown | first)
        # What the score does not read is drawn for the rows that are kept alone.
        signal = rng.standard_normal((len(request), len(self.kinds)), dtype=np.float32)
        signal[:, of_score] = early[request, candidate]
        truth = 1 / (1 + np.exp(-self._logit(signal, score[request, candidate])))
        logged = self._measured(signal, rng)
        return pl.DataFrame(
            {
                "request_id": request.astype(np.int64) + part * 10_000_000,
                "candidate_id": candidate.astype(np.int64),
                **{name: logged[:, at] for at, name in enumerate(self.names)},
                "truth": truth.astype(np.float32),
                "label": (rng.random(len(request)) < truth).astype(np.float32),
                "shown": shown[request, candidate],
                "considered": first[candidate],
            }
        )

    def _measured(self, signal: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """What is logged: the signals; a feature with a copy, and the copy, measure one with noise of their own."""
        doubled = np.flatnonzero(self.copied != np.arange(len(self.kinds)))
        places = np.concatenate([doubled, self.copied[doubled]])
        noise = rng.standard_normal((len(signal), len(places)), dtype=np.float32)
        logged = signal.copy()
        share = np.float32(COPY_CORRELATION)
        logged[:, places] = np.sqrt(share) * signal[:, self.copied[places]] + np.sqrt(1 - share) * noise
        return logged

    def _of(self, kind: str) -> NDArray[np.int64]:
        return np.flatnonzero([feature_kind == kind for feature_kind in self.kinds])

    def _score(self, early: NDArray[np.float32]) -> NDArray[np.float64]:
        """What serves, of the gated features and those that matter on both sets: these count half; standardised."""
        gated, both = self.effects[self._of("gated")], self.effects[self._of("both")]
        weight = np.concatenate([self.regime.gate * gated, 0.5 * both])
        return np.asarray(early @ weight / np.sqrt((weight**2).sum()))

    def _logit(self, x: NDArray[np.float32], score: NDArray[np.float64]) -> NDArray[np.float64]:
        everywhere = np.isin(self.kinds, ["gated", "both"])
        near_top = 1 / (1 + np.exp(-4 * (score - 1.0)))
        top, below, pairs = self._of("top"), self._of("below"), self._of("pair")
        logit = BASE_LOGIT + x @ np.where(everywhere, self.effects, 0)
        logit = logit + near_top * (x[..., top] @ self.effects[top])
        logit = logit + (1 - near_top) * (x[..., below] @ self.effects[below])
        # The effect of a pair is that of its first feature.
        return np.asarray(logit + (x[..., pairs[::2]] * x[..., pairs[1::2]]) @ self.effects[pairs[::2]])


def selection_world(regime: Regime, seed: int) -> SelectionWorld:
    """The world of a regime and seed: effects of random sign and size, and which features have copies."""
    rng = np.random.default_rng((seed, 0))
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    useful = len(kinds)
    kinds += ["copy"] * regime.copies
    kinds += ["noise"] * (FEATURES - len(kinds))
    effects = np.where(np.arange(FEATURES) < useful, rng.uniform(*EFFECTS, FEATURES) * rng.choice([-1, 1], FEATURES), 0)
    able = np.flatnonzero(np.isin(kinds, ["gated", "top", "both"]))
    copied = np.arange(FEATURES)
    copied[useful : useful + regime.copies] = rng.permutation(able)[: regime.copies]
    costs = rng.lognormal(-0.32, 0.8, FEATURES).round(3)
    return SelectionWorld(regime, seed, tuple(kinds), effects, copied, costs)
