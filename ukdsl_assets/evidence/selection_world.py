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

    def day(self, part: int, requests: int) -> pl.DataFrame:
        """All considered candidates of some requests, 60 rows each, sorted by request_id.

        Args:
            part: which requests; equal parts are equal, others share none.

        Returns:
            Columns request_id, candidate_id (Int64), the features and truth (Float32), label (Float32; of the shown
            alone one would know it) and shown (Boolean).
        """
        rng = np.random.default_rng((self.seed, 1, part))
        shape = (requests, CANDIDATES)
        signal = rng.standard_normal((*shape, len(self.kinds)), dtype=np.float32)
        score = self._score(signal) + 0.5 * rng.standard_normal(shape)
        truth = 1 / (1 + np.exp(-self._logit(signal, score)))
        best = np.argsort(-score, axis=1)[:, : self.regime.shown]
        shown = np.zeros(shape, dtype=bool)
        np.put_along_axis(shown, best, True, axis=1)
        label = (rng.random(shape) < truth).astype(np.float32)
        request = np.repeat(np.arange(requests, dtype=np.int64) + part * 10_000_000, CANDIDATES)
        flat = self._measured(signal, rng).reshape(-1, len(self.kinds))
        return pl.DataFrame(
            {
                "request_id": request,
                "candidate_id": np.tile(np.arange(CANDIDATES, dtype=np.int64), requests),
                **{name: flat[:, at] for at, name in enumerate(self.names)},
                "truth": truth.ravel().astype(np.float32),
                "label": label.ravel(),
                "shown": shown.ravel(),
            }
        )

    def _measured(self, signal: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """What is logged: the signals; a feature with a copy, and the copy, measure one with noise of their own."""
        doubled = np.flatnonzero(self.copied != np.arange(len(self.kinds)))
        places = np.concatenate([doubled, self.copied[doubled]])
        noise = rng.standard_normal((*signal.shape[:2], len(places)), dtype=np.float32)
        logged = signal.copy()
        share = np.float32(COPY_CORRELATION)
        logged[..., places] = np.sqrt(share) * signal[..., self.copied[places]] + np.sqrt(1 - share) * noise
        return logged

    def _of(self, kind: str) -> NDArray[np.int64]:
        return np.flatnonzero([each == kind for each in self.kinds])

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """What serves: the gated features, and half of what matters on both sets; standardised."""
        weight = np.zeros(len(self.kinds))
        weight[self._of("gated")] = self.regime.gate * self.effects[self._of("gated")]
        weight[self._of("both")] = 0.5 * self.effects[self._of("both")]
        return np.asarray(x @ weight / np.sqrt((weight**2).sum()))

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
