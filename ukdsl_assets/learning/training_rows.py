"""What a training reads: one pass over its shards to learn their ids and totals, then one shard at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.cascade import Cascade, Student
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.learning.delayed_feedback import corrected_target
from ukdsl_assets.learning.encoding import Encoder
from ukdsl_assets.learning.losses import Lists, lists_of, smoothed, softened

if TYPE_CHECKING:
    from ukdsl_assets.learning.trainer import PlannedShard, Shard, Targets

# Reads the rows of one shard, sorted by request_id; shards are split by request, at random.
Reader = Callable[[], pl.DataFrame]


@dataclass(frozen=True)
class Survey:
    """What one pass over the shards of an arm found.

    encoder: knows all ids. weights: domain -> sum of weights. mean_label: weighted mean of the IMP targets.
    mean_target: of all rows. requests: distinct ids trained on. shards: of each, the requests used and
    the requests of both domains. lists: requests with rows of CD. kept: the rows themselves where there is but one
    shard.
    """

    encoder: Encoder
    rows: dict[str, int]
    weights: dict[str, float]
    mean_label: float
    mean_target: float
    requests: pl.Series
    shards: tuple[tuple[int, int], ...]
    lists: int
    kept: pl.DataFrame | None


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
    shards, requests = [], []
    rows = dict.fromkeys(domains, 0)
    weights, sums = dict.fromkeys(domains, 0.0), dict.fromkeys(domains, 0.0)
    target_sum, lists = 0.0, 0
    frame = used = pl.DataFrame()
    for read in readers:
        frame = read()
        used = frame.filter(pl.col("domain").is_in(domains))
        _check_values(cascade, student, used)
        if len(used):
            encoder = encoder.extended(used, least)
        for domain in domains:
            mine = used.filter(domain=domain)
            # NumPy adds in one order; the sum must not depend on which thread comes first.
            weight = mine["weight"].to_numpy().astype(np.float64)
            rows[domain] += len(mine)
            weights[domain] += float(weight.sum())
            sums[domain] += float(weight @ corrected_target(mine).astype(np.float64))
        target_sum += float(corrected_target(used).sum(dtype=np.float64))
        lists += _requests(used.filter(domain="CD"))
        requests.append(used["request_id"].unique())
        shards.append((_requests(used), _requests(frame)))
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
        requests=pl.concat(requests).unique().sort(),
        shards=tuple(shards),
        lists=lists,
        kept=used if len(readers) == 1 else None,
    )


def planned_shards(
    student: Student, domains: Sequence[str], outputs: int, found: Survey, readers: Sequence[Reader]
) -> list["PlannedShard"]:
    """The shards for the trainer: as many batches as both domains' requests make, whichever of them the arm uses."""
    from ukdsl_assets.learning.trainer import PlannedShard

    planned = []
    for read, (used, requests) in zip(readers, found.shards, strict=True):
        batches = min(-(-requests // student.requests_per_batch), used)
        planned.append(PlannedShard(partial(encoded, student, domains, outputs, found, read), batches))
    return planned


def encoded(student: Student, domains: Sequence[str], outputs: int, found: Survey, read: Reader) -> "Shard":
    """One shard as arrays."""
    from ukdsl_assets.learning.trainer import Shard

    frame = found.kept if found.kept is not None else read().filter(pl.col("domain").is_in(domains))
    rows = found.encoder.encode(frame)
    return Shard(rows, targets(student, frame, outputs, found, rows.offsets))


def targets(student: Student, rows: pl.DataFrame, outputs: int, found: Survey, offsets: NDArray[np.int64]) -> "Targets":
    """Rows of IMP train the first output, rows of CD all others (the first, if there is no other).

    In every output that it trains, a domain's weights sum to its loss weight over all rows of the training.

    Args:
        offsets: int64 [requests + 1], where the rows of each request are, as in EncodedRows.
    """
    from ukdsl_assets.learning.trainer import Targets

    considered = (rows["domain"] == "CD").to_numpy()
    target = corrected_target(rows)
    weight = rows["weight"].to_numpy().astype(np.float64)
    loss = student.loss
    lists = _lists(student, rows, considered, offsets, found)
    target[~considered] = smoothed(target[~considered], found.mean_label, loss.label_smoothing)
    target[considered] = softened(target[considered], loss.temperature)
    # The gradient of a softened target is smaller by the square of the temperature (Hinton et al., 2015).
    factors = {"IMP": loss.impression, "CD": loss.consideration * loss.temperature**2}
    for domain, chosen in (("IMP", ~considered), ("CD", considered)):
        if found.weights.get(domain):
            weight[chosen] *= factors[domain] / found.weights[domain]
    trains = np.zeros((2, outputs), np.float32)
    trains[0, 0] = 1
    trains[1, min(1, outputs - 1) :] = 1
    return Targets(
        target=np.repeat(target[:, None], outputs, axis=1),
        weight=weight.astype(np.float32)[:, None] * trains[considered.astype(np.int64)],
        logit_scale=np.where(considered, 1 / loss.temperature, 1).astype(np.float32),
        lists=lists,
    )


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


def _requests(rows: pl.DataFrame) -> int:
    return rows.select(name for name in ("day", "request_id") if name in rows.columns).n_unique()


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
