"""Which row each row takes a permuted feature from: the same donors for every feature and every backend."""

import numpy as np
from numpy.typing import NDArray


def permutations(rows: int, repeats: int, seed: int) -> NDArray[np.int32]:
    """Random orders of the rows, int32 [repeats, rows]: row i takes the feature of row permutations[repeat, i].

    A repeat's order depends on the seed and its own number alone, so more repeats leave the first ones as they are.

    Raises:
        ValueError: unless 0 <= rows < 2^31 and repeats >= 1.
    """
    if not 0 <= rows < 2**31 or repeats < 1:
        raise ValueError(f"saw {rows} rows and {repeats} repeats; expected 0 to 2^31 - 1 rows and at least 1 repeat")
    order = np.empty((repeats, rows), np.int32)
    for repeat in range(repeats):
        order[repeat] = np.random.default_rng((seed, repeat)).permutation(np.arange(rows, dtype=np.int32))
    return order
