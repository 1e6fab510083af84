"""A student's day by batch size: rows per CPU second, and how good the student is on withheld requests.

    python -m benchmarks.student_day [--lake FOLDER] [--world 1] [--seeds 3] \
        [--batch 64:0.004 256:0.006:2 512:0.008:2]

The pre-ranking student of simulated_ads, distilled: about 240,000 rows a day, two towers. Each way (requests a batch :
learning rate : epochs) trains two days, the second warm-started from the first, and is timed and judged on the second.
The ways take turns. Rows of the day per CPU second, on one thread but for polars: of the loop alone, and of all from
the Parquet file to the parameters. With --lake the simulated days are kept for the next run.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table as Shown

from benchmarks.day import publish_table
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.training.rows import Reader
from ukdsl_assets.logs.clock import known_until
from ukdsl_assets.pipeline.day import Day
from ukdsl_assets.pipeline.evaluation import held_readers
from ukdsl_assets.pipeline.logs import judge_and_stage, reading_of
from ukdsl_assets.pipeline.students import shard_readers
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings

# The declaration's batch, and larger ones with as many epochs as they need to learn as much.
WAYS = ["64:0.004", "256:0.006:2", "512:0.008:2"]
STUDENT, TEACHER, ASKED = "pre_ranking_click", "ranking_logged", 600_000


class Way(NamedTuple):
    """Requests of a batch, the learning rate and epochs that go with it."""

    requests: int
    learning_rate: float
    epochs: int = 1


class DayFigures(NamedTuple):
    """One training: rows per CPU second of the loop and of the fit with its reading, and figures on withheld rows."""

    loop: float
    with_reading: float
    figures: dict[str, float]


def main() -> None:
    """Make the days, run the ways in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--world", type=int, default=1, help="seed of the simulated world; 100 and up are for tuning")
    parser.add_argument("--seeds", type=int, default=3, help="student seeds")
    parser.add_argument("--batch", nargs="+", default=WAYS, help="requests:learning rate[:epochs]")
    chosen = parser.parse_args()
    ways = [Way(int(requests), float(rate), *map(int, more)) for requests, rate, *more in map(way_parts, chosen.batch)]
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.open(Settings(lake=str(chosen.lake or folder), scale="default"))
        cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
        cascade = cascade.model_copy(update={"source": cascade.source.model_copy(update={"seed": chosen.world})})
        compare(workspace, cascade, ways, chosen.seeds)


def way_parts(way: str) -> list[str]:
    return way.split(":")


def compare(workspace: Workspace, cascade: Cascade, ways: Sequence[Way], seeds: int) -> None:
    """Every way with every seed, interleaved."""
    days = [Day(workspace, cascade, cascade.first_day + timedelta(days=count)) for count in range(2)]
    table = days[0].table(STUDENT, "teacher_augmented")
    for day in days:
        if day.lake.partition(table, day.date) is None:
            publish_logs(day)
            publish_tables(day)
    readers = [shard_readers(day, table, [day.date], day.partition(table).version) for day in days]
    held = pl.concat(read() for read in held_readers(days[-1], cascade.student(STUDENT)))
    by_way: dict[Way, list[DayFigures]] = {way: [] for way in ways}
    for seed in range(seeds):
        for way in ways:
            changed = {"requests_per_batch": way.requests, "learning_rate": way.learning_rate}
            changed |= {"epochs": way.epochs, "seed": seed}
            student = cascade.student(STUDENT).model_copy(update=changed)
            by_way[way].append(two_days(cascade, student, readers, held))
    show(by_way, sum(len(read()) for read in readers[-1]), len(held))


def publish_logs(day: Day) -> None:
    """Read or simulate the day, after those before it, and publish its logs."""
    clock = known_until(day.cascade, day.settings, day.date)
    _, staged = judge_and_stage(day, day.source(print), [], clock)
    for part in staged:
        day.lake.commit(part, reading_of(staged, clock))


def publish_tables(day: Day) -> None:
    """From the day's logs to the student's rows, each table judged and published."""
    for model in ("impressions", "considerations"):
        publish_table(day, model, day.table(model))
    teacher, student = day.cascade.teacher(TEACHER), day.cascade.student(STUDENT)
    publish_table(day, "logged_teacher_labels", day.table(TEACHER, "teacher_labels"), teacher=teacher)
    publish_table(day, "teacher_augmented", day.table(STUDENT, "teacher_augmented"), student=student)


def two_days(cascade: Cascade, student: Student, readers: Sequence[Sequence[Reader]], held: pl.DataFrame) -> DayFigures:
    """Train the first day, then time and judge the second."""
    before = fit_student(Training.of(cascade, student, "distilled", readers[0])).student
    at: list[tuple[int, float]] = []
    start = time.process_time()
    fit = fit_student(
        Training.of(
            cascade,
            student,
            "distilled",
            readers[1],
            previous=before,
            progress=lambda done, of, rows, loss: at.append((rows, time.process_time())),
        )
    )
    # A row counts once, however many epochs see it.
    with_reading = at[-1][0] / student.epochs / (time.process_time() - start)
    loop = (at[-1][0] - at[0][0]) / student.epochs / (at[-1][1] - at[0][1])
    return DayFigures(loop, with_reading, ne_and_calibration(fit.student, held))


def ne_and_calibration(fitted: FittedStudent, held: pl.DataFrame) -> dict[str, float]:
    """NE and calibration: considered rows by the serving head, shown rows by the head of impressions."""
    heads = predict_student(fitted, held)
    figures = {}
    for domain, head, reference in (
        ("CD", fitted.heads[-1], "target"),
        ("CD", fitted.heads[-1], "truth"),
        ("IMP", fitted.heads[0], "target"),
    ):
        chosen = (held["domain"] == domain).to_numpy()
        p, y, w = (column[chosen] for column in (heads[head], held[reference].to_numpy(), held["weight"].to_numpy()))
        against = "truth" if reference == "truth" else {"CD": "teacher", "IMP": "label"}[domain]
        figures[f"{domain} NE, {against}"] = normalized_entropy(p, y, w)
        figures[f"{domain} calibration, {against}"] = calibration(p, y, w)
    return figures


def show(by_way: dict[Way, list[DayFigures]], rows: int, held: int) -> None:
    """The fastest of each way, and the mean of its figures over seeds with a standard error."""
    first = next(iter(by_way.values()))
    table = Shown(
        title=f"{rows:,} rows of a day, {held:,} withheld, {len(first)} student seeds, one thread but for polars"
    )
    table.add_column("")
    for way in by_way:
        table.add_column(f"{way.requests} a batch\nrate {way.learning_rate:g}\nepochs {way.epochs}", justify="right")
    for name, of in (("rows per CPU second, loop", "loop"), ("rows per CPU second, with reading", "with_reading")):
        table.add_row(name, *(f"{max(getattr(run, of) for run in runs):,.0f}" for runs in by_way.values()))
    for name in first[0].figures:
        cells = []
        for runs in by_way.values():
            values = np.array([run.figures[name] for run in runs])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
            cells.append(f"{values.mean():.4f} +- {error:.4f}")
        table.add_row(name, *cells)
    console = Console(width=120)
    console.print(table)
    console.print(f"Asked: {ASKED:,} rows per second and core, with an accuracy no worse than that of small batches.")


if __name__ == "__main__":
    main()
