"""What the rows of a shard teach each output, as the trainer reads it: one shard at a time."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP, TARGET
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.training.delayed_feedback import corrected_target
from ukdsl_assets.learning.training.losses import Lists, lists_of, smoothed, softened
from ukdsl_assets.learning.training.outputs import Output
from ukdsl_assets.learning.training.rows import ArmRows, Reader, teacher_representation
from ukdsl_assets.learning.training.survey import Survey

if TYPE_CHECKING:
    from ukdsl_assets.learning.training.shards import PlannedShard, Shard, Targets


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


def _lists(
    student: Student, rows: pl.DataFrame, considered: NDArray[np.bool_], offsets: NDArray[np.int64], survey: Survey
) -> Lists | None:
    if not student.loss.listwise or not survey.lists:
        return None
    value = rows["weight"].to_numpy().astype(np.float64)
    if "bid" in rows.columns:
        value *= rows["bid"].to_numpy().astype(np.float64)
    return lists_of(rows[TARGET].to_numpy(), value, considered, offsets, student.loss.listwise / survey.lists)
