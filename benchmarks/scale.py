"""Days of growing size, shard by shard: CPU seconds a row and peak memory of each step.

    python -m benchmarks.scale [--factors 1 4 16] [--lake FOLDER] [--json FILE]

`--factors 1 4 16 64` is the whole table; --json keeps the figures, which `benchmarks.terabyte` reads.

1x is the default day of simulated_ads as the pre-ranking student needs it: 240,000 candidates that ranking scored,
which make 300,000 rows of teacher_augmented. Larger days repeat its requests under fresh ids, in as many more shards.
The logs' step reads a user's Parquet file of each log, judges and publishes them; its rows are the candidate log's.
Tables are all up to those rows; labels are the logged teacher's once more, with their gates; exploration is the
teacher's audit on explored rows. Each step of each size runs in a process of its own, after a few rows that load its
libraries, on one thread but for polars, which takes all of the machine's; peak memory is that process's. With --lake
the simulated day is kept for the next run.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table as Shown

from benchmarks.day import publish_table
from benchmarks.student_day import STUDENT, TEACHER, publish_logs, publish_tables
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.gates import blocking
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import checkpoints_of, evaluated, held_readers
from ukdsl_assets.pipeline.exploration import audited
from ukdsl_assets.pipeline.logs import judge_and_stage, reading_of
from ukdsl_assets.pipeline.students import shard_readers, train_arm
from ukdsl_assets.pipeline.teacher_labels import label_audit
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import PROJECT, Settings

SHARDS = 4
MOST_COST = 1.15
STEPS = ("logs", "tables", "labels", "exploration", "training", "evaluation")
WARM_UP_ROWS, WARM_UP_REQUESTS = 4096, 200


def main() -> None:
    """Make the days and measure every step of each, or one step when asked by the process that measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--lake", type=Path, help="keeps the simulated day")
    parser.add_argument("--json", type=Path, help="keeps the figures")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(step_figures(workspace_of(chosen.lake, *chosen.factors), chosen.step)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = workspace_of(chosen.lake or Path(folder) / "day")
        by_factor = {}
        for factor in chosen.factors:
            with tempfile.TemporaryDirectory(dir=folder) as lake:
                write_logs(source, Path(lake), factor)
                by_factor[factor] = {step: in_a_process(Path(lake), step, factor) for step in STEPS}
        if chosen.json:
            chosen.json.write_text(json.dumps(kept(by_factor), indent=1) + "\n")
        show(by_factor)


def kept(by_factor: dict[int, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """The figures with when, on what and by which command they were measured."""
    return {
        "command": f"python -m benchmarks.scale --factors {' '.join(map(str, by_factor))}",
        "measured": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "note": "",
        "days": {str(factor): steps for factor, steps in by_factor.items()},
    }


def processor() -> str:
    """Its name as the kernel has it, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def workspace_of(lake: Path, factor: int = 1) -> Workspace:
    """One thread, so that CPU seconds are comparable."""
    return Workspace.open(Settings(lake=str(lake), scale="default", threads=1, shards=SHARDS * factor))


def cascade_of() -> Cascade:
    return read_cascade(SHIPPED / "simulated_ads.yaml")


def write_logs(source: Workspace, folder: Path, factor: int) -> None:
    """The default day's logs `factor` times over, of what reached ranking, as if each copy were other requests.

    One file a log below folder/user, and a few rows of it below folder/few/user.
    """
    cascade = cascade_of()
    name, day = cascade.name, cascade.first_day
    if source.lake.partition((name, "event_log"), day) is None:
        publish_logs(Day(source, cascade, day))
    logs = {
        "candidate_log": source.lake.scan((name, "candidate_log"), [day]).filter(deepest_stage="ranking"),
        "event_log": source.lake.scan((name, "event_log"), [day]),
    }
    step = logs["candidate_log"].select(pl.col("request_id").max() + 1).collect().item()
    few = pl.col("request_id") < WARM_UP_REQUESTS
    for log, rows in logs.items():
        copies = [rows.drop("day").with_columns(pl.col("request_id") + copy * step) for copy in range(factor)]
        for below, written in (("user", pl.concat(copies)), ("few/user", copies[0].filter(few))):
            written.sink_parquet(folder / below / log / f"day={day}" / "part-0.parquet", mkdir=True)


def in_a_process(lake: Path, step: str, factor: int) -> dict[str, float]:
    """What a fresh process measured of the step; printed as soon as it is known."""
    command = [sys.executable, "-m", "benchmarks.scale", "--lake", str(lake), "--step", step]
    command += ["--factors", str(factor)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{factor}x {step}: {figures['rows']:,} rows, {figures['cpu']:.1f} CPU s, {figures['peak']:,.0f} MiB",
        flush=True,
    )
    return figures


def step_figures(workspace: Workspace, step: str) -> dict[str, float]:
    """Rows of teacher_augmented or of the candidate log; CPU seconds of the step; peak memory of the process in MiB."""
    cascade = cascade_of()
    day = Day(workspace, cascade, cascade.first_day)
    steps: dict[str, Callable[[Day], Any]] = {
        "logs": publish_user_logs,
        "tables": publish_tables,
        "labels": label_by_the_log,
        "exploration": lambda day: audited(day, cascade.teacher(TEACHER)),
        "training": train_both,
        "evaluation": evaluate_both,
    }
    if step in ("training", "evaluation"):
        warm_up(day)
    else:
        steps[step](Day(workspace_of(Path(workspace.settings.lake) / "few"), cascade, cascade.first_day))
    start = time.process_time()
    steps[step](day)
    cpu = time.process_time() - start
    of = day.table("candidate_log") if step == "logs" else day.table(STUDENT, "teacher_augmented")
    return {"rows": day.partition(of).rows, "cpu": cpu, "peak": peak_memory()}


def peak_memory() -> float:
    """This process's own, in MiB: getrusage's figure is at least that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def warm_up(day: Day) -> None:
    """Loads libraries and kernels on a few rows: that costs the same for a day of any size."""
    table, student = day.table(STUDENT, "teacher_augmented"), day.cascade.student(STUDENT)
    readers = shard_readers(day, table, [day.date], day.partition(table).version)
    few = readers[0]().head(WARM_UP_ROWS)
    predict_student(fit_student(Training.of(day.cascade, student, "distilled", few)).student, few)


def publish_user_logs(day: Day) -> None:
    """Read, judge, write and commit the user's files, as known when the simulated day is read."""
    clock = known_until(day.cascade, day.settings, day.date)
    files = {"kind": "parquet", "path": f"{day.settings.lake}/user"}
    theirs = replace(day, cascade=Cascade.model_validate({**day.cascade.model_dump(), "source": files}))
    verdicts, staged = judge_and_stage(theirs, theirs.source(print), [], clock)
    assert not blocking(verdicts.results), verdicts
    for part in staged:
        day.lake.commit(part, reading_of(staged, clock))


def label_by_the_log(day: Day) -> None:
    """The ranker's logged predictions as labels, once more, with the verdicts that the asset adds to the SQL's."""
    teacher, table = day.cascade.teacher(TEACHER), day.table(TEACHER, "teacher_labels")
    audit = label_audit(day.cascade, teacher)
    publish_table(day, "logged_teacher_labels", table, teacher=teacher, audit=audit)


def train_both(day: Day) -> None:
    for arm in ARMS:
        day.checkpoints.publish(train_arm(day, day.cascade.student(STUDENT), arm).checkpoint)


def evaluate_both(day: Day) -> None:
    student = day.cascade.student(STUDENT)
    evaluated(day.cascade, student, held_readers(day, student), checkpoints_of(day, student))


def show(by_factor: dict[int, dict[str, dict[str, float]]]) -> None:
    """Cost and peak memory of each step by size, over those of the smallest."""
    table = Shown(title=f"simulated_ads, {STUDENT}, {SHARDS} shards for each 1x, one thread but for polars")
    for column in ("day", "rows", "step", "CPU us a row", "over the smallest", "peak MiB", "over the smallest"):
        table.add_column(column, justify="left" if column == "step" else "right")
    smallest = by_factor[min(by_factor)]
    for factor, steps in by_factor.items():
        for step, figures in (steps | {"all": together(steps)}).items():
            base = (smallest | {"all": together(smallest)})[step]
            cost, first = (of_size["cpu"] / of_size["rows"] for of_size in (figures, base))
            table.add_row(
                f"{factor}x",
                f"{figures['rows']:,.0f}",
                step,
                f"{cost * 1e6:.2f}",
                f"{cost / first:.2f}x",
                f"{figures['peak']:,.0f}",
                f"{figures['peak'] / base['peak']:.2f}x",
            )
        table.add_section()
    console = Console(width=110)
    console.print(table)
    console.print(f"Asked: a cost per row within {MOST_COST}x of the smallest, peak memory bounded by the shard.")


def together(steps: dict[str, dict[str, float]]) -> dict[str, float]:
    """All steps: their CPU seconds summed, the highest of their peaks."""
    values = list(steps.values())
    return {
        "rows": values[-1]["rows"],
        "cpu": sum(figures["cpu"] for figures in values),
        "peak": max(figures["peak"] for figures in values),
    }


if __name__ == "__main__":
    main()
