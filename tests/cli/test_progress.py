"""The line of progress fits the terminal."""

from io import StringIO

import pytest
from rich.console import Console

from ukdsl_assets.cli.common import beside_progress, day_progress


@pytest.mark.parametrize("width", [60, 80, 100, 139, 140, 200])
def test_nothing_of_the_progress_is_cut_off(width: int) -> None:
    printed = StringIO()
    terminal = Console(file=printed, width=width, force_terminal=True, color_system=None)
    with day_progress(terminal) as bar:
        task = bar.add_task("", total=1234, completed=1000, day="2026-03-01")
        bar.update(task, description=beside_progress(terminal, "pr_click/distilled_checkpoint" + " epoch" * 50))
    assert "1000/1234 steps" in printed.getvalue()
    assert "…" not in printed.getvalue()
    assert "left  pr_click" in printed.getvalue()
