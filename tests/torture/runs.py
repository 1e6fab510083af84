"""Kills of whole `ukdsl run`s, and two of them at once: the lake must be that of a run that nobody disturbed."""

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.fixtures.command_line import at, shop_in
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, write
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.lake.checkpoints.store import CheckpointStore
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.settings import PROJECT

DAYS = [DAY, DAY + dt.timedelta(days=1)]
SPAN = f"{DAYS[0]}..{DAYS[-1]}"
# Longer than a run of both days takes on an idle machine, so that kills fall anywhere in it.
LONGEST = 12.0


def shop_of_days(folder: Path) -> Path:
    """A declared cascade and its logs of `DAYS`."""
    folder.mkdir(parents=True)
    shop_in(folder)
    cascade = read_cascade(folder / "cascades" / "shop.yaml")
    for day in DAYS[1:]:
        write(folder / "logs", day, make_logs(cascade, day, requests=60))
    return folder


def start(folder: Path, *arguments: str, logs: Path | None = None) -> subprocess.Popen[bytes]:
    """`ukdsl` in a group of its own, on the lake and home of `folder`; its words are appended to a file there."""
    variables = {name: str(value) for name, value in at(folder).items()} | {"UKDSL_THREADS": "1"}
    if logs is not None:
        variables["UKDSL_CASCADES"] = str(logs / "cascades")
    home = folder / "home" / "dagster.yaml"
    if not home.exists():
        home.parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / "dagster.yaml", home)
    with (folder / "said.log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "ukdsl_assets", *arguments],
            env=os.environ | variables,
            cwd=PROJECT,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def versions(folder: Path) -> dict[str, str]:
    """Data versions of all tables' days and versions of all checkpoints' days; reading each proves that it is whole."""
    lake, store = Lake(str(folder / "lake" / "tables")), CheckpointStore(str(folder / "lake" / "checkpoints"))
    found = {}
    for log in sorted((folder / "lake" / "tables").rglob("_delta_log")):
        table = log.parent.relative_to(lake.root).parts
        for day in lake.partitions(table):
            partition = lake.partition(table, day)
            assert partition is not None
            assert lake.scan(table, [day]).collect().height == partition.rows
            found[f"{'/'.join(table)} {day}"] = partition.data_version
    for kept in sorted((folder / "lake" / "checkpoints").rglob("checkpoints")):
        key = kept.parent.relative_to(store.root).parts
        found |= {f"{'/'.join(key)} {day}": store.load(key, day).version for day in store.days(key)}
    return found


def kill_runs(folder: Path, kills: int, undisturbed: Path | None = None) -> dict[str, int]:
    """Kill runs of `DAYS` on a new lake at any moment, then let one end.

    Args:
        undisturbed: a shop of one day that has been run; then it is that day's runs that are killed.

    Returns:
        kills; ended_before: runs that were done before; torn: lakes that could not be read; differing: partitions and
        checkpoints that an undisturbed lake has otherwise or has not; not_healed: those that differ after the run that
        nobody killed; stuck: runs that count as under way after it. All but the first two must be 0.
    """
    days, longest = (SPAN, LONGEST) if undisturbed is None else (str(DAY), LONGEST / 2)
    if undisturbed is None:
        undisturbed = shop_of_days(folder / "undisturbed")
        _must_end(start(undisturbed, "run", "shop", "--days", days), undisturbed)
    expected = versions(undisturbed)
    killed, chance = folder / "killed", random.Random("runs")
    killed.mkdir(parents=True)
    figures = {"kills": 0, "ended_before": 0, "torn": 0, "differing": 0, "not_healed": 0, "stuck": 0}
    for kill in range(kills):
        run = start(killed, "run", "shop", "--days", days, logs=undisturbed)
        _wait_until_at_work(killed, run)
        time.sleep(chance.uniform(0, longest))
        figures["ended_before" if run.poll() is not None else "kills"] += 1
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        try:
            found = versions(killed)
            figures["differing"] += sum(expected.get(name) != version for name, version in found.items())
        except Exception as error:
            print(f"kill {kill}: {type(error).__name__}: {error}")
            figures["torn"] += 1
    _must_end(start(killed, "run", "shop", "--days", days, logs=undisturbed), killed)
    found = versions(killed)
    figures["not_healed"] = sum(expected.get(name) != found.get(name) for name in expected.keys() | found.keys())
    figures["stuck"] = _under_way(killed)
    return figures


def first_commands_at_once(folder: Path, pairs: int) -> dict[str, int]:
    """Two `ukdsl run`s of one day at once, on a new lake and a DAGSTER_HOME that nobody has opened yet.

    Returns:
        pairs; refused: commands that did not end with 0; broken_homes: homes that a third command cannot use;
        differing: partitions that differ from those of the first pair.
    """
    logs = shop_of_days(folder / "logs")
    figures = {"pairs": 0, "refused": 0, "broken_homes": 0, "differing": 0}
    expected: dict[str, str] | None = None
    for pair in range(pairs):
        here = folder / f"pair {pair}"
        here.mkdir()
        both = [start(here, "run", "shop", "--days", str(DAY), logs=logs) for _ in range(2)]
        figures["refused"] += sum(each.wait() != 0 for each in both)
        figures["pairs"] += 1
        figures["broken_homes"] += start(here, "run", "shop", "--days", str(DAY), logs=logs).wait() != 0
        found = versions(here)
        expected = expected or found
        figures["differing"] += sum(expected.get(name) != found.get(name) for name in expected.keys() | found.keys())
    return figures


def _must_end(run: subprocess.Popen[bytes], folder: Path) -> None:
    assert run.wait() == 0, (folder / "said.log").read_text()[-2000:]


def _wait_until_at_work(folder: Path, run: subprocess.Popen[bytes]) -> None:
    """Until the run has written a file of a table, or is done."""
    began = time.time()
    while run.poll() is None:
        newest = max(
            (path.stat().st_mtime for path in (folder / "lake").rglob("*.parquet") if path.exists()), default=0
        )
        if newest > began:
            return
        time.sleep(0.1)


def _under_way(folder: Path) -> int:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder / "home")) as home:
        return home.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
