"""The compiled loops of scoring by boosted trees; the layout that they read is in `layout`.

No loop has a branch, and every one runs over the rows of a block, which the compiler turns into vector instructions.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.bits import lowest_bit

# Rows whose codes and sums stay in the processor's nearer caches while all trees pass over them.
BLOCK = 2048


@njit(cache=True, nogil=True)
def clear(left, codes, low, span, mask):  # type: ignore[no-untyped-def]
    """Take from `left` the bits that mask lacks, in the rows whose codes are in [low, low + span)."""
    every = left.dtype.type(0xFF)
    for i in range(len(left)):
        left[i] &= mask if codes.dtype.type(codes[i] - low) < span else every


@njit(cache=True, nogil=True)
def add_scores(layout: Any, numbers: NDArray[Any], categories: NDArray[np.uint16], score: NDArray[np.float64]) -> None:
    """Add the value of the leaf that each row reaches in each tree, tree by tree, to score [rows].

    Args:
        layout: of `layout.layout_of`. numbers: uint8 or uint16 [numeric features, rows]. categories: uint16
            [categorical features, rows].
    """
    left = np.empty((4, BLOCK), np.uint8)
    word = np.empty(BLOCK, np.uint32)
    leaf = np.empty(BLOCK, np.int32)
    for start in range(0, len(score), BLOCK):
        rows = min(BLOCK, len(score) - start)
        total = score[start : start + rows]
        for tree in range(len(layout.groups) - 1):
            begin, end = layout.groups[tree], layout.groups[tree + 1]
            # From the last group to the first, so that the lowest bit of all has the last word.
            for group in range(end - 1, begin - 1, -1):
                left[:, :rows] = 0xFF
                for byte in range(4):
                    of_byte = left[byte, :rows]
                    for step in range(layout.steps[4 * group + byte], layout.steps[4 * group + byte + 1]):
                        codes = numbers[layout.row[step], start : start + rows]
                        clear(of_byte, codes, layout.low[step], layout.span[step], layout.mask[step])
                for i in range(rows):
                    word[i] = (
                        np.uint32(left[0, i])
                        | np.uint32(left[1, i]) << np.uint32(8)
                        | np.uint32(left[2, i]) << np.uint32(16)
                        | np.uint32(left[3, i]) << np.uint32(24)
                    )
                for table in range(layout.tables[group], layout.tables[group + 1]):
                    codes_of = categories[layout.table_row[table], start : start + rows]
                    words = layout.words[layout.offset[table] :]
                    for i in range(rows):
                        word[i] &= words[codes_of[i]]
                first = layout.leaf[group]
                if end - begin == 1:
                    value = layout.value[first:]
                    for i in range(rows):
                        total[i] += value[lowest_bit(word[i])]
                else:
                    for i in range(rows):
                        if word[i] != 0:
                            leaf[i] = first + np.int32(lowest_bit(word[i]))
            if end - begin > 1:
                for i in range(rows):
                    total[i] += layout.value[leaf[i]]


@njit(cache=True, nogil=True)
def to_probability(score: NDArray[np.float64], slope: float) -> None:
    """1 / (1 + exp(-slope score)) in place of each score; the exponential is the C library's, as LightGBM's is."""
    for i in range(len(score)):
        score[i] = 1 / (1 + math.exp(-slope * score[i]))
