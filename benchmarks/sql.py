"""The SQL models through the platform's runner and gates against the same queries in bare DuckDB.

    python -m benchmarks.sql [--requests 10000] [--rounds 5] [--threads 2]

A synthetic day of simulated_ads: 300 candidates a request, of which 80 reach pre-ranking and 24 ranking, and 6 are
shown. Both sides make each table in turn from the same Parquet files; the first round is not counted. Ours is
`run_model` and `judge_model`; bare DuckDB runs the rendered query over views of the files and copies it to Parquet.
Prints the medians of wall and CPU seconds and their ratio, and fails if a row differs.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS, prediction_column, truth_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.gates import blocking
from ukdsl_assets.logs.contract import DayOfLogs, candidate_log_dtypes
from ukdsl_assets.settings import PROJECT
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import judge_model
from ukdsl_assets.sql.model import read_models
from ukdsl_assets.sql.render import RenderedModel, render
from ukdsl_assets.sql.run import run_model

MOST_RATIO = 1.3
DAY = date(2026, 1, 1)
KNOWN_UNTIL = datetime(2026, 3, 8, 5, tzinfo=UTC)
# Candidates of a request that each stage scores, and that are shown.
SCORED, SHOWN = (300, 80, 24), 6
Files = dict[str, list[str]]
Values = Mapping[str, Any]


def main() -> None:
    """Run both sides of every model and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--requests", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5, help="counted rounds of each model")
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), chosen.requests, chosen.rounds, chosen.threads)


def compare(folder: Path, requests: int, rounds: int, threads: int) -> None:
    """Every table of the day in order, each by both sides before the next."""
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    files = write(folder, synthetic_day(cascade, requests))
    title = f"{requests:,} requests, {threads} threads, medians of {rounds} rounds"
    table = Table(
        "ours / bare DuckDB", "rows", "wall s", "CPU s", "ratio", title=title, box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    ratios = []
    for name, model, values in steps(cascade):
        outputs = [str(folder / f"{side}-{model.model.name}.parquet") for side in ("ours", "bare")]
        sides = [
            partial(way, model, files, values, output, threads)
            for way, output in zip((ours, bare), outputs, strict=True)
        ]
        wall, cpu = zip(*interleaved(sides, rounds), strict=True)
        produced, expected = (pl.read_parquet(output) for output in outputs)
        if not produced.equals(expected):
            raise SystemExit(f"{name}: the two sides' rows differ")
        files[model.model.table] = [outputs[0]]
        if model.model.name == "impressions":
            # As if the windows of delayed labels had closed.
            files[CLOSED_IMPRESSIONS] = files[model.model.table]
        ratio = cpu[0] / cpu[1]
        figures = [f"{mine:.2f} / {theirs:.2f}" for mine, theirs in (wall, cpu)]
        table.add_row(name, f"{produced.height:,}", *figures, f"{ratio:.2f}")
        if model.model.name == "teacher_augmented":
            ratios.append(ratio)
    console = Console()
    console.print(table)
    console.print(
        f"All rows equal. Asked for: CPU ratio of teacher_augmented at most {MOST_RATIO} "
        f"(seen {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
    )


def steps(cascade: Cascade) -> Iterator[tuple[str, RenderedModel, Values]]:
    """Name, query and values of each table, after those that it reads."""
    models = read_models(PROJECT / "dbt_like_sql")
    for name in ("impressions", "considerations", "stage_calibration"):
        yield (
            name,
            render(models[name], template_context(cascade)),
            parameters_for(cascade, DAY, known_until=KNOWN_UNTIL),
        )
    for student in cascade.students:
        teacher = cascade.teacher(student.teacher)
        labels = render(models["logged_teacher_labels"], template_context(cascade, teacher=teacher))
        yield f"{teacher.name}/teacher_labels", labels, parameters_for(cascade, DAY, teacher=teacher)
        augmented = render(models["teacher_augmented"], template_context(cascade, student))
        values = parameters_for(cascade, DAY, student, teacher_version="benchmark", teacher_shift=0.1)
        yield f"{student.name}/teacher_augmented", augmented, values


def ours(model: RenderedModel, files: Files, values: Values, output: str, threads: int) -> None:
    """The platform's way."""
    run_model(model, files, values, output, threads)
    if failed := blocking(judge_model(model, [output], values)):
        raise SystemExit(failed[0].message)


def bare(model: RenderedModel, files: Files, values: Values, output: str, threads: int) -> None:
    """What one would write without a runner."""
    with duckdb.connect(config={"threads": threads}) as connection:
        for table in model.depends_on:
            connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({files[table]})")
        bound = {name: values[name] for name in model.parameters}
        copy = f"COPY (\n{model.sql}\n) TO $output (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        connection.execute(copy, {**bound, "output": output})


def interleaved(sides: Sequence[Callable[[], None]], rounds: int) -> list[tuple[float, float]]:
    """Median wall and CPU seconds of each side; who goes first changes every round."""
    seconds: list[list[tuple[float, float]]] = [[] for _ in sides]
    for count in range(rounds + 1):
        for side in range(len(sides)) if count % 2 else reversed(range(len(sides))):
            wall, cpu = time.perf_counter(), time.process_time()
            sides[side]()
            seconds[side].append((time.perf_counter() - wall, time.process_time() - cpu))
    return [
        (statistics.median(wall for wall, _ in of_side[1:]), statistics.median(cpu for _, cpu in of_side[1:]))
        for of_side in seconds
    ]


def synthetic_day(cascade: Cascade, requests: int) -> DayOfLogs:
    """Random logs; the candidates that come first go deepest and are shown."""
    random = np.random.default_rng(1)
    rows = requests * SCORED[0]
    request, place = np.divmod(np.arange(rows), SCORED[0])
    depth = (place < SCORED[1]).astype(int) + (place < SCORED[2])
    microseconds = np.sort(random.integers(0, 86_400_000_000, requests)).astype("timedelta64[us]")
    columns: dict[str, Any] = {
        "request_id": request,
        "candidate_id": place,
        "requested_at": pl.Series(np.datetime64(DAY, "us") + microseconds)[request].dt.replace_time_zone("UTC"),
        "deepest_stage": np.array([stage.name for stage in cascade.stages])[depth],
        "bid": random.gamma(2, 1, rows),
        "shown": place < SHOWN,
        "explored": np.zeros(rows, dtype=bool),
        "propensity": pl.repeat(None, rows, eager=True),
        # No stage probes what it rejects.
        "probed": np.zeros(rows, dtype=bool),
        "probe_rate": pl.repeat(None, rows, eager=True),
    }
    # Column -> first stage that has it.
    first_stages = {
        prediction_column(s.name, t): s.name for s in cascade.stages for t in cascade.predictions_of(s.name)
    }
    truths = [truth_column(task.name) for task in cascade.tasks]
    columns |= {column: random.beta(1, 20, rows) for column in (*first_stages, *truths)}
    for feature in cascade.features:
        first_stages[feature.name] = feature.known_from or cascade.stages[0].name
        per = requests if feature.side == "request" else rows
        vector = random.standard_normal((per, feature.width or 1), dtype=np.float32)
        values = vector if feature.kind == "vector" else random.integers(0, 1000, per)
        columns[feature.name] = values[request] if feature.side == "request" else values
    log = pl.DataFrame(
        {name: pl.Series(columns[name]).cast(dtype) for name, dtype in candidate_log_dtypes(cascade).items()}
    )
    scored = pl.lit(pl.Series(depth))
    log = log.with_columns(
        pl.when(scored >= cascade.depth(stage)).then(name).alias(name) for name, stage in first_stages.items()
    )
    shown = log.filter("shown")
    events = [
        shown.sample(fraction=share, seed=1).select(
            "request_id",
            "candidate_id",
            pl.lit(event).alias("event"),
            pl.col("requested_at").dt.offset_by("9s").alias("occurred_at"),
            pl.lit(None, pl.Float32).alias("value"),
        )
        for event, share in (("impression", 1.0), ("click", 0.04), ("conversion", 0.004))
    ]
    return DayOfLogs(log, pl.concat(events).sort("request_id", "candidate_id", "occurred_at", "event"))


def write(folder: Path, logs: DayOfLogs) -> Files:
    """The logs as files, compressed as in the lake."""
    for table, frame in logs._asdict().items():
        frame.write_parquet(folder / f"{table}.parquet", compression="zstd")
    return {table: [str(folder / f"{table}.parquet")] for table in logs._fields}


if __name__ == "__main__":
    main()
