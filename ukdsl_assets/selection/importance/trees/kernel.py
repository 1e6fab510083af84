"""The compiled loops of exact importance for boosted trees; the layout that they read is in `layout`.

For a block of rows and each tree, the AND of all slots' masks gives the leaf that a row reaches. With the ANDs of the
slots before and after it, a slot's mask is exchanged for the donor's in two operations, so that a tree costs all its
groups together about as much as two predictions. There is no branch: every loop runs over the rows of a block, which
the compiler turns into vector instructions.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.bits import lowest_bit
from ukdsl_assets.selection.importance.entropy_kernel import count_changes, entropy_of

# Bytes of a block's changes; shorter blocks would spend their time on starting loops.
CACHE = 2 * 1024 * 1024
LARGEST_BLOCK = 512


@njit(cache=True, nogil=True)
def slot_masks(masks, slot, codes, out):  # type: ignore[no-untyped-def]
    """Leaves that a slot's features leave reachable, of rows with codes [features, rows] -> out [rows]."""
    every = ~masks.mask.dtype.type(0)
    out[:] = every
    for entry in range(masks.ranges[slot], masks.ranges[slot + 1]):
        column = codes[masks.feature[entry]]
        low, span, mask = masks.low[entry], masks.span[entry], masks.mask[entry]
        for i in range(len(out)):
            out[i] &= mask if np.uint32(np.uint32(column[i]) - low) < span else every
    for entry in range(masks.tables[slot], masks.tables[slot + 1]):
        column = codes[masks.table_feature[entry]]
        words = masks.words[masks.offset[entry] :]
        for i in range(len(out)):
            out[i] &= words[column[i]]


@njit(cache=True, nogil=True)
def tree_changes(  # type: ignore[no-untyped-def]
    masks: Any,
    codes: NDArray[np.uint16],
    donors: NDArray[np.int32],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    cluster: NDArray[np.int32],
    first: int,
    last: int,
    of_repeat: NDArray[np.float64],
    of_cluster: NDArray[np.float64],
    entropy: NDArray[np.float64],
):
    """Add the changes of rows first to last; write their cross entropy without permutation to `entropy`.

    Args:
        masks: of `layout.masks_of`. codes: uint16 [rows, features]. donors: int32 [repeats, rows].
        target, weight, cluster, of_repeat [groups, repeats], of_cluster [groups, clusters]: see `sample`.
        entropy: float64 [last - first].
    """
    features, groups, repeats = codes.shape[1], len(of_repeat), len(donors)
    block = min(LARGEST_BLOCK, max(64, CACHE // (8 * max(groups * repeats, 1)) // 64 * 64))
    trees = len(masks.slots) - 1
    most = np.diff(masks.slots).max() if trees else 0
    every = ~masks.mask.dtype.type(0)
    own = np.empty((features, block), np.uint16)
    given = np.empty((repeats, features, block), np.uint16)
    mine = np.empty((most, block), masks.mask.dtype)
    after = np.empty((most + 1, block), masks.mask.dtype)
    before = np.empty(block, masks.mask.dtype)
    theirs = np.empty(block, masks.mask.dtype)
    changes = np.empty((groups, repeats, block), np.float64)
    leaf = np.empty(block, np.float64)
    logit = np.empty(block, np.float64)
    for start in range(first, last, block):
        rows = min(block, last - start)
        for i in range(rows):
            own[:, i] = codes[start + i]
        for repeat in range(repeats):
            for i in range(rows):
                given[repeat, :, i] = codes[donors[repeat, start + i]]
        changes[:] = 0
        logit[:] = 0
        for tree in range(trees):
            begin, end = masks.slots[tree], masks.slots[tree + 1]
            value = masks.value[masks.leaves[tree] : masks.leaves[tree + 1]]
            after[end - begin] = every
            for slot in range(end - 1, begin - 1, -1):
                out, following, both = mine[slot - begin, :rows], after[slot - begin + 1], after[slot - begin]
                slot_masks(masks, slot, own, out)
                for i in range(rows):
                    both[i] = following[i] & out[i]
            reached = after[0]
            for i in range(rows):
                leaf[i] = value[lowest_bit(reached[i])]
                logit[i] += leaf[i]
            before[:] = every
            for slot in range(begin, end):
                group, following, out = masks.group[slot], after[slot - begin + 1], mine[slot - begin]
                if group >= 0:
                    for repeat in range(repeats):
                        slot_masks(masks, slot, given[repeat], theirs[:rows])
                        change = changes[group, repeat]
                        for i in range(rows):
                            change[i] += value[lowest_bit(before[i] & following[i] & theirs[i])] - leaf[i]
                for i in range(rows):
                    before[i] &= out[i]
        part = slice(start, start + rows)
        base = entropy[start - first : start - first + rows]
        for i in range(rows):
            base[i] = entropy_of(logit[i], target[start + i])
        for repeat in range(repeats):
            gave = cluster[donors[repeat, part]]
            for group in range(groups):
                of_repeat[group, repeat] += count_changes(
                    logit[:rows],
                    changes[group, repeat, :rows],
                    base,
                    target[part],
                    weight[part],
                    cluster[part],
                    gave,
                    of_cluster[group],
                )
