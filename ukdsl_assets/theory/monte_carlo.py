"""The two stages drawn and selected as they are, for comparison with the closed forms (paper, 3.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import TheoryError
from ukdsl_assets.theory.two_stages import Means, TwoStages

# Candidates that are in memory at a time.
BLOCK = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """Means over repeats [k], and their standard errors; `calibration_error`: of stage 1, of stage 2, of 1 over 2."""

    means: Means
    error: Means
    calibration_error: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def draw_selected_by_stage_1(stages: TwoStages, n: int, k1: Sequence[int], repeats: int, seed: int) -> Drawn:
    """Draw `n` candidates `repeats` times and average the top k1 by stage 1, for all k1 on the same draws.

    Each draw is used twice, as it is and mirrored at the mean, which has the same law: the bottom k1 of the one are
    the top k1 of the other (antithetic variates).

    Raises:
        TheoryError: a k1 is not in 1 .. n, or there are fewer than 2 repeats.
    """
    counts, places = np.unique(np.asarray(k1, np.int64), return_inverse=True)
    _check(n, int(counts.min()), int(counts.max()), repeats)
    pairs = []
    for drawn in _draws(stages, n, repeats, seed):
        order = np.argsort(-drawn[1], axis=1)
        ranked = np.take_along_axis(drawn, order[None], axis=2)
        # The totals of the best k1 minus those of the worst, piece by piece: twice the antithetic mean.
        difference = (ranked - ranked[:, :, ::-1])[:, :, : counts[-1]]
        pieces = np.add.reduceat(difference, [0, *counts[:-1]], axis=2, dtype=np.float64)
        pairs.append(pieces.cumsum(axis=2)[:, :, places] / (2 * np.asarray(k1)))
    return _averaged(stages.mean, np.concatenate(pairs, axis=1))


def draw_selected_by_stage_2(stages: TwoStages, n: int, k1: int, k2: int, repeats: int, seed: int) -> Drawn:
    """Draw as above and average the top `k2` by stage 2 of the top `k1` by stage 1; arrays are [1].

    Raises:
        TheoryError: unless 1 <= k2 <= k1 <= n and there are at least 2 repeats.
    """
    _check(n, min(k2, k1), k1, repeats)
    if k2 > k1:
        raise TheoryError(f"k2 is {k2}, expected at most k1 = {k1}")
    pairs = []
    for drawn in _draws(stages, n, repeats, seed):
        halves = [_top(_top(side * drawn, 1, k1), 2, k2).mean(axis=2, dtype=np.float64) for side in (1, -1)]
        pairs.append((halves[0] + halves[1]) / 2)
    return _averaged(stages.mean, np.concatenate(pairs, axis=1)[:, :, None])


def _draws(stages: TwoStages, n: int, repeats: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Blocks [3, repeats of the block, n] of the three variables around their mean."""
    random = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(stages.covariance)
    root = (vectors * np.sqrt(values.clip(0))).astype(np.float32)
    size = max(1, BLOCK // n)
    for start in range(0, repeats, size):
        rows = min(size, repeats - start)
        normals = random.standard_normal((3, rows * n), dtype=np.float32)
        yield (root @ normals).reshape(3, rows, n)


def _top(drawn: NDArray[np.float32], by: int, count: int) -> NDArray[np.float32]:
    """Of each row the `count` candidates with the largest of variable `by`: [3, rows, count]."""
    chosen = np.argpartition(-drawn[by], count - 1, axis=1)[:, :count]
    return np.take_along_axis(drawn, chosen[None], axis=2)


def _averaged(mean: float, repeats: NDArray[np.float64]) -> Drawn:
    """Means [3, repeats, k] over the repeats; errors of ratios by the delta method, on the same draws."""
    count = repeats.shape[1]
    means, error = mean + repeats.mean(axis=1), repeats.std(axis=1, ddof=1) / np.sqrt(count)

    def ratio_error(over: int, under: int) -> NDArray[np.float64]:
        ratio = means[over] / means[under]
        residuals = repeats[over] - ratio * repeats[under]
        return residuals.std(axis=0, ddof=1) / np.sqrt(count) / np.abs(means[under])

    return Drawn(Means(*means), Means(*error), (ratio_error(1, 0), ratio_error(2, 0), ratio_error(1, 2)))


def _check(n: int, least: int, most: int, repeats: int) -> None:
    if not 1 <= least <= most <= n or repeats < 2:
        raise TheoryError(f"{n} candidates, {least} to {most} selected, {repeats} repeats; expected 1 to n, 2 repeats")
