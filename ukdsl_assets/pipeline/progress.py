"""Progress of long steps in the run's log: now and then a line with rate and time left."""

import time
from collections.abc import Callable

from ukdsl_assets.settings import PROGRESS_EVERY_SECONDS


def progress_now_and_then(log: Callable[[str], None], what: str, of: str) -> Callable[[float, int, float], None]:
    """A callback (done, in all, seconds since the start) that logs at most one line every five seconds."""
    last = 0.0

    def progress(done: float, total: int, seconds: float) -> None:
        nonlocal last
        if seconds - last >= PROGRESS_EVERY_SECONDS and done:
            last = seconds
            left = (total - done) * seconds / done
            log(f"{what}: {done:.1f} of {total} {of} after {seconds:.0f} s, {left:.0f} s left")

    return progress


def training_progress(log: Callable[[str], None], what: str) -> Callable[[int, int, int, float], None]:
    """A callback (steps done, steps in all, rows done, loss) that logs at most one line every five seconds."""
    started = last = time.monotonic()

    def progress(done: int, total: int, rows: int, loss: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_SECONDS and done:
            last = now
            seconds = now - started
            left = (total - done) * seconds / done
            log(
                f"{what}: {done} of {total} steps, {rows / seconds:,.0f} rows a second, {left:.0f} s left, "
                f"loss {loss:.4f}"
            )

    return progress
