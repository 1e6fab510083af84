"""The benchmark's table: 26 categorical features and 13 numbers, labels from a logistic truth; NumPy alone."""

from pathlib import Path

import numpy as np

FEATURES, NUMBERS, HELD_OUT = 26, 13, 50_000
VOCABULARY = {"small": 120_000, "large": 841_000}


def sizes_of(vocabulary: str) -> np.ndarray:
    """Ids of each feature, int64 [26], from a few to most of the vocabulary, which they sum to."""
    total = VOCABULARY[vocabulary]
    sizes = np.geomspace(4, total / 3, FEATURES).astype(np.int64)
    sizes = np.maximum(4, sizes * total // sizes.sum())
    sizes[-1] += total - sizes.sum()
    return sizes


def write_table(folder: Path, vocabulary: str, rows: int, seed: int) -> None:
    """ids.npy int32 [rows + held out, 26] (each feature's from 0), numbers.npy float32, label.npy float32."""
    rng = np.random.default_rng(seed)
    count = rows + HELD_OUT
    # Frequencies fall with the rank, as those of ads and users do.
    ids = np.stack([(size * rng.random(count) ** 3).astype(np.int32) for size in sizes_of(vocabulary)], axis=1)
    numbers = rng.normal(size=(count, NUMBERS)).astype(np.float32)
    logit = np.full(count, -2.0)
    for feature, size in enumerate(sizes_of(vocabulary)):
        logit += rng.normal(0, 0.25, size)[ids[:, feature]]
    logit += numbers @ rng.normal(0, 0.2, NUMBERS)
    for left, right in ((3, 5), (4, 7), (6, 8)):
        effects = rng.normal(0, 0.5, (997,))
        logit += effects[(ids[:, left].astype(np.int64) * 31 + ids[:, right]) % 997]
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    for name, array in (("ids", ids), ("numbers", numbers), ("label", label)):
        np.save(folder / f"{name}.npy", array)
