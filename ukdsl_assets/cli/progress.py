"""How far `ukdsl run` is: a line that moves on a terminal, and lines at a bearable rate in a pipe or a file."""

import signal
import threading
import time
from collections.abc import Sequence
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

# Characters of a line from which there is room for a bar, and of the figures beside a step's name with and without it.
WIDE = 140
FIGURES_WITH_BAR, FIGURES_ALONE = 104, 44
# In a pipe no two lines of steps come faster.
LINE_EVERY_SECONDS = 2.0


class RunProgress:
    """Says at once that a cascade is being loaded, then which day and step is under way and how long the rest takes."""

    def __init__(self, terminal: Console, cascade: str, days: Sequence[date]) -> None:
        self._terminal, self._cascade, self._days = terminal, cascade, days
        self._steps_a_day, self._done, self._days_done = 0, 0, 0
        # Steps that are under way, without the cascade's name.
        self._under_way: list[str] = []
        self._said_a_step = False
        self._started = self._last_line = time.monotonic()
        # On a terminal a line that moves; in a pipe there is none, and lines follow each other.
        self._loading = loading_line(terminal, f"loading {cascade} ...") if terminal.is_terminal else None
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._loading is not None:
            self._loading.start()
        else:
            self._terminal.print(f"loading {self._cascade} ...", highlight=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for shown in (self._loading, self._bar):
            if shown is not None:
                shown.stop()

    def begin(self, steps_a_day: int) -> None:
        """The graph is loaded, and a day has so many steps."""
        self._steps_a_day, self._started = steps_a_day, time.monotonic()
        if self._loading is None:
            return
        self._loading.stop()
        self._bar = step_bar(self._terminal)
        self._bar.add_task("", total=steps_a_day * len(self._days), day=str(self._days[0]))
        self._bar.start()

    def told(self, day: date, step: str, line: str, ended: bool) -> None:
        """A step has started, says a line, or has ended; as `defs.run.RunProgress`."""
        step = step.removeprefix(f"{self._cascade}/")
        self._done += ended
        if ended and step in self._under_way:
            self._under_way.remove(step)
        elif not ended and step not in self._under_way:
            self._under_way.append(step)
        if self._bar is None:
            self._line(day, f"{step}, done" if ended else f"{step}: {line}" if line else step)
            return
        others = f" and {len(self._under_way) - 1} more" if len(self._under_way) > 1 else ""
        words = f"{step}: {line}" if line else next(iter(self._under_way), "") + others
        named = beside_figures(self._terminal, words)
        self._bar.update(self._bar.task_ids[0], day=str(day), advance=int(ended), description=named or None)

    def day_done(self, day: date) -> None:
        """All steps of a day have ended."""
        self._days_done += 1
        if self._loading is not None:
            return
        seconds = time.monotonic() - self._started
        left = time_left(seconds, self._days_done, len(self._days))
        a_day = f"{seconds / self._days_done:.0f} s a day"
        self._terminal.print(f"{day} done, {a_day}, {left}", highlight=False, soft_wrap=True)

    def _line(self, day: date, what: str) -> None:
        now = time.monotonic()
        if self._said_a_step and now - self._last_line < LINE_EVERY_SECONDS:
            return
        self._said_a_step, self._last_line = True, now
        all_steps = self._steps_a_day * len(self._days)
        left = time_left(now - self._started, self._done, all_steps)
        far = f"{self._done} of {all_steps} steps" + (f", {left}" if left else "")
        self._terminal.print(f"{day}: {far}: {what}", highlight=False, soft_wrap=True)


def sigterm_as_ctrl_c() -> None:
    """From now on SIGTERM interrupts this process, so that it clears up and says where it was."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def time_left(seconds: float, done: int, all_of_them: int) -> str:
    """`40 s left`, or `12 min left` from two minutes on, if the rest takes as long each; empty before one is done."""
    if not done:
        return ""
    left = seconds * (all_of_them - done) / done
    return f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"


def loading_line(terminal: Console, text: str) -> "Progress":
    """A text that moves until it is stopped, and is then gone; it is there as soon as it is started."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    line = Progress(
        SpinnerColumn("line"), TextColumn("{task.description}", markup=False), console=terminal, transient=True
    )
    line.add_task(text, total=None)
    return line


def step_bar(terminal: Console) -> "Progress":
    """A line over the steps of days, with as much beside it as the terminal has room for; none where it is a file."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # The first column moves while a step takes long.
    columns: list[ProgressColumn] = [SpinnerColumn("line"), TextColumn("{task.fields[day]}"), MofNCompleteColumn()]
    if terminal.width >= WIDE:
        columns.insert(2, BarColumn())
    columns.append(TextColumn("steps"))
    if terminal.width >= WIDE:
        columns += [TimeElapsedColumn(), TextColumn("elapsed,")]
    columns += [TimeRemainingColumn(), TextColumn("left  {task.description}", markup=False)]
    return Progress(*columns, console=terminal, disable=not terminal.is_terminal)


def beside_figures(terminal: Console, step: str) -> str:
    """As much of a step's name or line as there is room for beside the figures of `step_bar`."""
    figures = FIGURES_WITH_BAR if terminal.width >= WIDE else FIGURES_ALONE
    return step[: max(terminal.width - figures, 0)]
