"""What a training reads: one pass over its shards to learn their ids and totals, then one shard at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.features.encoding import Encoder, requests_of
from ukdsl_assets.learning.metrics.one_thread import blas_on_one_thread
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.learning.training.losses import Lists, lists_of, smoothed, softened
from ukdsl_assets.learning.training.outputs import REPRESENTATION, TARGET, Output, taught_column

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.shards import PlannedShard, Shard, Targets

# Reads the rows of one shard, sorted by request_id; shards are split by request, at random.
Reader = Callable[[], pl.DataFrame]


@dataclass(frozen=True)
class Survey:
    """What one pass over the shards of an arm found.

    encoder: knows all ids. weights: domain -> sum of weights. mean_label: weighted mean of the IMP targets.
    mean_target: of all rows. means: weighted mean of each column of targets in the domain that it trains.
    shards: of each, the requests used and the requests of both domains. lists: requests with rows of CD.
    width, scale: places of the teacher's hidden layer and the root of their mean square; 0 and 1 where the student does
    not learn it. kept: the rows themselves where there is but one shard.
    """

    encoder: Encoder
    rows: dict[str, int]
    weights: dict[str, float]
    mean_label: float
    mean_target: float
    means: dict[tuple[str, str], float]
    shards: tuple[tuple[int, int], ...]
    lists: int
    width: int
    scale: float
    kept: pl.DataFrame | None


@blas_on_one_thread
def survey(
    cascade: Cascade, student: Student, domains: Sequence[str], encoder: Encoder, readers: Sequence[Reader], least: int
) -> Survey:
    """Read every shard once; in memory is one at a time.

    Args:
        domains: IMP, or IMP and CD: the rows that are used.
        encoder: yesterday's, or an empty one; its scales, if it has none, become those of the first shard.
        least: rows of a shard that an id must have to get a row of its own.

    Raises:
        TrainingError: without rows of a domain, with targets that are not in [0, 1], with a null in a number.
    """
    shards = []
    rows = dict.fromkeys(domains, 0)
    weights, sums = dict.fromkeys(domains, 0.0), dict.fromkeys(domains, 0.0)
    target_sum, lists = 0.0, 0
    width, places, squares = 0, 0, 0.0
    columns = [(domain, TARGET) for domain in domains] + [("IMP", task) for task in student.label_tasks]
    columns += [("CD", taught_column(student, task)) for task in student.taught_tasks if "CD" in domains]
    totals = {column: np.zeros(2) for column in columns}
    wanted = "CD" in domains and REPRESENTATION in student.heads
    names = {"day", "request_id", "domain", "weight", "label_factor", TARGET, REPRESENTATION, *(c for _, c in columns)}
    frame = used = pl.DataFrame()
    for read in readers:
        frame = read()
        used = frame.filter(pl.col("domain").is_in(domains))
        _check_values(cascade, student, used)
        if len(used):
            encoder = encoder.extended(used, least)
        # A domain's rows are a copy of every column: of these alone, and not of the features too.
        summed = used.select(name for name in used.columns if name in names)
        for domain in domains:
            mine = summed.filter(domain=domain)
            # NumPy adds in one order; the sum must not depend on which thread comes first.
            weight = mine["weight"].to_numpy().astype(np.float64)
            rows[domain] += len(mine)
            weights[domain] += float(weight.sum())
            sums[domain] += float((weight * corrected_target(mine).astype(np.float64)).sum())
        for domain, column in totals:
            known = summed.filter(pl.col("domain") == domain, pl.col(column).is_not_null())
            weight = known["weight"].to_numpy().astype(np.float64)
            value = corrected_target(known) if column == TARGET else known[column].to_numpy()
            totals[domain, column] += (weight * value.astype(np.float64)).sum(), weight.sum()
        target_sum += float(corrected_target(summed).sum(dtype=np.float64))
        lists += requests_of(summed.filter(domain="CD"))
        if wanted:
            layer = teacher_representation(student, summed.filter(domain="CD"), width)
            width, places = layer.shape[1], places + layer.size
            squares += float(np.square(layer, dtype=np.float64).sum())
        shards.append((requests_of(summed), requests_of(frame)))
    for domain in domains:
        if not rows[domain]:
            raise TrainingError(
                f"{student.name}: teacher_augmented has no row of domain {domain} to train on; "
                "expected some; check that the window's days are materialized and not all requests are withheld"
            )
    return Survey(
        encoder=encoder,
        rows=rows,
        weights=weights,
        mean_label=sums["IMP"] / weights["IMP"] if weights["IMP"] else 0.0,
        mean_target=target_sum / sum(rows.values()),
        means={column: float(total / weight) if weight else 0.0 for column, (total, weight) in totals.items()},
        shards=tuple(shards),
        lists=lists,
        width=width,
        scale=(squares / places) ** 0.5 if squares else 1.0,
        kept=used if len(readers) == 1 else None,
    )


def planned_shards(
    student: Student, domains: Sequence[str], outputs: Sequence[Output], found: Survey, readers: Sequence[Reader]
) -> list["PlannedShard"]:
    """The shards for the trainer: as many batches as both domains' requests make, whichever of them the arm uses."""
    from ukdsl_assets.learning.training.shards import PlannedShard

    planned = []
    for read, (used, requests) in zip(readers, found.shards, strict=True):
        batches = min(-(-requests // student.requests_per_batch), used)
        planned.append(PlannedShard(partial(encoded, student, domains, outputs, found, read), batches))
    return planned


def encoded(
    student: Student, domains: Sequence[str], outputs: Sequence[Output], found: Survey, read: Reader
) -> "Shard":
    """One shard as arrays."""
    from ukdsl_assets.learning.training.shards import Shard

    frame = found.kept if found.kept is not None else read().filter(pl.col("domain").is_in(domains))
    rows = found.encoder.encode(frame)
    return Shard(rows, targets(student, frame, outputs, found, rows.offsets))


def targets(
    student: Student, rows: pl.DataFrame, outputs: Sequence[Output], found: Survey, offsets: NDArray[np.int64]
) -> "Targets":
    """What rows teach each output: those of its domains that have its target.

    In every output that it trains, a domain's weights sum to its loss weight over all rows of the training (to less by
    the rows that lack a further task's label); those of a representation are shared by its places.

    Args:
        offsets: int64 [requests + 1], where the rows of each request are, as in EncodedRows.
    """
    from ukdsl_assets.learning.training.shards import Targets

    considered = (rows["domain"] == "CD").to_numpy()
    target = corrected_target(rows)
    given = rows["weight"].to_numpy().astype(np.float64)
    weight = given.copy()
    loss = student.loss
    lists = _lists(student, rows, considered, offsets, found)
    target[~considered] = smoothed(target[~considered], found.mean_label, loss.label_smoothing)
    target[considered] = softened(target[considered], loss.temperature)
    # The gradient of a softened target is smaller by the square of the temperature (Hinton et al., 2015).
    factors = {"IMP": loss.impression, "CD": loss.consideration * loss.temperature**2}
    for domain, chosen in (("IMP", ~considered), ("CD", considered)):
        if found.weights.get(domain):
            weight[chosen] *= factors[domain] / found.weights[domain]
    columns, weights = [], []
    for output in outputs:
        mine = considered * ("CD" in output.domains) + ~considered * ("IMP" in output.domains)
        if output.kind == "representation":
            layer = np.zeros((len(rows), output.width), np.float32)
            layer[mine] = teacher_representation(student, rows.filter(mine), output.width) / found.scale
            share = loss.representation / (found.weights["CD"] * output.width)
            columns.append(layer)
            weights.append(np.repeat((given * mine * share)[:, None], output.width, axis=1))
        elif output.column == TARGET:
            columns.append(target[:, None])
            weights.append((weight * mine)[:, None])
        else:
            further = rows[output.column].cast(pl.Float32).fill_null(np.nan).to_numpy()
            mine = mine & np.isfinite(further)
            softer = softened(further, loss.temperature) if output.domains == ("CD",) else further
            columns.append(np.where(mine, softer, 0)[:, None])
            weights.append((weight * mine)[:, None])
    squared = sum(output.width for output in outputs if output.kind == "representation")
    taught = [place for place, output in enumerate(outputs) if "CD" in output.domains and output.column == TARGET]
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
    seen = column.list.len().fill_null(0).unique().sort().to_list()
    expected = width or (seen[-1] if seen else 0)
    if seen not in ([], [expected]):
        raise TrainingError(
            f"{student.name}: rows of column `{REPRESENTATION}` of teacher_augmented have {seen} places; expected "
            f"{expected} in each; materialize the window's days again"
        )
    return column.cast(pl.Array(pl.Float32, expected)).to_numpy().reshape(len(rows), expected)


def _lists(
    student: Student, rows: pl.DataFrame, considered: NDArray[np.bool_], offsets: NDArray[np.int64], found: Survey
) -> Lists | None:
    if not student.loss.listwise or not found.lists:
        return None
    value = rows["weight"].to_numpy().astype(np.float64)
    if "bid" in rows.columns:
        value *= rows["bid"].to_numpy().astype(np.float64)
    return lists_of(rows["target"].to_numpy(), value, considered, offsets, student.loss.listwise / found.lists)


def _missing_bids(rows: pl.DataFrame) -> int:
    return rows["bid"].null_count() if "bid" in rows.columns else len(rows)


def _check_values(cascade: Cascade, student: Student, rows: pl.DataFrame) -> None:
    wrong = rows.filter(~pl.col("target").is_between(0, 1) | pl.col("target").is_nan() | pl.col("target").is_null())
    if len(wrong):
        raise TrainingError(f"{student.name}: {len(wrong)} rows of teacher_augmented.target are not in [0, 1]")
    if student.loss.listwise and cascade.has_bid and (nulls := _missing_bids(rows)):
        raise TrainingError(
            f"{student.name}: column `bid` of teacher_augmented is missing in {nulls} of {len(rows)} rows; the "
            "listwise loss needs it; materialize teacher_augmented of the window's days again"
        )
    for feature in cascade.features_of(student):
        if not feature.of_ids and (nulls := rows[feature.name].null_count()):
            raise TrainingError(
                f"{student.name}: column `{feature.name}` of teacher_augmented is null in {nulls} of {len(rows)} rows; "
                "expected a number; materialize the window's days again if the feature is new to the student"
            )
