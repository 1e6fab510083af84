"""One pass over an arm's shards before its training: their ids, and the totals that its loss is scaled by."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, REPRESENTATION, TARGET
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import Encoder, request_count
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.learning.training.rows import ArmRows, check_values, teacher_representation


@dataclass(frozen=True)
class Survey:
    """What one pass over the shards of an arm found.

    Attributes:
        encoder: knows all ids.
        rows: domain -> rows; weights: domain -> sum of weights.
        means: weighted mean of each column of targets in the domain that it trains; 0 without weight.
        mean_target: of all rows.
        shards: of each, the requests used and the requests of both domains.
        lists: requests with rows of CD.
        width, scale: places of the teacher's hidden layer and the root of their mean square; 0 and 1 where the student
            does not learn it.
        kept: the rows themselves where there is but one shard.
    """

    encoder: Encoder
    rows: dict[str, int]
    weights: dict[str, float]
    means: dict[tuple[str, str], float]
    mean_target: float
    shards: tuple[tuple[int, int], ...]
    lists: int
    width: int
    scale: float
    kept: pl.DataFrame | None

    @property
    def mean_label(self) -> float:
        """Weighted mean of the IMP targets."""
        return self.means[IMP, TARGET]


@dataclass(frozen=True)
class ShardSums:
    """What a shard adds to a survey; sums of two shards add up to those of both.

    Attributes:
        rows: domain -> rows.
        columns: column of targets -> (sum of weight * value, sum of weight) over its domain's rows that have it.
        targets: sum of all rows' targets.
        lists: requests with rows of CD.
        places, squares: of the teacher's hidden layer, how many numbers and the sum of their squares.
        requests: of each shard so far, those used and those of both domains.
    """

    rows: dict[str, int]
    columns: dict[tuple[str, str], tuple[float, float]]
    targets: float = 0.0
    lists: int = 0
    places: int = 0
    squares: float = 0.0
    requests: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: "ShardSums") -> "ShardSums":
        return ShardSums(
            rows={domain: count + other.rows[domain] for domain, count in self.rows.items()},
            columns={
                column: (total + other.columns[column][0], weight + other.columns[column][1])
                for column, (total, weight) in self.columns.items()
            },
            targets=self.targets + other.targets,
            lists=self.lists + other.lists,
            places=self.places + other.places,
            squares=self.squares + other.squares,
            requests=self.requests + other.requests,
        )


def surveyed(rows: ArmRows, encoder: Encoder, least: int) -> Survey:
    """Read every shard once; in memory is one at a time.

    Args:
        encoder: yesterday's, or an empty one; its scales, if it has none, become those of the first shard.
        least: rows of a shard that an id must have to get a row of its own.

    Raises:
        TrainingError: without rows of a domain, with targets that are not in [0, 1], with a null in a number.
    """
    sums = ShardSums(dict.fromkeys(rows.domains, 0), dict.fromkeys(rows.columns, (0.0, 0.0)))
    used, width = pl.DataFrame(), 0
    for read in rows.readers:
        frame = read()
        used = frame.filter(pl.col("domain").is_in(rows.domains))
        check_values(rows, used)
        if len(used):
            encoder = encoder.extended(used, least)
        shard, width = _sums_of(rows, used, request_count(frame), width)
        sums = sums + shard
    for domain, count in sums.rows.items():
        if not count:
            raise TrainingError(
                f"{rows.student.name}: teacher_augmented has no row of domain {domain} to train on; "
                "expected some; check that the window's days are materialized and not all requests are withheld"
            )
    return Survey(
        encoder=encoder,
        rows=sums.rows,
        weights={domain: sums.columns[domain, TARGET][1] for domain in rows.domains},
        means={column: total / weight if weight else 0.0 for column, (total, weight) in sums.columns.items()},
        mean_target=sums.targets / sum(sums.rows.values()),
        shards=sums.requests,
        lists=sums.lists,
        width=width,
        scale=(sums.squares / sums.places) ** 0.5 if sums.squares else 1.0,
        kept=used if len(rows.readers) == 1 else None,
    )


def _sums_of(rows: ArmRows, used: pl.DataFrame, requests: int, width: int) -> tuple[ShardSums, int]:
    """The sums of a shard's used rows, and the width of the teacher's hidden layer in it.

    Args:
        requests: of the shard, those of both domains; width: of the layer in the shards before, 0 if yet unknown.
    """
    names = {"day", "request_id", "domain", "weight", "label_factor", TARGET, REPRESENTATION}
    # A domain's rows are a copy of every column: of these alone, and not of the features too.
    summed = used.select(name for name in used.columns if name in names | {column for _, column in rows.columns})
    by_domain = {domain: summed.filter(pl.col("domain") == domain) for domain in (*rows.domains, CD)}
    considered = by_domain[CD]
    places, squares = 0, 0.0
    if CD in rows.domains and REPRESENTATION in rows.student.heads:
        layer = teacher_representation(rows.student, considered, width)
        width, places, squares = layer.shape[1], layer.size, float(np.square(layer, dtype=np.float64).sum())
    sums = ShardSums(
        rows={domain: len(by_domain[domain]) for domain in rows.domains},
        columns={(domain, column): _weighted_sum(by_domain[domain], column) for domain, column in rows.columns},
        targets=float(corrected_target(summed).sum(dtype=np.float64)),
        lists=request_count(considered),
        places=places,
        squares=squares,
        requests=((request_count(summed), requests),),
    )
    return sums, width


def _weighted_sum(rows: pl.DataFrame, column: str) -> tuple[float, float]:
    """Sum of weight * value and of weight over the rows that have the column's value.

    NumPy adds in one order: the sum must not depend on which thread comes first.
    """
    known = rows.drop_nulls(column) if rows[column].has_nulls() else rows
    weight = known["weight"].to_numpy().astype(np.float64)
    value = corrected_target(known) if column == TARGET else known[column].to_numpy()
    return weighted_sum(weight, value.astype(np.float64)), float(weight.sum())
