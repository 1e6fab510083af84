"""Runs a kernel on parts of the sample, in threads, and logs how far it is."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.selection.importance.sample import Changes, Sample
from ukdsl_assets.settings import PROGRESS_EVERY_SECONDS

# Rows of a part. Parts are added in their order, so that the sum's bits do not depend on the threads.
PART = 16_384
Log = Callable[[str], None]
# Fills (changes, entropy of the part's rows) for the rows from `first` up to `last`.
PartKernel = Callable[[int, int, Changes, NDArray[np.float64]], None]


def in_parts(
    kernel: PartKernel, groups: int, sample: Sample, threads: int, log: Log | None
) -> tuple[Changes, NDArray[np.float64]]:
    """Changes of the whole sample and each row's cross entropy, float64 [rows].

    Args:
        kernel: compiled code that releases the interpreter's lock.
        log: gets a line every five seconds.
    """
    rows = len(sample.target)
    total, entropy = Changes.none(groups, sample), np.empty(rows)
    firsts = range(0, rows, PART)
    started = last_logged = time.monotonic()

    def part(first: int) -> Changes:
        changes = Changes.none(groups, sample)
        last = min(first + PART, rows)
        kernel(first, last, changes, entropy[first:last])
        return changes

    with ThreadPoolExecutor(threads) as pool:
        for first, changes in zip(firsts, pool.map(part, firsts), strict=True):
            total.add(changes)
            now, done = time.monotonic(), min(first + PART, rows)
            if log is not None and now - last_logged >= PROGRESS_EVERY_SECONDS:
                last_logged = now
                rate = done / (now - started)
                log(f"importance: {done:,} of {rows:,} rows, {rate:,.0f} a second, {(rows - done) / rate:.0f} s left")
    return total, entropy


def log_compilation(compiled: Any, log: Log | None) -> None:
    """A line if a function of Numba is about to be compiled, which is kept for the next process."""
    if log is None or compiled.signatures:
        return
    code = compiled.py_func.__code__
    source = Path(code.co_filename).stem
    kept = f"{source}.{code.co_name}-{code.co_firstlineno}.*.nbi"
    if not any(Path(compiled.stats.cache_path).glob(kept)):
        log(f"importance: compiling {source}, some seconds, once on this machine")
