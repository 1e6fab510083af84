"""Days of a simulated item page whose pages the real server makes: server, logs, graph, release, swap, and again.

    python -m benchmarks.serving.loop [--days 5] [--pages 10000] [--seed 40]

On each day the visitors ask `ukdsl serve` for their pages, half of them (by the hash of the visitor) for the static
order; what they click and buy, by the world's truth, is sent back. The server writes both logs, `ukdsl run` makes the
day of them, and the server takes up what it released, before the next day's first page. Nothing is done by hand, and
nothing is told to the students but what the logs say. Until both students are released, pages are static.

Prints a line a day, then the experiment on all days on which students answered.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.serving.visitors import Seen, a_day
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.experiments.assignment import Experiment
from ukdsl_assets.experiments.reading import Reading, read_experiment
from ukdsl_assets.reports.experiment import reading_lines
from ukdsl_assets.simulation.item_page import ItemPageWorld

CASCADE = "served_item_page"
EXPERIMENT = Experiment("served_item_page_students", {"static": 0.5, "students": 0.5})
METRICS = ("click", "purchase")
# How long one thing may take on a busy machine.
PATIENCE = 600.0


class LoopDay(NamedTuple):
    """A day of the loop.

    seen: what visitors saw, with a column `arm`. released: student -> version that serves after the day, None for none.
    decisions: student -> what became of it on the day, as `ukdsl run --json` says it.
    """

    day: date
    seen: Seen
    released: dict[str, str | None]
    decisions: dict[str, str]


def main() -> None:
    """Run the loop and print what it came to."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--days", type=int, default=5)
    arguments.add_argument("--pages", type=int, default=10_000, help="page views a day")
    arguments.add_argument("--seed", type=int, default=40, help="of the world")
    chosen = arguments.parse_args()
    console = Console(width=80)
    with tempfile.TemporaryDirectory() as folder:
        days = []
        for made in loop(Path(folder), chosen.days, chosen.pages, chosen.seed):
            console.print(f"{made.day}: served, logged, made and released", highlight=False)
            days.append(made)
    console.print(shown(days))
    if reading := experiment_of(days):
        for line in reading_lines(reading, 80):
            console.print(line, highlight=False, markup=False)


def loop(folder: Path, days: int, pages: int, seed: int) -> Iterator[LoopDay]:
    """The days, each yielded once the server has taken up what it released.

    Args:
        folder: an empty one, for logs, lake and Dagster's home.
        pages: page views a day; seed: of the world.

    Raises:
        RuntimeError: the server or a day fails, or a release is not taken up.
    """
    cascade, world = declared(folder), ItemPageWorld(seed)
    environment = environment_of(folder)
    with server(folder, environment) as port:
        written = 0
        for number in range(days):
            day = cascade.first_day + timedelta(days=number)
            visitors = pl.Series("visitor", world.page_views(number, pages).user)
            arms = EXPERIMENT.arms_of(visitors)
            seen = a_day(port, cascade, world, day, pages, (arms == "static").to_list())
            rows = seen.rows.with_columns(arm=EXPERIMENT.arms_of(seen.rows["visitor"]))
            written += pages * world.page_views(number, 1).modules.shape[1]
            wait(lambda: logged_rows(port) >= written, f"{written:,} rows of the candidate log")  # noqa: B023
            decisions = run_day(folder, day, environment)
            released = released_now(port, cascade)
            yield LoopDay(day, Seen(rows, seen.refused), released, decisions)


def environment_of(folder: Path) -> dict[str, str]:
    """Where the server and the graph find lake and declaration."""
    return os.environ | {
        "UKDSL_LAKE": str(folder / "lake"),
        "UKDSL_CASCADES": str(folder / "cascades"),
        "DAGSTER_HOME": str(folder / "dagster_home"),
    }


def declared(folder: Path, **page: Any) -> Cascade:
    """The shipped item page under a name of its own, whose logs are what the server writes.

    Args:
        page: what of its `page:` is to be other than shipped.
    """
    said = yaml.safe_load((SHIPPED / "simulated_item_page.yaml").read_text(encoding="utf-8"))
    said |= {"name": CASCADE, "source": {"kind": "parquet", "path": str(folder / "logs" / CASCADE)}}
    said["page"] |= page
    (folder / "cascades").mkdir()
    (folder / "dagster_home").mkdir()
    path = folder / "cascades" / f"{CASCADE}.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return read_cascade(path)


@contextmanager
def server(folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """`ukdsl serve` of the cascade in a process of its own, writing logs; gives its port and stops it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ukdsl_assets", "serve", CASCADE, "--port", str(port)]
    # One machine does all: a page must not be static for want of a core.
    command += ["--write-logs", str(folder / "logs"), "--log-seconds", "2", "--reload-seconds", "0.5"]
    command += ["--page-ms", "5000"]
    with (folder / "server.log").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            wait(lambda: process.poll() is not None or answers(port), "the server's first answer")
            if process.poll() is not None:
                raise RuntimeError(f"ukdsl serve ended: {(folder / 'server.log').read_text()}")
            yield port
        finally:
            process.terminate()
            process.wait(timeout=60)


def run_day(folder: Path, day: date, environment: dict[str, str]) -> dict[str, str]:
    """`ukdsl run` of a day; what was decided of each student."""
    command = [sys.executable, "-m", "ukdsl_assets", "run", CASCADE, "--days", str(day)]
    command += ["--json", str(folder / "day.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    # 3: some student of the day was refused or not judged.
    if done.returncode not in (0, 3):
        raise RuntimeError(f"ukdsl run {CASCADE} --days {day} ended with {done.returncode}: {done.stderr[-2000:]}")
    return {each["student"]: each["outcome"] for each in json.loads((folder / "day.json").read_text())["decisions"]}


def released_now(port: int, cascade: Cascade) -> dict[str, str | None]:
    """What answers of each student, once that is what is released."""
    standing: dict[str, Any] = {}

    def taken_up() -> bool:
        standing.update(json.loads(get(port, "/ready"))["students"])
        return all(each["state"] in ("loaded", "nothing released") for each in standing.values())

    # The pointer may be new since the last look.
    time.sleep(2.0)
    wait(taken_up, "what is released to be taken up")
    return {student.name: standing[f"{cascade.name}/{student.name}"]["version"] for student in cascade.students}


def logged_rows(port: int) -> int:
    """Rows of the candidate log that the server has written."""
    lines = get(port, "/metrics").splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if "log_rows" in line and 'log="candidate_log"' in line))


def answers(port: int) -> bool:
    """Whether the server is there."""
    try:
        return bool(get(port, "/health"))
    except OSError:
        return False


def get(port: int, path: str) -> str:
    """The body of a reply, whatever its status; OSError where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def wait(done: Callable[[], bool], what: str) -> None:
    """Looks again and again; RuntimeError where it takes too long."""
    until = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > until:
            raise RuntimeError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.2)


def experiment_of(days: list[LoopDay]) -> Reading | None:
    """The experiment on the days on which students answered their half; None where there is no such day."""
    served = [made.seen.rows for made in days if made.seen.rows["why"].is_null().any()]
    return read_experiment(pl.concat(served), EXPERIMENT, METRICS) if served else None


def shown(days: list[LoopDay]) -> Table:
    """A line a day and arm: pages, how many by students, and what came of them; released: at the day's end, of all."""
    table = Table(title="Pages by the server; clicks and purchases per page", title_justify="left")
    for name in ("day", "arm", "pages", "by students", "clicks", "purchases", "released"):
        table.add_column(name, justify="left" if name in ("day", "arm") else "right", no_wrap=True)
    for made in days:
        released = sum(version is not None for version in made.released.values())
        for arm in EXPERIMENT.shares:
            rows, first = made.seen.rows.filter(arm=arm), arm == "static"
            table.add_row(
                str(made.day)[5:] if first else "",
                arm,
                f"{len(rows):,}",
                f"{rows['why'].null_count():,}",
                f"{rows['click'].to_numpy().mean():.4f}",
                f"{rows['purchase'].to_numpy().mean():.4f}",
                f"{released} of {len(made.released)}" if first else "",
            )
    table.caption = f"Replies that were no page: {sum(made.seen.refused for made in days)}"
    table.caption_justify = "left"
    return table


if __name__ == "__main__":
    main()
