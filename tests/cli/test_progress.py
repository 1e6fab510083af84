"""The line of progress fits the terminal, and in a pipe lines come at once and then at a bearable rate."""

from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from ukdsl_assets.cli.progress import LINE_EVERY_SECONDS, RunProgress, beside_figures, step_bar, time_left


@pytest.mark.parametrize("width", [60, 80, 100, 139, 140, 200])
def test_nothing_of_the_progress_is_cut_off(width: int) -> None:
    printed = StringIO()
    terminal = Console(file=printed, width=width, force_terminal=True, color_system=None)
    with step_bar(terminal) as bar:
        task = bar.add_task("", total=1234, completed=1000, day="2026-03-01")
        bar.update(task, description=beside_figures(terminal, "pr_click/distilled_checkpoint" + " epoch" * 50))
    assert "1000/1234 steps" in printed.getvalue()
    assert "…" not in printed.getvalue()
    assert "left  pr_click" in printed.getvalue()


def in_a_pipe(days: list[date]) -> tuple[RunProgress, StringIO]:
    printed = StringIO()
    return RunProgress(Console(file=printed, width=80), "shop", days), printed


def test_a_pipe_has_a_line_before_anything_is_loaded_and_one_of_the_first_step() -> None:
    shown, printed = in_a_pipe([date(2026, 3, 1), date(2026, 3, 2)])
    with shown as progress:
        assert printed.getvalue() == "loading shop ...\n"
        progress.begin(10)
        progress.told(date(2026, 3, 1), "shop/logs", "", False)
        assert printed.getvalue().splitlines()[1] == "2026-03-01: 0 of 20 steps: logs"


def test_what_a_step_says_stands_behind_its_name_and_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ukdsl_assets.cli.progress.time.monotonic", lambda: now)
    shown, printed = in_a_pipe([date(2026, 3, 1)])
    with shown as progress:
        progress.begin(2)
        said = [("logs", "", False), ("logs", "half of it", False), ("logs", "", True), ("impressions", "", False)]
        for step, line, ended in said:
            progress.told(date(2026, 3, 1), f"shop/{step}", line, ended)
            now += 10
    assert [line.partition("steps")[2].rpartition("left: ")[2] for line in printed.getvalue().splitlines()[1:]] == [
        ": logs",
        ": logs: half of it",
        "logs, done",
        "impressions",
    ]


def test_steps_in_a_pipe_come_at_a_bearable_rate_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ukdsl_assets.cli.progress.time.monotonic", lambda: now)
    shown, printed = in_a_pipe([date(2026, 3, 1)])
    with shown as progress:
        progress.begin(100)
        for step in range(100):
            progress.told(date(2026, 3, 1), f"shop/step{step}", "", False)
            now += 0.25
            progress.told(date(2026, 3, 1), f"shop/step{step}", "", True)
        progress.day_done(date(2026, 3, 1))
    lines = printed.getvalue().splitlines()
    assert len(lines) == 2 + int(25 / LINE_EVERY_SECONDS) + 1
    assert lines[2] == "2026-03-01: 8 of 100 steps, 23 s left: step7, done"
    assert lines[-1] == "2026-03-01 done, 25 s a day, 0 s left"


def test_a_terminal_says_that_it_loads_and_then_names_the_step() -> None:
    printed = StringIO()
    terminal = Console(file=printed, width=80, force_terminal=True, color_system=None)
    with RunProgress(terminal, "shop", [date(2026, 3, 1)]) as progress:
        assert "loading shop ..." in printed.getvalue()
        progress.begin(10)
        progress.told(date(2026, 3, 1), "shop/logs", "", False)
        progress.told(date(2026, 3, 1), "shop/logs", "", True)
    assert "1/10 steps" in printed.getvalue()
    assert "logs" in printed.getvalue().rpartition("loading")[2]


def test_a_terminal_counts_the_steps_that_are_under_way_beside_the_first() -> None:
    printed = StringIO()
    terminal = Console(file=printed, width=80, force_terminal=True, color_system=None)
    with RunProgress(terminal, "shop", [date(2026, 3, 1)]) as progress:
        progress.begin(10)
        for step, line, ended in [("a", "", False), ("b", "", False), ("c", "", False), ("a", "", True)]:
            progress.told(date(2026, 3, 1), f"shop/{step}", line, ended)
    assert printed.getvalue().splitlines()[-2].endswith("left  b and 1 more")


def test_the_time_left_is_in_minutes_when_it_is_long() -> None:
    assert time_left(10, 0, 5) == ""
    assert time_left(10, 1, 5) == "40 s left"
    assert time_left(100, 1, 10) == "15 min left"
