"""Features' values to the codes that all trees' decisions depend on: tables made once, and the compiled loops."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ukdsl_assets.learning.trees.coding import ZERO, Coding

# Bits of the number of intervals, of equal length in the order of float32, that a table of numbers has.
INTERVALS = 14
INFINITY = 0x7F800000
SMALL = int(np.float32(ZERO).view(np.int32))


class NumberTable(NamedTuple):
    """Where to search for a number among the cuts, both as integers of the same order.

    cuts: int64, behind the last that counts as many more as a search may pass. start: uint16, for each interval how
    many cuts are below it; the first begins at `low` and each is 2 ** shift long. steps: of a search in an interval.
    """

    cuts: NDArray[np.int64]
    start: NDArray[np.uint16]
    low: int
    shift: int
    steps: int
    missing: int


def table_of(coding: Coding) -> NumberTable | NDArray[np.uint16]:
    """What `write_codes` reads: of a categorical feature the code of each category from 0 on, and last of all others.

    NaN is among the others: no decision tells them apart.
    """
    if coding.categorical:
        code_of = np.full(int(coding.cuts.max(initial=-1)) + 2, len(coding.cuts), np.uint16)
        code_of[coding.cuts.astype(np.int64)] = np.arange(len(coding.cuts))
        return code_of
    # A float32 is above a cut just if it is above the greatest float32 that is not above the cut.
    with np.errstate(over="ignore"):
        down = coding.cuts.astype(np.float32)
    down = np.where(down > coding.cuts, np.nextafter(down, np.float32(-np.inf)), down)
    cuts = _in_order(down + np.float32(0))
    low, high = (int(cuts[0]), int(cuts[-1])) if len(cuts) else (0, 0)
    shift = max(0, (high - low).bit_length() - INTERVALS)
    edges = low + (np.arange(((high - low) >> shift) + 2, dtype=np.int64) << shift)
    start = np.searchsorted(cuts, edges)
    most = int(np.diff(start, append=len(cuts)).max())
    steps = most.bit_length()
    padded = np.concatenate([cuts, np.full(1 << steps, np.iinfo(np.int32).max + 1, np.int64)])
    return NumberTable(padded, start.astype(np.uint16), low, shift, steps, coding.size - 1)


def write_codes(
    table: NumberTable | NDArray[np.uint16], values: NDArray[np.float32], codes: NDArray[np.uint8] | NDArray[np.uint16]
) -> None:
    """Codes, as `coding.Coding` says, of values [rows] to codes [rows]; both may be columns of a matrix."""
    if isinstance(table, NumberTable):
        _write_numbers(table, values.view(np.int32), codes)
    else:
        _write_categories(table, values, codes)


def write_rows(
    tables: Sequence[NumberTable | NDArray[np.uint16]], columns: Sequence[NDArray[np.float32]], codes: NDArray[Any]
) -> None:
    """Codes of each of the columns [rows] to codes [columns, rows]."""
    for table, values, of_column in zip(tables, columns, codes, strict=True):
        write_codes(table, values, of_column)


def _in_order(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers that are in the order of the numbers, as `_key` makes them."""
    bits = values.view(np.int32).astype(np.int64)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@njit(inline="always")
def _key(bits):  # type: ignore[no-untyped-def]
    return np.int64(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@njit(cache=True, nogil=True)
def _write_numbers(table, bits, codes):  # type: ignore[no-untyped-def]
    """Of numbers as their bits, int32 [rows]; all in integers, which the compiler makes no branches of."""
    last = len(table.start) - 1
    for i in range(len(bits)):
        key = _key(bits[i])
        missing = key > INFINITY or key < ~INFINITY
        # As LightGBM reads a matrix.
        key = 0 if ~SMALL <= key <= SMALL else key
        code = np.int64(table.start[min(max((key - table.low) >> table.shift, 0), last)])
        for step in range(table.steps - 1, -1, -1):
            half = np.int64(1) << step
            code += ((table.cuts[code + half - 1] - key) >> 63) & half
        codes[i] = table.missing if missing else code


@njit(cache=True, nogil=True)
def _write_categories(code_of, values, codes):  # type: ignore[no-untyped-def]
    others = len(code_of) - 1
    for i in range(len(values)):
        value = values[i]
        # Without its fraction, as LightGBM reads it.
        codes[i] = code_of[np.int64(value) if -1 < value < others else others]
