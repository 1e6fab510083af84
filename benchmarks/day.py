"""A simulated day through the Dagster graph against the same functions called one after the other.

    python -m benchmarks.day [--days 3] [--scale default]

Both sides make the same days, in turn, each in a lake of its own, from the same state of the simulated world; the
first day of each is not counted. Prints wall and CPU seconds, their ratio, the graph's time by step, peak memory.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from ukdsl_assets.cascade import SHIPPED, Cascade, Student, read_cascade
from ukdsl_assets.defs.evaluation import evaluated, with_truth, withheld_rows
from ukdsl_assets.defs.platform import Platform
from ukdsl_assets.defs.students import newest_before, record
from ukdsl_assets.defs.teachers import judged
from ukdsl_assets.learning.audit import judge_student
from ukdsl_assets.learning.students import ARMS, fit_student
from ukdsl_assets.settings import Settings
from ukdsl_assets.sources.judge import judge_logs
from ukdsl_assets.sql.audit import audit_model
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_sharded

MOST_RATIO, MOST_SECONDS = 1.25, 30.0


def main() -> None:
    """Run both sides and print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--days", type=int, default=3, help="counted days")
    arguments.add_argument("--scale", default="default", choices=["small", "default", "large"])
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), chosen.days, chosen.scale)


def compare(folder: Path, days: int, scale: Any) -> None:
    """One warm-up day and `days` counted ones on each side, interleaved."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    graph, bare = (Settings(lake=str(folder / side), scale=scale) for side in ("graph", "bare"))
    # Both worlds start from one saved state, so that neither pays for bringing it forward.
    Platform.open(graph).source(cascade, lambda _: None).read(cascade.first_day)
    shutil.copytree(graph.simulated_state, bare.simulated_state)
    seconds: dict[str, list[tuple[float, float]]] = {"graph": [], "bare": []}
    steps: dict[str, list[float]] = {}
    run = graph_day(graph, cascade, steps)
    for count in range(days + 1):
        day = cascade.first_day + timedelta(days=count)
        seconds["graph"].append(timed(lambda day=day: run(day)))
        seconds["bare"].append(timed(lambda day=day: bare_day(Platform.open(bare), cascade, day)))
    show({side: each[1:] for side, each in seconds.items()}, {s: each[1:] for s, each in steps.items()}, scale)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def graph_day(settings: Settings, cascade: Cascade, steps: dict[str, list[float]]) -> Callable[[date], None]:
    """A function that materializes a day by the job and adds each step's seconds to `steps`."""
    import dagster as dg

    from ukdsl_assets.defs.build import build_defs
    from ukdsl_assets.defs.schedules import job_name

    job = build_defs(settings, {cascade.name: cascade}).resolve_job_def(job_name(cascade))
    instance = dg.DagsterInstance.get()
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

    def run(day: date) -> None:
        done = job.execute_in_process(partition_key=str(day), instance=instance, run_config=quiet)
        for event in done.all_events:
            if event.is_step_success:
                steps.setdefault(event.step_key or "", []).append(event.step_success_data.duration_ms / 1000)

    return run


def bare_day(platform: Platform, cascade: Cascade, day: date) -> None:
    """The same day without Dagster: every call that the assets make, in their order."""
    lake, name = platform.lake, cascade.name
    logs = platform.source(cascade, lambda _: None).read(day)
    trailing = lake.row_counts((name, "candidate_log"), platform.trailing((name, "candidate_log"), day))
    judge_logs(cascade, day, logs, list(trailing.values()))
    for table, frame in (("candidate_log", logs.candidate_log), ("event_log", logs.event_log)):
        lake.commit(lake.stage_frame((name, table), day, frame), {})
    for model in ("impressions", "considerations", "stage_calibration"):
        sql(platform, cascade, model, (name, model), day)
    for teacher in cascade.teachers:
        table = (name, teacher.name, "teacher_labels")
        sql(platform, cascade, "logged_teacher_labels", table, day, teacher=teacher)
        judged(cascade, platform, teacher, day, lake.scan(table, [day]))
    for student in cascade.students:
        sql(platform, cascade, "teacher_augmented", (name, student.name, "teacher_augmented"), day, student=student)
        train_and_judge(platform, cascade, student, day)


def sql(platform: Platform, cascade: Cascade, model: str, table: tuple[str, ...], day: date, **of: Any) -> None:
    """One SQL table, audited and committed."""
    student = of.get("student")
    rendered = render(platform.models[model], template_context(cascade, **of))
    inputs = {
        each: platform.live_files(
            (cascade.name, student.teacher, each) if student and each == "teacher_labels" else (cascade.name, each), day
        )
        for each in rendered.depends_on
    }
    values = parameters_for(cascade, day, **of, teacher_version="bare")
    files = run_sharded(
        rendered, inputs, values, lambda *shard: platform.lake.new_file(table, day, *shard), platform.settings.threads
    )
    audit_model(rendered, files, values)
    platform.lake.commit(platform.lake.stage_files(table, day, files), {})


def train_and_judge(platform: Platform, cascade: Cascade, student: Student, day: date) -> None:
    """Both arms, their checkpoints, the evaluation and its verdict."""
    table = (cascade.name, student.name, "teacher_augmented")
    found = {}
    for arm in ARMS:
        rows = platform.lake.scan(table, [day]).filter(~pl.col("withheld")).collect()
        previous, _ = newest_before(cascade, platform, student, arm, day)
        fit = fit_student(cascade, student, arm, rows, previous)
        key = (cascade.name, student.name, arm)
        saved = platform.checkpoints.save(key, day, record(cascade, student, arm, fit), tensors=fit.student.tensors)
        platform.checkpoints.publish(saved)
        found[arm] = platform.checkpoints.load(key, day)
    held = with_truth(cascade, platform, student, withheld_rows(platform, table, day), day)
    judged_table = evaluated(cascade, student, held, found)
    platform.lake.commit(platform.lake.stage_frame((*table[:2], "evaluation"), day, judged_table), {})
    judge_student(cascade, student, judged_table)


def show(seconds: dict[str, list[tuple[float, float]]], steps: dict[str, list[float]], scale: str) -> None:
    """Print the comparison, the steps and the peak memory, with what was asked for."""
    console = Console()
    days = len(seconds["graph"])
    table = Table(
        "side", "wall s", "CPU s", title=f"A {scale} simulated day, median of {days} days", title_justify="left"
    )
    medians = {side: [statistics.median(each) for each in zip(*seconds[side], strict=True)] for side in seconds}
    for side, (wall, cpu) in medians.items():
        table.add_row(side, f"{wall:.2f}", f"{cpu:.2f}")
    ratios = [graph / bare for graph, bare in zip(medians["graph"], medians["bare"], strict=True)]
    table.add_row("graph / bare", *(f"{ratio:.2f}" for ratio in ratios))
    console.print(table)
    by_step = Table("step of the graph", "seconds", title="Time by step, median", title_justify="left")
    for step, each in steps.items():
        by_step.add_row(step.replace("__", "/"), f"{statistics.median(each):.2f}")
    console.print(by_step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"Peak memory of the process, both sides: {peak:.2f} GiB")
    console.print(
        f"Asked for: CPU ratio at most {MOST_RATIO} (seen {ratios[1]:.2f}); a default day under {MOST_SECONDS:.0f} s "
        f"(seen {medians['graph'][0]:.1f})"
    )


if __name__ == "__main__":
    main()
