"""Calibration by group: where on the scale of predictions, and for which requests and candidates, a student is off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial, reduce
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.learning.evaluation.comparisons import Comparison
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.evaluation.passes import JudgedShard, Summed, one_pass
from ukdsl_assets.learning.evaluation.predictions import PredictedShards, Predictions, whole
from ukdsl_assets.learning.evaluation.totals import ALWAYS, ComparisonKey, Totals, totals_of
from ukdsl_assets.learning.metrics.auc_bins import bins_of
from ukdsl_assets.learning.metrics.bootstrap import REPLICATES, standard_error
from ukdsl_assets.learning.metrics.sums import replicate_totals

DECILE = "decile"
_DECILES = [f"{number:02}" for number in range(1, 11)]
# Values of a segment with a group of their own; the others share one.
MOST_VALUES = 50
OTHER, NONE = "(other)", "(none)"

COLUMNS = {
    "arm": pl.String,
    "head": pl.String,
    "domain": pl.String,
    "reference": pl.String,
    "by": pl.String,
    "group": pl.String,
    "rows": pl.Int64,
    "mean_prediction": pl.Float64,
    "mean_reference": pl.Float64,
    "calibration": pl.Float64,
    "calibration_error": pl.Float64,
}

MEANINGS = {
    "by": "what groups the rows: decile, of the head's own predictions, or a declared segment",
    "group": "decile 01 (lowest) to 10, or the segment's value",
    "rows": "withheld rows of the group",
    "mean_prediction": "weighted mean of the predictions",
    "mean_reference": "weighted mean of the reference",
}


def calibration_by_group(
    rows: pl.DataFrame, predictions: Predictions, segments: Sequence[str] = (), seed: int = 0
) -> pl.DataFrame:
    """`calibration_by_group_of_shards` of rows that are in memory together; arguments as in `evaluation.evaluate`."""
    shards = whole(rows, predictions)
    return calibration_by_group_of_shards(shards, totals_of(shards, seed), segments, seed)


def calibration_by_group_of_shards(
    shards: PredictedShards,
    totals: dict[ComparisonKey, Totals],
    segments: Sequence[str] = (),
    seed: int = 0,
    mapped: Mapped = map,
) -> pl.DataFrame:
    """Calibration of each arm and head within deciles of its predictions and within segments, on IMP and CD.

    Args:
        shards, totals, seed: as in `evaluation.evaluate_shards`; in memory is one shard at a time.
        segments: categorical columns of the rows. The 50 values with the most rows are groups, the others are
            together `(other)`, null is `(none)`.
        mapped: as in `totals_of`.

    Returns:
        The columns of `COLUMNS`, one row a group that has rows, groups in the order of their text; figures are NaN
        where undefined, such as the calibration of a group whose reference sums to 0. A decile holds a tenth of the
        weight, to the width of one of `score_bins`.
    """
    (counts,) = one_pass(shards, seed, [counted(segments)], mapped)
    grouping = Grouping.of(totals, counts)
    (groups,) = one_pass(shards, seed, [grouping.summed], mapped)
    return grouping.table(groups)


def counted(segments: Sequence[str]) -> Summed:
    """How many rows each value of each segment has."""
    return Summed(partial(_counted, tuple(segments)), _both_counts)


@dataclass(frozen=True)
class Grouping:
    """What groups the rows: the names of each kind's groups, and of each comparison the tenth of each bin."""

    names: Mapping[str, Sequence[str]]
    tenths: Mapping[ComparisonKey, NDArray[np.int64]]

    @classmethod
    def of(cls, totals: Mapping[ComparisonKey, Totals], counts: Sequence[Mapping[str, pl.DataFrame]]) -> "Grouping":
        """From the totals and sums `counted` of a pass: a segment's groups are the 50 values with the most rows."""
        every = reduce(_both_counts, counts) if counts else {}
        order = ["len", "value"]
        values = {
            name: of_name.sort(order, descending=[True, False])["value"].head(MOST_VALUES)
            for name, of_name in every.items()
        }
        names = {DECILE: _DECILES, **{name: sorted({*each, OTHER}) for name, each in values.items()}}
        return cls(names, {k: each.outcomes.parts(len(_DECILES)) for k, each in totals.items() if k[0] in ALWAYS})

    @property
    def summed(self) -> Summed:
        """The sums of each group."""
        return Summed(partial(_groups_of, self.names, self.tenths), _both)

    def table(self, found: Iterable["_OfGroups"]) -> pl.DataFrame:
        """`calibration_by_group_of_shards` from the sums `summed` of a pass."""
        groups = {(key, by): _Groups.empty(len(each)) for key in self.tenths for by, each in self.names.items()}
        table: list[dict[str, Any]] = []
        for ((domain, reference, arm, head), by), group in reduce(_both, found, groups).items():
            who = {"arm": arm, "head": head, "domain": domain, "reference": reference, "by": by}
            table += group.table(self.names[by], who)
        return pl.DataFrame(table, schema=COLUMNS)


def _counted(segments: Sequence[str], shard: JudgedShard) -> dict[str, pl.DataFrame]:
    frame, kept = shard.rows.frame, pl.Series(shard.rows.of(*ALWAYS))
    return {name: _text(frame[name].filter(kept)).to_frame().group_by("value").len() for name in segments}


def _both_counts(one: Mapping[str, pl.DataFrame], other: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    together = {name: pl.concat([counts, other[name]]) for name, counts in one.items()}
    return {name: counts.group_by("value").agg(pl.col("len").sum()) for name, counts in together.items()}


# Of a comparison, and decile or segment.
_OfGroups = dict[tuple[ComparisonKey, str], "_Groups"]


def _groups_of(
    names: Mapping[str, Sequence[str]],
    tenths: Mapping[ComparisonKey, NDArray[np.int64]],
    shard: JudgedShard,
) -> _OfGroups:
    """A shard's sums, of what is compared in it."""
    draws, frame, kept = shard.draws, shard.rows.frame, shard.rows.of(*ALWAYS)
    of_segment = {name: _positions(frame[name], each, kept) for name, each in names.items() if name != DECILE}
    groups: _OfGroups = {}
    for compared in shard.comparisons:
        if compared.domain not in ALWAYS:
            continue
        reference = compared.w * compared.y
        segments = {name: _Cells.of(compared, each[compared.chosen], names[name]) for name, each in of_segment.items()}
        # In segments the reference is the same whoever predicts.
        alike = _drawn(draws, [cells.by_request(reference, draws.shape[1]) for cells in segments.values()])
        for (arm, head), every in shard.predictions.items():
            key, p = (compared.domain, compared.reference, arm, head), every[compared.chosen]
            kinds = {DECILE: _Cells.of(compared, tenths[key][bins_of(p)], names[DECILE]), **segments}
            by_request = [cells.by_request(compared.w * p, draws.shape[1]) for cells in kinds.values()]
            by_request.append(kinds[DECILE].by_request(reference, draws.shape[1]))
            *predicted, of_deciles = _drawn(draws, by_request)
            for name, (total, drawn), (of_reference, drawn_reference) in zip(
                kinds, predicted, [of_deciles, *alike], strict=True
            ):
                cells = kinds[name]
                groups[key, name] = _Groups(cells.rows, cells.weight, total, of_reference, drawn, drawn_reference)
    return groups


@dataclass(frozen=True)
class _Cells:
    """Rows by request and group: one sum each, for the groups of a request are drawn together.

    rows, weight: of each group, [groups]; cell: request * groups + group of each row, int64 [rows].
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]
    cell: NDArray[np.int64]

    @classmethod
    def of(cls, compared: Comparison, position: NDArray[np.int64], names: Sequence[str]) -> "_Cells":
        """position: the group of each compared row, int64 [rows], among the names."""
        count = len(names)
        weight = np.asarray(np.bincount(position, compared.w, count), np.float64)
        return cls(np.bincount(position, minlength=count), weight, compared.request * count + position)

    def by_request(self, column: NDArray[np.float64], requests: int) -> NDArray[np.float64]:
        """Sums of a column [rows], float64 [requests, groups]."""
        sums = np.bincount(self.cell, column, requests * len(self.rows))
        return np.asarray(sums, np.float64).reshape(requests, len(self.rows))


def _drawn(
    draws: NDArray[np.float64], by_request: Sequence[NDArray[np.float64]]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Of sums [requests, groups] each: those over all requests, [groups], and of each replicate, [replicates, groups].

    In one product of matrices, which costs little more than one of a few columns.
    """
    if not by_request:
        return []
    ends = np.cumsum([each.shape[1] for each in by_request])
    drawn = np.split(replicate_totals(draws, np.concatenate(by_request, axis=1)), ends[:-1], axis=1)
    return [(each.sum(0), of_each) for each, of_each in zip(by_request, drawn, strict=True)]


def _both(one: _OfGroups, other: _OfGroups) -> _OfGroups:
    return one | {key: one[key].plus(groups) if key in one else groups for key, groups in other.items()}


def _text(segment: pl.Series) -> pl.Series:
    return segment.cast(pl.String).fill_null(NONE).alias("value")


def _positions(segment: pl.Series, names: Sequence[str], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which of the sorted names each kept row belongs to, int64 [rows]; 0 for the others."""
    places = {name: place for place, name in enumerate(names)}
    text = _text(segment.filter(pl.Series(kept)))
    positions = np.zeros(len(segment), np.int64)
    positions[kept] = text.replace_strict(places, default=places[OTHER], return_dtype=pl.Int64).to_numpy()
    return positions


@dataclass
class _Groups:
    """Sums over the rows of each group of one kind, [groups], and over those drawn, [replicates, groups]."""

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]
    predicted: NDArray[np.float64]
    reference: NDArray[np.float64]
    drawn: NDArray[np.float64]
    drawn_reference: NDArray[np.float64]

    @classmethod
    def empty(cls, count: int) -> "_Groups":
        drawn = (np.zeros((REPLICATES, count)) for _ in range(2))
        return cls(np.zeros(count, np.int64), *(np.zeros(count) for _ in range(3)), *drawn)

    def plus(self, other: "_Groups") -> "_Groups":
        return _Groups(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def table(self, names: Sequence[str], who: dict[str, str]) -> list[dict[str, Any]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_prediction, mean_reference = self.predicted / self.weight, self.reference / self.weight
            defined = mean_reference > 0
            figures = {
                "mean_prediction": mean_prediction,
                "mean_reference": mean_reference,
                "calibration": np.where(defined, mean_prediction / mean_reference, np.nan),
                "calibration_error": np.where(defined, standard_error(self.drawn / self.drawn_reference), np.nan),
            }
        columns = {"group": names, "rows": self.rows.tolist(), **{n: each.tolist() for n, each in figures.items()}}
        table = [who | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return [row for row in table if row["rows"]]
