"""Teachers: training several tasks against one on the same trunk, and scoring rows against the bare model's floor.

    python -m benchmarks.teachers [--rows 240000] [--repeats 5]

Training: rows per CPU second of the shipped foundation network with both tasks and with one, and of the shipped student
with and without the teacher's tasks; the aim is a ratio of at least 0.7. Scoring: rows per CPU second from a frame to
its labels, for the shipped network and for trees, beside a floor: the same model on arrays that are ready (the
network's matrix products alone, LightGBM's own predict). One thread for the models, CPU time of all threads; sides take
turns; a rate is the best of the repeats, a ratio the median over the turns.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from rich.console import Console
from rich.table import Table

from ukdsl_assets.declaration.architectures import MmoeArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher, TrainedTeacher
from ukdsl_assets.learning.features.matrix import booster_of, feature_matrix
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers import foundation
from ukdsl_assets.learning.teachers import trees as teachers

ROWS_A_REQUEST = 24
LEAST_RATIO, NETWORK_AIM, TREES_AIM = 0.7, 300_000, 1_000_000
# Ids of each feature, as many as the simulated world has in a long window.
IDS = {"ad": 5_700, "advertiser": 400, "category": 40, "user_segment": 64, "country": 20, "age_group": 8, "hour": 24}


def main() -> None:
    """Measure all sides and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=240_000, help="rows trained on and scored")
    arguments.add_argument("--repeats", type=int, default=5)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_last_stage.yaml")
    rows = frame(cascade, chosen.rows)
    show_training(cascade, rows, chosen.repeats)
    show_scoring(cascade, rows, chosen.repeats)


def frame(cascade: Cascade, rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows with all features of the cascade, both labels, and clicks that depend on the ad and on a signal."""
    rng = np.random.default_rng(seed)
    requests = rows // ROWS_A_REQUEST
    rows = requests * ROWS_A_REQUEST
    request = np.repeat(np.arange(requests), ROWS_A_REQUEST)
    columns: dict[str, Any] = {}
    for feature in cascade.features:
        count = requests if feature.side == "request" else rows
        if feature.kind == "categorical":
            # Squared, so that some ids are much more frequent than others.
            values = (rng.random(count) ** 2 * IDS.get(feature.name, 6)).astype(np.int64)
            dtype: Any = pl.Int64
        else:
            values, dtype = (
                rng.normal(size=(count, feature.width or 1)).astype(np.float32),
                pl.Array(pl.Float32, feature.width or 1),
            )
        columns[feature.name] = pl.Series(values[request] if feature.side == "request" else values, dtype=dtype)
    logit = -3 + rng.normal(size=IDS["ad"])[columns["ad"].to_numpy()] + 0.5 * columns["pair_signals"].to_numpy()[:, 0]
    click = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    conversion = pl.Series(np.where(click == 1, rng.random(rows) < 0.2, np.nan).astype(np.float32)).fill_nan(None)
    keys = {"request_id": request, "candidate_id": np.arange(rows)}
    return pl.DataFrame({**keys, **columns, "click": click, "conversion": conversion})


def show_training(cascade: Cascade, rows: pl.DataFrame, repeats: int) -> None:
    """Rows per CPU second of training with more tasks against fewer."""
    declared = cascade.teacher("foundation")
    assert declared.kind == "foundation"
    teacher = declared.model_copy(update={"epochs": 1})
    one_task = cascade.model_copy(update={"tasks": cascade.tasks[:1]})
    gated = teacher.model_copy(update={"architecture": MmoeArchitecture(kind="mmoe")})
    tasked = cascade.student("ranking_click")
    alone = tasked.model_copy(update={"heads": ("impression",)})
    augmented = rows.with_columns(
        domain=pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("IMP")).otherwise(pl.lit("CD")),
        target=pl.col("click") * 0.5,
        weight=pl.lit(1.0, pl.Float32),
    )
    sides = {
        "shared bottom, 2 tasks": lambda: trained_teacher(cascade, teacher, rows),
        "shared bottom, 1 task": lambda: trained_teacher(one_task, teacher, rows),
        "experts (mmoe), 2 tasks": lambda: trained_teacher(cascade, gated, rows),
        "experts (mmoe), 1 task": lambda: trained_teacher(one_task, gated, rows),
        "student, main + dependent + auxiliary": lambda: fit_student(
            Training.of(cascade, tasked, "distilled", augmented)
        ),
        "student, main alone on the same rows": lambda: fit_student(
            Training.of(cascade, alone, "distilled", augmented)
        ),
    }
    seconds = seconds_of(sides, repeats)
    table = Table(
        "training",
        "rows per CPU second",
        "against fewer tasks",
        title=f"{len(rows):,} rows, one epoch, read, encoded and trained",
    )
    names = list(sides)
    for more, fewer in zip(names[::2], names[1::2], strict=True):
        ratio = float(np.median(seconds[fewer] / seconds[more]))
        verdict = "" if ratio >= LEAST_RATIO else f", below {LEAST_RATIO}"
        table.add_row(more, f"{len(rows) / seconds[more].min():,.0f}", f"{ratio:.2f}{verdict}")
        table.add_row(fewer, f"{len(rows) / seconds[fewer].min():,.0f}", "")
    Console().print(table)


def trained_teacher(cascade: Cascade, teacher: FoundationTeacher, rows: pl.DataFrame) -> foundation.FittedFoundation:
    """The teacher after its training."""
    return foundation.fit_foundation(cascade, teacher, [lambda: rows])


def show_scoring(cascade: Cascade, rows: pl.DataFrame, repeats: int) -> None:
    """Rows per CPU second from frame to labels, and of the bare models."""
    shipped = cascade.teacher("foundation")
    assert shipped.kind == "foundation"
    network = trained_teacher(cascade, shipped.model_copy(update={"epochs": 1}), rows)
    declared = TrainedTeacher(name="trees", kind="trained", stage="ranking")
    trees = teachers.fit_teacher(cascade, declared, rows, threads=1)
    matrix, _, _ = feature_matrix(trees.features, trees.codes, rows, trees.means)
    boosters = [booster_of(text) for text in trees.models.values()]
    products = matrix_products(network)
    sides: dict[str, Callable[[], object]] = {
        "network": lambda: foundation.predict_foundation(network, rows, threads=1),
        "network's matrix products alone": lambda: products(len(rows)),
        "trees": lambda: teachers.predict_teacher(trees, rows, threads=1),
        "trees on a ready matrix": lambda: [booster.predict(matrix, num_threads=1) for booster in boosters],
    }
    rates = {name: len(rows) / seconds.min() for name, seconds in seconds_of(sides, repeats).items()}
    sizes = {
        "network": f"{network.figures['parameters']:,} parameters, 2 tasks",
        "trees": ", ".join(
            f"{booster.num_trees()} trees for {task}" for task, booster in zip(trees.models, boosters, strict=True)
        ),
    }
    aims = {"network": NETWORK_AIM, "trees": TREES_AIM}
    table = Table("scoring", "size", "rows per CPU second", "aim", title=f"{len(rows):,} rows, one thread")
    for name, rate in rates.items():
        aim = aims.get(name)
        verdict = "" if aim is None else f"{aim:,}: {'reached' if rate >= aim else 'not reached'}"
        table.add_row(name, sizes.get(name, "floor"), f"{rate:,.0f}", verdict)
    Console().print(table)


def matrix_products(fitted: foundation.FittedFoundation, batch: int = 16_384) -> Callable[[int], None]:
    """What multiplies arrays of ones with every weight of the network, batch by batch, for so many rows."""
    weights = [
        torch.from_numpy(np.array(v)) for n, v in fitted.tensors.items() if v.ndim == 2 and n != foundation.EMBEDDING
    ]
    inputs = [torch.ones(batch, weight.shape[1]) for weight in weights]

    def multiply(rows: int) -> None:
        with torch.inference_mode():
            for first in range(0, rows, batch):
                for weight, ones in zip(weights, inputs, strict=True):
                    torch.nn.functional.linear(ones[: rows - first], weight)

    return multiply


def seconds_of(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """CPU seconds of each side, float64 [repeats], taken in turn after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, side in sides.items():
            started = time.process_time()
            side()
            seconds[name].append(time.process_time() - started)
    return {name: np.array(of_repeats[1:]) for name, of_repeats in seconds.items()}


if __name__ == "__main__":
    main()
