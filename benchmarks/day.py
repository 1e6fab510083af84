"""A simulated day through the Dagster graph against the same functions called one after the other.

    python -m benchmarks.day [--days 3] [--scale default]

Both sides make the same days, in turn, each in a lake of its own, from the same state of the simulated world; the
first day of each is not counted. The graph makes UKDSL_STEPS steps at once, and a step's seconds are those beside
others. Prints wall and CPU seconds, their ratio, the graph's time by step, peak memory.
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
from rich.table import Table as Shown

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.defs.graph.lineage import lineage_metadata
from ukdsl_assets.learning.students.student import ARMS
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.pipeline.champion import compared, matches_of
from ukdsl_assets.pipeline.closed_impressions import stage_closed
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import checkpoints_of, earlier_checkpoints, evaluated
from ukdsl_assets.pipeline.exploration import audited
from ukdsl_assets.pipeline.logs import judge_and_stage, reading_of
from ukdsl_assets.pipeline.product import product_of
from ukdsl_assets.pipeline.release import decide
from ukdsl_assets.pipeline.scored import ScoredLog, earlier_readers, judged_readers, with_trailing
from ukdsl_assets.pipeline.shards import scratch
from ukdsl_assets.pipeline.students import train_arm
from ukdsl_assets.pipeline.tables import label_rate_audit, stage_table, table_model
from ukdsl_assets.pipeline.teacher_labels import label_audit
from ukdsl_assets.pipeline.workspace import Table, Workspace
from ukdsl_assets.reports.html import write_report
from ukdsl_assets.settings import PROJECT, Settings

MOST_RATIO, MOST_SECONDS = 1.2, 12.0


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
    shutil.copy(PROJECT / "dagster.yaml", folder)
    graph, bare = (Settings(lake=str(folder / side), scale=scale) for side in ("graph", "bare"))
    # Both worlds start from one saved state, so that neither pays for bringing it forward.
    for _ in (
        Day(Workspace.open(graph), cascade, cascade.first_day).source(lambda _: None).read_in_parts(cascade.first_day)
    ):
        pass
    shutil.copytree(graph.simulated_state, bare.simulated_state)
    seconds: dict[str, list[tuple[float, float]]] = {"graph": [], "bare": []}
    steps: dict[str, list[float]] = {}
    run = graph_day(graph, cascade, steps)
    for count in range(days + 1):
        day = cascade.first_day + timedelta(days=count)
        seconds["graph"].append(timed(run, day))
        seconds["bare"].append(timed(lambda counted: bare_day(Day(Workspace.open(bare), cascade, counted)), day))
    show(
        {side: of_days[1:] for side, of_days in seconds.items()},
        {s: of_days[1:] for s, of_days in steps.items()},
        scale,
    )


def timed(work: Callable[[date], object], day: date) -> tuple[float, float]:
    """Wall and CPU seconds of a day's work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(day)
    return time.perf_counter() - wall, time.process_time() - cpu


def graph_day(settings: Settings, cascade: Cascade, steps: dict[str, list[float]]) -> Callable[[date], None]:
    """A function that materializes a day by the job and adds each step's seconds to `steps`."""
    import dagster as dg

    from ukdsl_assets.defs.build import build_defs
    from ukdsl_assets.defs.schedules import job_name
    from ukdsl_assets.defs.side_by_side import executed

    job = build_defs(settings, {cascade.name: cascade}).resolve_job_def(job_name(cascade))
    instance = dg.DagsterInstance.get()
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

    def run(day: date) -> None:
        done = executed(job, day, settings.steps_in_threads, instance, quiet)
        assert done.success
        for event in done.all_events:
            if event.is_step_success:
                steps.setdefault(event.step_key or "", []).append(event.step_success_data.duration_ms / 1000)

    return run


def bare_day(day: Day) -> None:
    """The same day without Dagster: every call that the assets make, in their order."""
    lake, cascade, logs = day.lake, day.cascade, day.table("candidate_log")
    trailing = lake.row_counts(logs, day.trailing(logs))
    clock = known_until(cascade, day.settings, day.date)
    _, staged = judge_and_stage(day, day.source(lambda _: None), list(trailing.values()), clock)
    for part in staged:
        lake.commit(part, reading_of(staged, clock))
    for model in ("impressions", "considerations", "stage_calibration"):
        audit = label_rate_audit(cascade) if model == "impressions" else None
        publish_table(day, model, day.table(model), audit=audit)
    closed = stage_closed(day)
    lake.commit(closed.staged, closed.inputs)
    for teacher in cascade.teachers:
        labels = day.table(teacher.name, "teacher_labels")
        publish_table(day, "logged_teacher_labels", labels, teacher=teacher, audit=label_audit(cascade, teacher))
        lake.commit(lake.stage_frame(day.table(teacher.name, "teacher_audit"), day.date, audited(day, teacher)), {})
    for student in cascade.students:
        publish_table(day, "teacher_augmented", day.table(student.name, "teacher_augmented"), student=student)
        for arm in ARMS:
            day.checkpoints.publish(train_arm(day, student, arm).checkpoint)
        frames = evaluation_of(day, student)
        for name, frame in zip(("evaluation", "calibration_by_group"), frames, strict=True):
            lake.commit(lake.stage_frame(day.table(student.name, name), day.date, frame), {})
        against = compared(day, student, matches_of(day, student))
        lake.commit(lake.stage_frame(day.table(student.name, "champion_comparison"), day.date, against), {})
        decide(day, student)
    write_report(day.settings, cascade, day.date)


def evaluation_of(day: Day, student: Student) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The two tables of a student's evaluation, of the same rows as the asset's."""
    checkpoints = checkpoints_of(day, student)
    earlier = earlier_checkpoints(day, student, checkpoints)
    before = [(models, earlier_readers(day, each, student)) for each, models in earlier.items()]
    readers = judged_readers(day, student, ScoredLog.of(day, student))
    product = product_of(day, student, {**earlier, day.date: checkpoints})
    with scratch(day) as folder:
        table, by_group = evaluated(
            day.cascade, student, readers, checkpoints, before, product, day.workspace.engine, folder
        )
    return with_trailing(day, student, table)[0], by_group


def publish_table(day: Day, name: str, table: Table, **of: Any) -> None:
    """One SQL table, judged and committed."""
    model = table_model(day.cascade, day.workspace, name, table, **of)
    staged = stage_table(day, model)
    lineage_metadata(day, model)
    day.lake.commit(staged.staged, staged.inputs)


def show(seconds: dict[str, list[tuple[float, float]]], steps: dict[str, list[float]], scale: str) -> None:
    """Print the comparison, the steps and the peak memory, with what was asked for."""
    console = Console()
    days = len(seconds["graph"])
    table = Shown(
        "side", "wall s", "CPU s", title=f"A {scale} simulated day, median of {days} days", title_justify="left"
    )
    medians = {side: [statistics.median(values) for values in zip(*seconds[side], strict=True)] for side in seconds}
    for side, (wall, cpu) in medians.items():
        table.add_row(side, f"{wall:.2f}", f"{cpu:.2f}")
    ratios = [graph / bare for graph, bare in zip(medians["graph"], medians["bare"], strict=True)]
    table.add_row("graph / bare", *(f"{ratio:.2f}" for ratio in ratios))
    console.print(table)
    by_step = Shown("step of the graph", "seconds", title="Time by step, median", title_justify="left")
    for step, of_days in steps.items():
        by_step.add_row(step.replace("__", "/"), f"{statistics.median(of_days):.2f}")
    console.print(by_step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"Peak memory of the process, both sides: {peak:.2f} GiB")
    console.print(
        f"Asked for: CPU ratio at most {MOST_RATIO} (seen {ratios[1]:.2f}); a default day under {MOST_SECONDS:.0f} s "
        f"(seen {medians['graph'][0]:.1f})"
    )


if __name__ == "__main__":
    main()
