"""What a training reads: one pass over its shards to learn their ids and totals, then one shard at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP, REPRESENTATION, TARGET
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import Encoder, request_count
from ukdsl_assets.learning.metrics.sums import weighted_sum
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.learning.training.losses import Lists, lists_of, smoothed, softened
from ukdsl_assets.learning.training.outputs import Output, taught_column

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.shards import PlannedShard, Shard, Targets

# Reads the rows of one shard, sorted by request_id; shards are split by request, at random.
Reader = Callable[[], pl.DataFrame]


@dataclass(frozen=True)
class ArmRows:
    """The rows of `teacher_augmented` that an arm learns from.

    Attributes:
        student: the declaration; features: its own, in declared order.
        has_bid: whether the log has bids, which the listwise term reads.
        domains: IMP, or IMP and CD: the rows that are used.
        readers: of each shard.
    """

    student: Student
    features: tuple[Feature, ...]
    has_bid: bool
    domains: tuple[str, ...]
    readers: Sequence[Reader]

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Each column of targets with the domain whose rows it is of."""
        student = self.student
        own = [(domain, TARGET) for domain in self.domains]
        labels = [(IMP, task) for task in student.label_tasks]
        taught = [(CD, taught_column(student, task)) for task in student.taught_tasks if CD in self.domains]
        return tuple(dict.fromkeys([*own, *labels, *taught]))


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
        _check_values(rows, used)
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
    considered = summed.filter(domain=CD)
    places, squares = 0, 0.0
    if CD in rows.domains and REPRESENTATION in rows.student.heads:
        layer = teacher_representation(rows.student, considered, width)
        width, places, squares = layer.shape[1], layer.size, float(np.square(layer, dtype=np.float64).sum())
    sums = ShardSums(
        rows={domain: len(summed.filter(domain=domain)) for domain in rows.domains},
        columns={column: _weighted_sum(summed, *column) for column in rows.columns},
        targets=float(corrected_target(summed).sum(dtype=np.float64)),
        lists=request_count(considered),
        places=places,
        squares=squares,
        requests=((request_count(summed), requests),),
    )
    return sums, width


def _weighted_sum(rows: pl.DataFrame, domain: str, column: str) -> tuple[float, float]:
    """Sum of weight * value and of weight over a domain's rows that have the column's value.

    NumPy adds in one order: the sum must not depend on which thread comes first.
    """
    known = rows.filter(pl.col("domain") == domain, pl.col(column).is_not_null())
    weight = known["weight"].to_numpy().astype(np.float64)
    value = corrected_target(known) if column == TARGET else known[column].to_numpy()
    return weighted_sum(weight, value.astype(np.float64)), float(weight.sum())


def planned_shards(rows: ArmRows, outputs: Sequence[Output], survey: Survey) -> list["PlannedShard"]:
    """The shards for the trainer: as many batches as both domains' requests make, whichever of them the arm uses."""
    from ukdsl_assets.learning.training.shards import PlannedShard

    planned = []
    for read, (used, requests) in zip(rows.readers, survey.shards, strict=True):
        batches = min(-(-requests // rows.student.requests_per_batch), used)
        planned.append(PlannedShard(partial(encoded, rows, outputs, survey, read), batches))
    return planned


def encoded(rows: ArmRows, outputs: Sequence[Output], survey: Survey, read: Reader) -> "Shard":
    """One shard as arrays."""
    from ukdsl_assets.learning.training.shards import Shard

    frame = survey.kept if survey.kept is not None else read().filter(pl.col("domain").is_in(rows.domains))
    arrays = survey.encoder.encode(frame)
    return Shard(arrays, targets(rows.student, frame, outputs, survey, arrays.offsets))


def targets(
    student: Student, rows: pl.DataFrame, outputs: Sequence[Output], survey: Survey, offsets: NDArray[np.int64]
) -> "Targets":
    """What rows teach each output: those of its domains that have its target.

    In every output that it trains, a domain's weights sum to its loss weight over all rows of the training (to less by
    the rows that lack a further task's label); those of a representation are shared by its places.

    Args:
        offsets: int64 [requests + 1], where the rows of each request are, as in EncodedRows.
    """
    from ukdsl_assets.learning.training.shards import Targets

    considered = (rows["domain"] == CD).to_numpy()
    target = corrected_target(rows)
    given = rows["weight"].to_numpy().astype(np.float64)
    weight = given.copy()
    loss = student.loss
    lists = _lists(student, rows, considered, offsets, survey)
    target[~considered] = smoothed(target[~considered], survey.mean_label, loss.label_smoothing)
    target[considered] = softened(target[considered], loss.temperature)
    # The gradient of a softened target is smaller by the square of the temperature (Hinton et al., 2015).
    factors = {IMP: loss.impression, CD: loss.consideration * loss.temperature**2}
    for domain, chosen in ((IMP, ~considered), (CD, considered)):
        if survey.weights.get(domain):
            weight[chosen] *= factors[domain] / survey.weights[domain]
    columns, weights = [], []
    for output in outputs:
        mine = considered * (CD in output.domains) + ~considered * (IMP in output.domains)
        if output.kind == "representation":
            layer = np.zeros((len(rows), output.width), np.float32)
            layer[mine] = teacher_representation(student, rows.filter(mine), output.width) / survey.scale
            share = loss.representation / (survey.weights[CD] * output.width)
            columns.append(layer)
            weights.append(np.repeat((given * mine * share)[:, None], output.width, axis=1))
        elif output.column == TARGET:
            columns.append(target[:, None])
            weights.append((weight * mine)[:, None])
        else:
            further = rows[output.column].cast(pl.Float32).fill_null(np.nan).to_numpy()
            mine = mine & np.isfinite(further)
            softer = softened(further, loss.temperature) if output.domains == (CD,) else further
            columns.append(np.where(mine, softer, 0)[:, None])
            weights.append((weight * mine)[:, None])
    squared = sum(output.width for output in outputs if output.kind == "representation")
    taught = [place for place, output in enumerate(outputs) if CD in output.domains and output.column == TARGET]
    return Targets(
        target=np.concatenate(columns, axis=1).astype(np.float32),
        weight=np.concatenate(weights, axis=1).astype(np.float32),
        logit_scale=np.where(considered, 1 / loss.temperature, 1).astype(np.float32),
        lists=lists,
        listed=taught[-1] if taught else 0,
        squared=squared,
    )


def teacher_representation(student: Student, rows: pl.DataFrame, width: int) -> NDArray[np.float32]:
    """The teacher's hidden layer of rows of CD, float32 [rows, width]; of any width where 0 is given.

    Raises:
        TrainingError: a row lacks it, or has another width: the teacher's network has changed within the window.
    """
    column = rows[REPRESENTATION].cast(pl.List(pl.Float32))
    widths = column.list.len().fill_null(0).unique().sort().to_list()
    expected = width or (widths[-1] if widths else 0)
    if widths not in ([], [expected]):
        raise TrainingError(
            f"{student.name}: rows of column `{REPRESENTATION}` of teacher_augmented have {widths} places; expected "
            f"{expected} in each; materialize the window's days again"
        )
    return column.cast(pl.Array(pl.Float32, expected)).to_numpy().reshape(len(rows), expected)


def _lists(
    student: Student, rows: pl.DataFrame, considered: NDArray[np.bool_], offsets: NDArray[np.int64], survey: Survey
) -> Lists | None:
    if not student.loss.listwise or not survey.lists:
        return None
    value = rows["weight"].to_numpy().astype(np.float64)
    if "bid" in rows.columns:
        value *= rows["bid"].to_numpy().astype(np.float64)
    return lists_of(rows["target"].to_numpy(), value, considered, offsets, student.loss.listwise / survey.lists)


def _missing_bids(rows: pl.DataFrame) -> int:
    return rows["bid"].null_count() if "bid" in rows.columns else len(rows)


def _check_values(arm: ArmRows, rows: pl.DataFrame) -> None:
    student = arm.student
    wrong = rows.filter(~pl.col("target").is_between(0, 1) | pl.col("target").is_nan() | pl.col("target").is_null())
    if len(wrong):
        raise TrainingError(f"{student.name}: {len(wrong)} rows of teacher_augmented.target are not in [0, 1]")
    if student.loss.listwise and arm.has_bid and (nulls := _missing_bids(rows)):
        raise TrainingError(
            f"{student.name}: column `bid` of teacher_augmented is missing in {nulls} of {len(rows)} rows; the "
            "listwise loss needs it; materialize teacher_augmented of the window's days again"
        )
    for feature in arm.features:
        if not feature.of_ids and (nulls := rows[feature.name].null_count()):
            raise TrainingError(
                f"{student.name}: column `{feature.name}` of teacher_augmented is null in {nulls} of {len(rows)} rows; "
                "expected a number; materialize the window's days again if the feature is new to the student"
            )
