"""Arms judged on all that pre-ranking scored: shown rows, what the next stage scored, everything, and their own choice.

Two moments: `same_day`, the withheld requests of a day by the model that was trained on the day's others, and
`next_day`, the same requests by the model that was trained until the day before, as it would have served them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP, OWN, SCORED
from ukdsl_assets.learning.metrics.calibration import constant_entropy, row_entropy
from ukdsl_assets.simulation.ads.day import PRE_RANKED, RANKED, keep_top

SAME_DAY, NEXT_DAY = "same_day", "next_day"
WHENS = (SAME_DAY, NEXT_DAY)
# Data and what predictions on it are compared with.
PLACES = (
    (IMP, "label"),
    (IMP, "truth"),
    (CD, "teacher"),
    (CD, "truth"),
    (SCORED, "teacher"),
    (SCORED, "truth"),
    (OWN, "teacher"),
    (OWN, "truth"),
)
Place = tuple[str, str]


class Sums(NamedTuple):
    """Of some rows: how many, and the sums of predictions, references and cross entropies (nats)."""

    rows: int = 0
    prediction: float = 0.0
    reference: float = 0.0
    entropy: float = 0.0

    @classmethod
    def of(cls, prediction: NDArray[np.float32], reference: NDArray[np.float32]) -> "Sums":
        """Sums of rows; both float [rows] in [0, 1]."""
        p, y = prediction.astype(np.float64), reference.astype(np.float64)
        return cls(len(p), float(p.sum()), float(y.sum()), float(row_entropy(p, y).sum()))

    def plus(self, other: "Sums") -> "Sums":
        """Of both together."""
        return Sums(
            self.rows + other.rows,
            self.prediction + other.prediction,
            self.reference + other.reference,
            self.entropy + other.entropy,
        )

    @property
    def calibration(self) -> float:
        """Mean prediction over mean reference; NaN where the reference sums to 0."""
        return self.prediction / self.reference if self.reference else float("nan")

    @property
    def normalized_entropy(self) -> float:
        """As in `learning.metrics.calibration`; NaN without rows or where the mean reference is 0 or 1."""
        mean = self.reference / self.rows if self.rows else float("nan")
        return self.entropy / self.rows / constant_entropy(mean) if 0 < mean < 1 else float("nan")


class Judgement:
    """Sums of every arm, moment and place over the judged days."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str, Place], Sums] = {}

    def add(
        self, arm: str, when: str, rows: pl.DataFrame, shown: NDArray[np.float32], served: NDArray[np.float32]
    ) -> None:
        """Judge a day's predictions.

        Args:
            rows: of `rows_judged`.
            shown, served: probabilities by the head that judges impressions and by the one that serves, float32 [rows].
        """
        for place, prediction, reference in _compared(rows, shown, served):
            key = arm, when, place
            self.sums[key] = self.sums.get(key, Sums()).plus(Sums.of(prediction, reference))

    def figures(self, baseline: str) -> list[dict[str, Any]]:
        """A row for each arm, moment and place: arm, domain, when, reference, rows, calibration, ne and ne_change.

        ne_change is relative to the baseline of the same moment, None without it. Neither NE nor its change is given
        on an arm's own choice, whose rows are other ones for each arm.
        """
        found = []
        for (arm, when, (domain, reference)), sums in self.sums.items():
            base = self.sums.get((baseline, when, (domain, reference)))
            own = domain == OWN
            ne = None if own else sums.normalized_entropy
            change = None if ne is None or base is None else ne / base.normalized_entropy - 1
            named = {"arm": arm, "domain": domain, "when": when, "reference": reference}
            found.append(named | {"rows": sums.rows, "calibration": sums.calibration, "ne": ne, "ne_change": change})
        return found


def rows_judged(augmented: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """Of each request the shown rows with their labels, then all that pre-ranking scored; columns as in `scored`.

    Args:
        augmented: of `simulated_days.augmented`, of some requests. scored: of `scored_days.scored`, of the same.
    """
    both = pl.concat([augmented.filter(domain=IMP).select(scored.columns), scored])
    return both.sort("request_id", maintain_order=True)


def own_choice(bid: NDArray[np.float32], prediction: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows the stage would hand on: the 24 of each request's 80 with the highest bid times prediction.

    Args:
        bid, prediction: float32 [requests x 80], requests one after another.
    """
    value = (bid * prediction).reshape(-1, PRE_RANKED)
    chosen = np.zeros(value.shape, dtype=bool)
    np.put_along_axis(chosen, keep_top(value, RANKED), True, axis=1)
    return chosen.ravel()


def _compared(
    rows: pl.DataFrame, shown: NDArray[np.float32], served: NDArray[np.float32]
) -> Iterator[tuple[Place, NDArray[np.float32], NDArray[np.float32]]]:
    """Each place's predictions and references."""
    domain = rows["domain"].to_numpy()
    is_shown = domain == IMP
    own = np.zeros(len(rows), dtype=bool)
    own[~is_shown] = own_choice(rows["bid"].to_numpy()[~is_shown], served[~is_shown])
    chosen: Mapping[str, NDArray[np.bool_]] = {IMP: is_shown, CD: domain == CD, SCORED: ~is_shown, OWN: own}
    columns = {"label": "target", "teacher": "teacher", "truth": "truth"}
    for place in PLACES:
        where = chosen[place[0]]
        prediction = shown if place[0] == IMP else served
        yield place, prediction[where], rows[columns[place[1]]].to_numpy()[where]
