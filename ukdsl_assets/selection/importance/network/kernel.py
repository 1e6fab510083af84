"""The compiled loops of exact importance for networks; the layout that they read is in `layout`.

A block of rows keeps the first layer's sums in the cache. Each group and repeat adds to them its difference of inputs
times its slice of the weights, for the rows whose value changes; only the layers behind the first are computed anew.
"""

from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  Numba's matrix product calls it: loaded here, it can be told its threads.
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.selection.importance.entropy_kernel import count_changes, entropy_of

# Up to so many multiplications OpenBLAS copies no operand first where vectors have 512 bits, and takes a quarter less:
# 480 rows x 16 columns of an embedding x 128 units, or 122 rows x 128 units x 64.
PRODUCTS, BLOCK = 1_000_000, 480
# With fewer rows than these a product costs more than the copies.
LEAST_ROWS = 64
# Sums in any order let the compiler use vector instructions; a NaN stays one.
FAST = {"reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath=FAST)
def first_sums(layer, start, inputs, sums):  # type: ignore[no-untyped-def]
    """The first layer's sums [rows, units] of the rows from `start` on; inputs [rows, columns] is overwritten."""
    width = layer.embeddings.shape[1]
    for i in range(len(sums)):
        out, ids, numbers = inputs[i], layer.ids[start + i], layer.numbers[start + i]
        place = np.uint64(0)
        for column in range(len(ids)):
            embedding = layer.embeddings[ids[column]]
            for unit in range(width):
                out[place] = embedding[unit]
                place += np.uint64(1)
        for column in range(len(numbers)):
            out[place] = numbers[column]
            place += np.uint64(1)
    np.dot(inputs, layer.weight, sums)
    for i in range(len(sums)):
        for unit in range(len(layer.bias)):
            sums[i, unit] += layer.bias[unit]


@njit(cache=True, nogil=True)
def copied(table, places, columns):  # type: ignore[no-untyped-def]
    """Rows of a table at `places`, column by column: [columns, rows]."""
    for i in range(len(places)):
        row = table[places[i]]
        for column in range(len(row)):
            columns[column, i] = row[column]


@njit(cache=True, nogil=True, fastmath=FAST)
def exchanged(layer, ids, numbers, own, given, own_numbers, given_numbers, rows, steps, changed):  # type: ignore[no-untyped-def]
    """Donor's inputs less the row's, [rows that differ, columns], flat; their places; their number.

    own, given: ids [columns, rows] of the rows and of their donors; own_numbers, given_numbers likewise.
    """
    width = layer.embeddings.shape[1]
    count = 0
    # Unsigned: the compiler need not think of negative indices.
    place = np.uint64(0)
    for i in range(rows):
        differs = False
        for column in ids:
            differs |= own[column, i] != given[column, i]
        for column in numbers:
            differs |= own_numbers[column, i] != given_numbers[column, i]
        if not differs:
            continue
        for column in ids:
            theirs, mine = layer.embeddings[given[column, i]], layer.embeddings[own[column, i]]
            for unit in range(width):
                steps[place] = theirs[unit] - mine[unit]
                place += np.uint64(1)
        for column in numbers:
            steps[place] = given_numbers[column, i] - own_numbers[column, i]
            place += np.uint64(1)
        changed[count] = i
        count += 1
    return count


@njit(cache=True, nogil=True, fastmath=FAST)
def moved(sums, changed, low, units):  # type: ignore[no-untyped-def]
    """Rectify units [rows, span] + the sums, from unit `low` on, of the rows at `changed`; in place."""
    span = units.shape[1]
    for i in range(len(units)):
        base = sums[changed[i], low : low + span]
        for unit in range(span):
            value = units[i, unit] + base[unit]
            units[i, unit] = np.float32(0) if value < 0 else value


# Without FAST the product is rounded before it is added: an outlier's then cancels against the sum, rounded as well.
@njit(cache=True, nogil=True)
def moved_by_number(sums, own, given, low, weight, changed, units):  # type: ignore[no-untyped-def]
    """`exchanged`, its product and `moved` at once for a group of one number; own, given: [rows]; weight: [span].

    Returns how many rows differ; their places are written to `changed`, what their units become to `units`.
    """
    count = 0
    for i in range(len(own)):
        if own[i] != given[i]:
            step, base, out = given[i] - own[i], sums[i, low : low + len(weight)], units[count]
            for unit in range(len(weight)):
                value = base[unit] + step * weight[unit]
                out[unit] = np.float32(0) if value < 0 else value
            changed[count] = i
            count += 1
    return count


@njit(cache=True, nogil=True, fastmath=FAST)
def dense_logits(dense, units, here, there, logits):  # type: ignore[no-untyped-def]
    """Logits [rows] of the first layer's units [rows, width], through all layers behind it, piece by piece."""
    layers = len(dense.widths) - 1
    largest = 1
    for layer in range(layers - 1):
        largest = max(largest, dense.widths[layer] * dense.widths[layer + 1])
    piece = PRODUCTS // largest if PRODUCTS // largest >= LEAST_ROWS else BLOCK
    for low in range(0, len(units), piece):
        now = units[low : low + piece]
        rows, weights, biases = len(now), 0, 0
        for layer in range(layers - 1):
            before, after = dense.widths[layer], dense.widths[layer + 1]
            matrix = dense.weight[weights : weights + before * after].reshape(before, after)
            bias = dense.bias[biases : biases + after]
            into = (here if layer % 2 == 0 else there)[: rows * after].reshape(rows, after)
            np.dot(now, matrix, into)
            for i in range(rows):
                for unit in range(after):
                    value = into[i, unit] + bias[unit]
                    into[i, unit] = np.float32(0) if value < 0 else value
            now = into
            weights += before * after
            biases += after
        last = dense.weight[weights:]
        for i in range(rows):
            total = dense.bias[biases]
            for unit in range(len(last)):
                total += now[i, unit] * last[unit]
            logits[low + i] = total


@njit(cache=True, nogil=True, fastmath=FAST)
def products(left, right, places, low, logits):  # type: ignore[no-untyped-def]
    """Inner products [rows] of left's rows with right's rows at `places`, of which the units from `low` on count."""
    for i in range(len(left)):
        mine, theirs = left[i], right[places[i], low : low + left.shape[1]]
        total = np.float32(0)
        for unit in range(len(mine)):
            total += mine[unit] * theirs[unit]
        logits[i] = total


@njit(cache=True, nogil=True)
def network_changes(  # type: ignore[no-untyped-def]
    layer: Any,
    dense: Any,
    form: NDArray[np.float32],
    groups: Any,
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
        layer, groups: of `layout`. Behind the first layer is `dense`, or a bilinear `form` if that has rows.
        donors, target, weight, cluster, of_repeat, of_cluster, entropy: as in `tree_kernel.tree_changes`.
    """
    bilinear, (columns, width) = len(form) > 0, layer.weight.shape
    widest = max(dense.widths.max(), width)
    inputs, sums = np.empty((BLOCK, columns), np.float32), np.empty((BLOCK, width), np.float32)
    steps, flat = np.empty(BLOCK * columns, np.float32), np.empty(BLOCK * width, np.float32)
    partner, product = np.empty((BLOCK, width), np.float32), np.empty((BLOCK, width), np.float32)
    here, there = np.empty(BLOCK * widest, np.float32), np.empty(BLOCK * widest, np.float32)
    changed, every = np.empty(BLOCK, np.int64), np.arange(BLOCK)
    after, logit = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float64)
    change = np.empty(BLOCK, np.float64)
    half = width // 2
    repeats, kinds, numeric = len(donors), layer.ids.shape[1], layer.numbers.shape[1]
    own, own_numbers = np.empty((kinds, BLOCK), np.int32), np.empty((numeric, BLOCK), np.float32)
    given = np.empty((repeats, kinds, BLOCK), np.int32)
    given_numbers = np.empty((repeats, numeric, BLOCK), np.float32)
    gave = np.empty((repeats, BLOCK), np.int32)
    for start in range(first, last, BLOCK):
        rows = min(BLOCK, last - start)
        first_sums(layer, start, inputs[:rows], sums[:rows])
        units = flat[: rows * width].reshape(rows, width)
        units[:] = 0
        moved(sums, every, 0, units)
        if bilinear:
            np.dot(units, form, partner[:rows])
            products(units, partner, every, 0, after)
            after[:] *= np.float32(0.5)
        else:
            dense_logits(dense, units, here, there, after)
        part = slice(start, start + rows)
        copied(layer.ids, np.arange(start, start + rows), own)
        copied(layer.numbers, np.arange(start, start + rows), own_numbers)
        for repeat in range(repeats):
            copied(layer.ids, donors[repeat, part], given[repeat])
            copied(layer.numbers, donors[repeat, part], given_numbers[repeat])
            for i in range(rows):
                gave[repeat, i] = cluster[donors[repeat, start + i]]
        base = entropy[start - first : start - first + rows]
        for i in range(rows):
            logit[i] = after[i]
            base[i] = entropy_of(logit[i], target[start + i])
        for group in range(len(of_repeat)):
            ids = groups.ids[groups.id_start[group] : groups.id_start[group + 1]]
            numbers = groups.numbers[groups.number_start[group] : groups.number_start[group + 1]]
            taken = len(ids) * layer.embeddings.shape[1] + len(numbers)
            low, span = groups.low[group], groups.span[group]
            begin = groups.weight_start[group]
            matrix = groups.weight[begin : begin + taken * span].reshape(taken, span)
            for repeat in range(repeats):
                units = flat[: rows * span].reshape(rows, span)
                if len(numbers) == 1 and len(ids) == 0:
                    pair = own_numbers[numbers[0], :rows], given_numbers[repeat, numbers[0], :rows]
                    count = moved_by_number(sums, *pair, low, matrix[0], changed, units)
                    units = units[:count]
                else:
                    theirs = given[repeat], own_numbers, given_numbers[repeat]
                    count = exchanged(layer, ids, numbers, own, *theirs, rows, steps, changed)
                    units = units[:count]
                    np.dot(steps[: count * taken].reshape(count, taken), matrix, units)
                    moved(sums, changed, low, units)
                if not bilinear:
                    dense_logits(dense, units, here, there, after)
                elif span == half:
                    products(units, partner, changed, low, after)
                else:
                    np.dot(units, form, product[:count])
                    products(units, product, every, 0, after)
                    after[:] *= np.float32(0.5)
                change[:rows] = 0
                for i in range(count):
                    change[changed[i]] = after[i] - logit[changed[i]]
                of_repeat[group, repeat] += count_changes(
                    logit[:rows],
                    change[:rows],
                    base,
                    target[part],
                    weight[part],
                    cluster[part],
                    gave[repeat, :rows],
                    of_cluster[group],
                )
