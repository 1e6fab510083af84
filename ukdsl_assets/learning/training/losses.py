"""Losses of students (UKDSL paper, equation 3): cross entropy against labels, soft labels, or shares in a request."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.learning.metrics.logits import logit, sigmoid

if TYPE_CHECKING:
    from torch import Tensor

# log of the value of a row that is in no list: e to its power is 0, yet no sum with it is NaN.
NOT_LISTED = np.float32(-1e30)


class Lists(NamedTuple):
    """Each request's considered candidates as a list.

    share: float32 [rows], the teacher's share of the row in its request, times the term's weight over the number of
        lists, so that the loss is a sum; 0 for rows in no list.
    log_value: float32 [rows], log of the row's weight times its bid; NOT_LISTED for rows in no list.
    """

    share: NDArray[np.float32]
    log_value: NDArray[np.float32]


def soft_label_cross_entropy(logits: "Tensor", target: "Tensor", weight: "Tensor") -> "Tensor":
    """Sum over rows and outputs of weight * -(y log p + (1 - y) log(1 - p)), p the sigmoid of the logit; 0 for no rows.

    Args:
        logits: float32 [rows, outputs]; target: the same shape, in [0, 1]; weight: the same shape, >= 0.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")


def squared_error(output: "Tensor", target: "Tensor", weight: "Tensor") -> "Tensor":
    """Sum over rows and outputs of weight * (output - target)^2, all float32 [rows, outputs]; 0 for no rows."""
    return (weight * (output - target).square()).sum()


def softened(teacher: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """sigmoid(logit(teacher) / temperature), float32 [rows]; the teacher itself at temperature 1.

    A NaN stays NaN; 0 and 1 count as 1e-7 and 1 - 1e-7 at other temperatures.
    """
    if temperature == 1:
        return teacher
    return sigmoid(logit(teacher) / temperature).astype(np.float32)


def smoothed(label: NDArray[np.float32], mean: float, share: float) -> NDArray[np.float32]:
    """(1 - share) * label + share * mean, float32 [rows], the mean being that of all labels.

    Smoothing towards the mean instead of one half leaves the mean, hence the calibration, as it is.
    """
    return label if share == 0 else ((1 - share) * label + share * mean).astype(np.float32)


def lists_of(
    teacher: NDArray[np.float32],
    value: NDArray[np.float64],
    considered: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    scale: float,
) -> Lists:
    """The lists of whole requests; rows that are not considered or have no value are in none.

    Args:
        teacher: float [rows] in [0, 1]; value: float [rows] >= 0, what a probability of 1 would be worth: weight * bid.
        considered: Boolean [rows]; offsets: int64 [requests + 1], as in EncodedRows.
        scale: the term's weight over the number of lists in the whole training.
    """
    listed = considered & (value > 0)
    worth = np.where(listed, value * teacher.astype(np.float64), 0.0)
    totals = np.add.reduceat(np.append(worth, 0.0), offsets[:-1]) if len(offsets) > 1 else np.empty(0)
    total = np.repeat(totals, np.diff(offsets))
    share = np.divide(worth, total, out=np.zeros_like(worth), where=total > 0)
    log_value = np.where(listed, np.log(value, out=np.zeros_like(value), where=value > 0), NOT_LISTED)
    return Lists((share * scale).astype(np.float32), log_value.astype(np.float32))


def listwise_cross_entropy(
    logits: "Tensor", share: "Tensor", log_value: "Tensor", request_of_row: "Tensor", requests: int
) -> "Tensor":
    """Sum over rows of -share * log(softmax over the request's rows of log_value + log sigmoid(logit)).

    Up to a constant, the reference's cross entropy between softmax(log bid + log teacher) and softmax(log bid + log p).
    A row of weight w stands for w candidates of its request that were not kept, hence the weight in `log_value`; the
    constant is that the log of the share of one row, and not of one candidate, is taken.

    Args:
        logits, share, log_value: float32 [rows], see `Lists`; request_of_row: int64 [rows] in [0, requests).
    """
    import torch

    score = log_value + torch.nn.functional.logsigmoid(logits)
    highest = torch.full((requests,), float(NOT_LISTED), dtype=score.dtype, device=score.device)
    highest.scatter_reduce_(0, request_of_row, score.detach(), "amax")
    relative = score - highest.index_select(0, request_of_row)
    totals = torch.zeros_like(highest).index_add(0, request_of_row, relative.exp())
    return (share * (totals.log().index_select(0, request_of_row) - relative)).sum()
