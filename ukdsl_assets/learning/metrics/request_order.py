"""The kernel of the AUC inside requests: one walk over rows by request and prediction."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def auc_of_requests(
    order: NDArray[np.int64],
    request: NDArray[np.int64],
    prediction: NDArray[np.float64],
    label: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The AUC of each request among pairs of different rows, NaN without such pairs, and its weight.

    Args:
        order: rows by request and then by prediction, of which none is NaN.
        request, prediction, label, weight: [rows]; a row is a positive of weight * label and a negative of the rest.

    Returns:
        float64 [requests] each, in ascending order of the request.
    """
    inside, total = np.empty(len(order)), np.empty(len(order))
    requests, place = 0, 0
    while place < len(order):
        of = request[order[place]]
        # Pairs by their weight: those that are won, with ties counted half, and those of a row with itself.
        wins, itself = 0.0, 0.0
        positives, negatives, weights = 0.0, 0.0, 0.0
        while place < len(order) and request[order[place]] == of:
            value = prediction[order[place]]
            tied_positives, tied_negatives = 0.0, 0.0
            while place < len(order) and request[order[place]] == of and prediction[order[place]] == value:
                row = order[place]
                positive, negative = weight[row] * label[row], weight[row] * (1 - label[row])
                tied_positives += positive
                tied_negatives += negative
                itself += positive * negative
                weights += weight[row]
                place += 1
            wins += tied_positives * (negatives + tied_negatives / 2)
            positives += tied_positives
            negatives += tied_negatives
        pairs = positives * negatives
        both = pairs - itself > 1e-12 * pairs
        inside[requests] = (wins - itself / 2) / (pairs - itself) if both else np.nan
        total[requests] = weights
        requests += 1
    return inside[:requests], total[:requests]
