"""The table that every trainer is measured on: 26 features of ids, 13 numbers, labels from a known logistic truth."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FEATURES, NUMBERS = 26, 13
Vocabulary = Literal["small", "large"]
IDS: dict[Vocabulary, int] = {"small": 120_000, "large": 841_000}
FEWEST, BASE_RATE = 4, 0.1
# Frequency of the id of rank r is proportional to (r + OFFSET) ** -EXPONENT: a Zipf-Mandelbrot law.
EXPONENT, OFFSET = 1.05, 2.0
# Standard deviations of the logit's parts over ids; the pairs are inner products of RANK factors.
ID_EFFECT, PAIR_EFFECT, NUMBER_EFFECT, RANK = 0.3, 0.5, 0.3, 3
PAIRS = ((2, 9), (4, 12), (5, 20), (7, 15), (10, 18), (13, 24))


def make_table(
    folder: Path,
    vocabulary: Vocabulary,
    rows: int = 200_000,
    held_out: int = 50_000,
    seed: int = 0,
) -> None:
    """Write the training rows and the held-out rows to `folder`, which is made if it does not exist.

    Both are drawn from one law; the same arguments write the same bytes.

    Files:
        ids.npy: int32 [rows, 26], each feature's ids count from 0.
        numbers.npy: float32 [rows, 13], standard normal.
        label.npy: float32 [rows], 0 or 1; a tenth of the training rows is expected to be 1.
        held_out_ids.npy, held_out_numbers.npy, held_out_label.npy: likewise, [held_out, ...].
        sizes.npy: int64 [26], ids of each feature, ascending; their sum is 120,000 (small) or 841,000 (large).

    Raises:
        ValueError: An unknown vocabulary, or no row to train on or to hold out.
    """
    if vocabulary not in IDS:
        raise ValueError(f"make_table: vocabulary is {vocabulary!r}; expected one of {', '.join(IDS)}")
    if rows < 1 or held_out < 1:
        raise ValueError(f"make_table: {rows} rows and {held_out} held-out rows; expected at least 1 of each")
    rng = np.random.default_rng(seed)
    sizes = sizes_of(vocabulary)
    total = rows + held_out
    ids = np.stack([draw_ids(rng, int(size), total) for size in sizes], axis=1)
    numbers = rng.standard_normal((total, NUMBERS), dtype=np.float32)
    logit = draw_logit(rng, ids, numbers, sizes)
    logit += intercept(logit[:rows], BASE_RATE)
    label = (rng.random(total) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "sizes.npy", sizes)
    for name, array in (("ids", ids), ("numbers", numbers), ("label", label)):
        np.save(folder / f"{name}.npy", array[:rows])
        np.save(folder / f"held_out_{name}.npy", array[rows:])


def sizes_of(vocabulary: Literal["small", "large"]) -> NDArray[np.int64]:
    """Ids of each feature, int64 [26], ascending: a geometric series, whose last feature takes what is left."""
    sizes = np.geomspace(FEWEST, 0.3 * IDS[vocabulary], FEATURES).astype(np.int64)
    sizes[-1] += IDS[vocabulary] - sizes.sum()
    return sizes


def draw_ids(rng: np.random.Generator, size: int, rows: int) -> NDArray[np.int32]:
    """Ids in [0, size), int32 [rows]; which id has which rank is drawn, so that frequent ids are not neighbours."""
    cumulative = np.cumsum((np.arange(size) + OFFSET) ** -EXPONENT)
    rank = np.searchsorted(cumulative, rng.random(rows) * cumulative[-1], side="right")
    return rng.permutation(size).astype(np.int32)[np.minimum(rank, size - 1)]


def draw_logit(
    rng: np.random.Generator, ids: NDArray[np.int32], numbers: NDArray[np.float32], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Effects of ids, of pairs of ids and of numbers, summed, float64 [rows], without an intercept."""
    logit = numbers @ rng.normal(0, NUMBER_EFFECT, NUMBERS)
    for feature, size in enumerate(sizes):
        logit += rng.normal(0, ID_EFFECT, size)[ids[:, feature]]
    for left, right in PAIRS:
        first, second = (rng.standard_normal((sizes[side], RANK))[ids[:, side]] for side in (left, right))
        logit += PAIR_EFFECT / np.sqrt(RANK) * np.einsum("rk,rk->r", first, second)
    return logit


def intercept(logit: NDArray[np.float64], rate: float) -> float:
    """What to add to the logits so that their mean probability is `rate`, by bisection."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(1 / (1 + np.exp(-logit - middle))) < rate else (low, middle)
    return (low + high) / 2
