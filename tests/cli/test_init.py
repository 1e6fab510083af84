"""`ukdsl init` as a newcomer types it: the shipped sample, lines of 80 characters, and nothing half made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.raw_logs import raw_logs, write_raw
from ukdsl_assets.cli.app import main
from ukdsl_assets.settings import PROJECT

Init = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Init:
    """The command in this process, in an empty folder; its exit code and what it printed."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["ukdsl", "init", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    return called


def test_the_sample_becomes_a_project_that_keeps_the_contract(init: Init, tmp_path: Path) -> None:
    code, printed, said = init("shop")
    assert code == 0, said
    assert max(map(len, printed.splitlines())) <= 80
    assert "The sample is simulated" in printed
    assert "2026-01-04: the logs keep the contract" in printed
    assert "  ukdsl run shop --days 2026-01-01..2026-01-04" in printed
    names = {path.relative_to(tmp_path / "shop").as_posix() for path in (tmp_path / "shop").rglob("*")}
    assert {"README.md", ".env", ".gitignore", "dagster.yaml", "workspace.yaml", "mapping.py", "sql/README.md"} <= names
    assert {"cascades/shop.yaml", "cascade.schema.json", "logs/event_log/day=2026-01-01/part-0.parquet"} <= names
    declared = (tmp_path / "shop" / "cascades" / "shop.yaml").read_text()
    assert declared.startswith("# yaml-language-server: $schema=../cascade.schema.json\n")
    assert 'note: "simulated"' in declared
    # Clicks that come hours later are in the day of their request.
    clicks = pl.read_parquet(tmp_path / "shop" / "logs" / "event_log" / "day=2026-01-02" / "part-0.parquet")
    assert (clicks["occurred_at"].dt.date().cast(pl.String) > "2026-01-02").any()
    again, _, complaint = init("shop")
    assert again == 2
    assert "is there already" in complaint
    assert (tmp_path / "shop" / "cascades" / "shop.yaml").read_text() == declared


def test_options_name_what_cannot_be_guessed(init: Init, tmp_path: Path) -> None:
    candidates, clicks = raw_logs(requests=60)
    scored = write_raw(candidates.rename({"displayed": "flag_7"}).drop("pos"), tmp_path / "scored.jsonl")
    happened = write_raw(clicks, tmp_path / "clicks.csv")
    files = ("--candidates", str(scored), "--events", str(happened))
    code, _, said = init("shop", *files, "--column", "shown")
    assert code == 2
    assert "expected WHAT=COLUMN" in said
    code, printed, said = init("shop", *files, "--column", "shown=flag_7", "--time-zone", "Europe/Berlin")
    assert code == 0, said
    assert "as you said" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_logs_that_break_the_contract_are_told_and_the_project_stays_to_be_mended(init: Init, tmp_path: Path) -> None:
    candidates, clicks = raw_logs(requests=60)
    # Ranked rows that pre-ranking never scored.
    broken = candidates.with_columns(pl.when(pl.col("l1_score") < 0.5).then("l1_score"))
    files = write_raw(broken, tmp_path / "scored.parquet"), write_raw(clicks, tmp_path / "clicks.parquet")
    options = ("--stage", "pre_ranking=l1_score", "--stage", "ranking=l2_score")
    code, printed, said = init("shop", "--candidates", str(files[0]), "--events", str(files[1]), *options)
    assert code == 1, said
    assert "gates of the logs failed" in printed
    assert "pre_ranking_click_prediction" in printed
    assert (tmp_path / "shop" / "mapping.py").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_init_leaves_nothing(by: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "ukdsl_assets", "init", "shop"]
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list(tmp_path.glob(".shop.init-*/mapping.py")) and time.monotonic() < until:
        time.sleep(0.01)
    started.send_signal(by)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert list(tmp_path.iterdir()) == []
