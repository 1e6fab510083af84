"""Which features say the same: clusters of columns that are alike, to be permuted together."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.missing import missing_in
from ukdsl_assets.learning.features.numbers import numbers_of
from ukdsl_assets.learning.metrics.sums import unit_products

# Two features that are more alike than this are of one cluster.
THRESHOLD = 0.8


def likeness(rows: pl.DataFrame, features: tuple[Feature, ...], seed: int = 0) -> NDArray[np.float64]:
    """How alike features are, float64 [features, features] in [0, 1], 1 on the diagonal.

    Numbers: the absolute value of Pearson's correlation; of vectors the mean over the components of their best match,
    in the worse direction, so that a number is not like a vector that merely holds it.
    Ids have no order: their mutual information over the larger of both entropies, less what the same ids say about
    each other once shuffled (many rare ids seem to say much about anything). An ad is then not like its category,
    which it determines but is not determined by. An id and a number are never alike.

    Args:
        rows: a column for each feature; null ids are an id of their own, rows with a number that is not finite are
            left out of the correlations.
        seed: of the shuffle.

    Returns:
        0 between a constant feature and any other, and without rows.
    """
    matrix = np.eye(len(features))
    for kind_is_id, alike in ((False, _alike_numbers), (True, _alike_ids)):
        of_kind = [at for at, feature in enumerate(features) if (feature.kind == "categorical") == kind_is_id]
        if of_kind and len(rows):
            matrix[np.ix_(of_kind, of_kind)] = alike(rows, [features[at] for at in of_kind], seed)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def clusters(alike: NDArray[np.float64], threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Number of each feature's cluster by single linkage, int64 [features], counted in the order of the features.

    Args:
        alike: of `likeness`; two features are linked where it is above `threshold`.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    # Single linkage cut at a height is the connected components of the graph of closer pairs.
    _, labels = connected_components(csr_array(np.asarray(alike) > threshold), directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _alike_numbers(rows: pl.DataFrame, features: list[Feature], seed: int) -> NDArray[np.float64]:
    parts = [numeric_columns(rows, feature) for feature in features]
    widths = [part.shape[1] for part in parts]
    matrix = np.concatenate(parts, axis=1)
    matrix = matrix[np.isfinite(matrix).all(1)]
    if len(matrix) < 2:
        return np.eye(len(features))
    centred = matrix - matrix.mean(0)
    norms = np.sqrt((centred**2).sum(0))
    scaled = centred / np.where(norms > 0, norms, 1.0)
    correlation = np.abs(unit_products(scaled)).clip(0, 1)
    starts = np.append(0, np.cumsum(widths)[:-1])
    best = np.maximum.reduceat(correlation, starts, axis=1)
    mean = np.add.reduceat(best, starts, axis=0) / np.array(widths)[:, None]
    return np.asarray(np.minimum(mean, mean.T))


def numeric_columns(rows: pl.DataFrame, feature: Feature) -> NDArray[np.float64]:
    """A numeric or vector feature as float64 [rows, width], NaN for null; its mean where it may be and is missing."""
    numbers = numbers_of(rows, feature).astype(np.float64)
    if feature.may_be_missing:
        missing = missing_in(rows, feature)
        numbers[missing] = numbers[~missing].mean(0) if not missing.all() else 0.0
    return numbers


def _alike_ids(rows: pl.DataFrame, features: list[Feature], seed: int) -> NDArray[np.float64]:
    codes = [rows[feature.name].rank("dense").fill_null(0).to_numpy().astype(np.int64) for feature in features]
    entropies = [_entropy(each) for each in codes]
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    matrix = np.eye(len(features))
    for i in range(len(features)):
        for j in range(i):
            most = max(entropies[i], entropies[j])
            together, by_chance = (
                entropies[i] + entropies[j] - _entropy(codes[i] * (int(other.max()) + 1) + other)
                for other in (codes[j], codes[j][shuffled])
            )
            if most - by_chance > 1e-9:
                matrix[i, j] = matrix[j, i] = min(max((together - by_chance) / (most - by_chance), 0.0), 1.0)
    return matrix


def _entropy(codes: NDArray[np.int64]) -> float:
    from scipy.special import entr

    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(entr(share).sum())
