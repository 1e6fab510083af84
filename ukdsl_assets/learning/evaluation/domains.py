"""Domains beyond IMP and CD: all that the student's stage scored, each head's own choice of it, and explored rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, OWN, REJECTED, SCORED
from ukdsl_assets.learning.evaluation.comparisons import Comparison, JudgedRows, Order, comparisons
from ukdsl_assets.learning.evaluation.predictions import Predictions


def alike_for_all(rows: JudgedRows) -> Iterator[Comparison]:
    """The comparisons of a shard that are of the same rows for all arms and heads: all but those of OWN."""
    yield from comparisons(rows)
    yield from scored_comparisons(rows)
    yield from explored_comparisons(rows)


def chosen_by_each(
    rows: JudgedRows, predictions: Predictions
) -> Iterator[tuple[Comparison, Sequence[tuple[str, str]]]]:
    """The comparisons of OWN, each with the one arm and head that it judges, for each chooses itself.

    Args:
        rows: as in `table.evaluate`.
        predictions: (arm, head) -> float32 [rows].
    """
    if not rows.of(SCORED).any():
        return
    slates = Slates.of(rows)
    for key, prediction in predictions.items():
        for each in own_comparisons(rows, slates, prediction):
            yield each, [key]


def scored_comparisons(rows: JudgedRows) -> Iterator[Comparison]:
    """SCORED: rows of CD and REJECTED against the teacher, and all that was scored, of weight 1, against the truth.

    The first are compared where they stand for all that was scored: see `_stand_in`.
    """
    yield rows.compared(SCORED, "teacher", _stand_in(rows) & rows.of(CD, REJECTED) & rows.known("target"), "target")
    chosen = rows.of(SCORED) & rows.known("truth")
    if chosen.any():
        yield rows.compared(SCORED, "truth", chosen, "truth", np.ones(chosen.sum()))


def explored_comparisons(rows: JudgedRows) -> Iterator[Comparison]:
    """EXPLORED: rows of IMP that a randomised policy showed, of weight 1 / propensity, against label and truth.

    They stand for all that the policy could have shown (Horvitz and Thompson, 1952). A feature with `served_as` has
    the value that it was shown with, as the label has. Nothing without columns `explored` and `propensity`.
    """
    if not {"explored", "propensity"} <= {*rows.frame.columns}:
        return
    explored = (
        rows.of(IMP) & rows.frame["explored"].cast(pl.Boolean).fill_null(False).to_numpy() & rows.known("propensity")
    )
    for reference, column in (("label", "target"), ("truth", "truth")):
        if rows.known(column).any():
            chosen = explored & rows.known(column)
            yield rows.compared(EXPLORED, reference, chosen, column, 1 / rows.chosen("propensity", chosen))


def own_comparisons(rows: JudgedRows, slates: "Slates", prediction: NDArray[np.float32]) -> Iterator[Comparison]:
    """OWN: what one head would hand on, those that the teacher labelled against it, and all against the truth."""
    choice = slates.choice(prediction)
    own = np.zeros(len(rows.frame), bool)
    own[slates.place[choice]] = True
    yield rows.compared(OWN, "teacher", own & _stand_in(rows) & rows.known("target"), "target")
    if slates.truth is not None:
        chosen = own & rows.known("truth")
        yield rows.compared(OWN, "truth", chosen, "truth", np.ones(chosen.sum()), slates.order(choice))


def _stand_in(rows: JudgedRows) -> NDArray[np.bool_]:
    """Rows of days whose labels of the teacher stand for all that was scored, bool [n]: rejected rows have some too.

    Column `_taught` says it of each row; without that column it is so where the frame, of one day, has a rejected row.
    """
    if "_taught" in rows.frame.columns:
        return rows.values("_taught")
    return np.full(len(rows.frame), rows.of(REJECTED).any())


@dataclass(frozen=True)
class Slates:
    """The rows of domain SCORED: of each request all candidates that the student's stage scored.

    place: int64 [n], where they stand among all rows. request: int64 [n] >= 0, ascending. handed_on: int64 [n], how
    many candidates of the row's request got beyond the stage. bid: float64 [n], 1 without bids. truth: float64 [n], NaN
    where it is unknown; None where it is everywhere.
    """

    place: NDArray[np.int64]
    request: NDArray[np.int64]
    handed_on: NDArray[np.int64]
    bid: NDArray[np.float64]
    truth: NDArray[np.float64] | None

    @classmethod
    def of(cls, rows: JudgedRows) -> "Slates":
        """The slates of rows with `_beyond`, and `bid` and `truth` if there are such; those of SCORED by request."""
        place = np.flatnonzero(rows.of(SCORED))
        request, beyond = rows.request[place], rows.frame["_beyond"].fill_null(False).to_numpy()[place]
        handed_on = np.bincount(request, beyond).astype(np.int64)[request]
        has_bid = "bid" in rows.frame.columns
        bid = np.asarray(rows.values("bid")[place], np.float64) if has_bid else np.ones(len(place))
        known = rows.known("truth")[place].any()
        truth = np.asarray(rows.values("truth")[place], np.float64) if known else None
        return cls(place, request, handed_on, bid, truth)

    def choice(self, prediction: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each row of a slate is among the top k by bid * prediction, bool [n]; prediction: of all rows."""
        return top_of_each(self.request, self.bid * prediction[self.place], self.handed_on)

    def order(self, choice: NDArray[np.bool_]) -> Order:
        """How much a choice is worth of the ideal one, over requests all of whose truths are known."""
        assert self.truth is not None
        ideal, known, value = self._ideal
        return Order(
            float(value[choice & known].sum()),
            float(value[ideal & known].sum()),
            int((choice & ideal & known).sum()),
            int((ideal & known).sum()),
        )

    @cached_property
    def _ideal(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
        assert self.truth is not None
        value = self.bid * self.truth
        unknown = np.bincount(self.request, np.isnan(self.truth))
        return top_of_each(self.request, value, self.handed_on), unknown[self.request] == 0, value


def top_of_each(request: NDArray[np.int64], value: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row is among the `count` of its request with the highest value; of equals the earlier rows are.

    Args:
        request: int64 [n] >= 0, ascending; value: float64 [n], NaN is below all; count: int64 [n], alike in a request.
    """
    if not len(request):
        return np.zeros(0, bool)
    # A line a request: one sort of short lines costs a tenth of a sort of all rows.
    first = np.flatnonzero(np.diff(request, prepend=-1))
    size = np.diff(first, append=len(request))
    line = np.repeat(np.arange(len(first)), size)
    column = np.arange(len(request)) - np.repeat(first, size)
    lines = np.full((len(first), size.max()), -np.inf)
    lines[line, column] = np.nan_to_num(value, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    kept = np.minimum(count[first], size)
    least = -np.sort(-lines, axis=1)[np.arange(len(first)), np.maximum(kept, 1) - 1][:, None]
    above, equal = lines > least, lines == least
    equal &= np.cumsum(equal, axis=1) <= kept[:, None] - above.sum(axis=1, keepdims=True)
    return ((above | equal) & (kept > 0)[:, None])[line, column]
