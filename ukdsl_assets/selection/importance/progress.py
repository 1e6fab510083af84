"""Lines that say how far a measurement is."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ukdsl_assets.settings import PROGRESS_EVERY_SECONDS

Log = Callable[[str], None]
A = TypeVar("A")


class Progress:
    """Counts what is done, and logs it every five seconds."""

    def __init__(self, what: str, every: int, log: Log | None) -> None:
        self.what, self.every, self.log = what, every, log
        self.done = 0
        self.started = self.logged = time.monotonic()

    def add(self, number: int) -> None:
        """So many more are done."""
        self.done += number
        now = time.monotonic()
        if self.log is not None and now - self.logged >= PROGRESS_EVERY_SECONDS:
            self.logged = now
            rate = self.done / (now - self.started)
            left = (self.every - self.done) / rate
            self.log(
                f"importance: {self.done:,} of {self.every:,} {self.what}, {rate:,.0f} a second, {left:.0f} s left"
            )

    def each(self, found: Iterable[A]) -> Iterator[A]:
        """The same items, each counted."""
        for item in found:
            yield item
            self.add(1)


def log_compilation(compiled: Any, log: Log | None) -> None:
    """A line if a function of Numba is about to be compiled, which is kept for the next process."""
    if log is None or compiled.signatures:
        return
    code = compiled.py_func.__code__
    source = Path(code.co_filename).stem
    kept = f"{source}.{code.co_name}-{code.co_firstlineno}.*.nbi"
    if not any(Path(compiled.stats.cache_path).glob(kept)):
        log(f"importance: compiling {source}, some seconds, once on this machine")
