"""Teachers: training several tasks against one on the same trunk, and scoring rows against the bare model's floor.

    python -m benchmarks.teachers [--rows 240000] [--large 1000000] [--repeats 5] [--trees-alone]

Training: rows per CPU second of the shipped foundation network with both tasks and with one, and of the shipped student
with and without the teacher's tasks; the aim is a ratio of at least 0.7. Scoring: rows per CPU second from a frame to
its labels, for the shipped network and for trees, beside a floor: the same model on arrays that are ready (the
network's matrix products alone, LightGBM's own predict). Trees: 200 of 31 leaves, by the kernel and by LightGBM on the
same rows, whose sums must have the same bits; the aim is a ratio of at least 4, with all that the kernel's side needs:
reading the model anew, columns of the frame, codes. One thread for the models, CPU time of all threads; sides take
turns; a rate is the best of the repeats, a ratio the median over the turns.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import torch
from rich.console import Console
from rich.table import Table

from ukdsl_assets.declaration.architectures import MmoeArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.teachers import FoundationTeacher, TrainedTeacher
from ukdsl_assets.learning.features.matrix import feature_columns, feature_matrix, frequent_ids
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers import foundation
from ukdsl_assets.learning.teachers import trees as teachers
from ukdsl_assets.learning.trees.predict import Scorer

ROWS_A_REQUEST = 24
TREES, LEAVES, TREES_RATIO = 200, 31, 4
LEAST_RATIO, NETWORK_AIM, TREES_AIM = 0.7, 300_000, 1_000_000
# Ids of each feature, as many as the simulated world has in a long window.
IDS = {"ad": 5_700, "advertiser": 400, "category": 40, "user_segment": 64, "country": 20, "age_group": 8, "hour": 24}


def main() -> None:
    """Measure all sides and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=240_000, help="rows trained on and scored")
    arguments.add_argument("--large", type=int, default=1_000_000, help="rows that large trees score")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--trees-alone", action="store_true", help="no networks: the last table alone")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_last_stage.yaml")
    rows = frame(cascade, chosen.rows)
    if not chosen.trees_alone:
        show_training(cascade, rows, chosen.repeats)
        show_scoring(cascade, rows, chosen.repeats)
    show_trees(cascade, rows, chosen.large, chosen.repeats)


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
    boosters = [lightgbm.Booster(model_str=text) for text in trees.models.values()]
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


def show_trees(cascade: Cascade, rows: pl.DataFrame, large: int, repeats: int) -> None:
    """Rows per CPU second of 200 trees with and without ids, by the kernel and by LightGBM, on few rows and on many."""
    numbers = tuple(each for each in cascade.features_known_at("ranking") if each.kind != "categorical")
    table = Table(
        "trees",
        "rows",
        "LightGBM",
        "kernel",
        "ratio",
        "from a frame",
        "ratio",
        title=f"rows per CPU second, {TREES} trees of {LEAVES} leaves",
    )
    for kind, features in (("with ids", cascade.features_known_at("ranking")), ("numbers", numbers)):
        codes = {each.name: frequent_ids(rows[each.name], 20) for each in features if each.kind == "categorical"}
        matrix, names, ids = feature_matrix(features, codes, rows)
        # Without early stopping, so that all trees are there.
        booster = lightgbm.train(
            {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "num_threads": 1, "cat_smooth": 20},
            lightgbm.Dataset(matrix, rows["click"].to_numpy(), feature_name=names, categorical_feature=ids),
            num_boost_round=TREES,
        )
        for count in (len(rows) // 10, large):
            asked = pl.concat([rows] * -(-count // len(rows))).head(count)
            table.add_row(kind, f"{count:,}", *of_trees(booster, features, codes, asked, repeats))
    Console().print(table)


def of_trees(
    booster: lightgbm.Booster,
    features: tuple[Feature, ...],
    codes: dict[str, pl.Series],
    asked: pl.DataFrame,
    repeats: int,
) -> tuple[str, ...]:
    """Cells of the table: both sides' rates and their ratio on a ready matrix, and from the frame and the model."""
    text = booster.model_to_string()
    matrix, _, _ = feature_matrix(features, codes, asked)
    scorer = Scorer.of(text)
    if not np.array_equal(scorer.sums(list(matrix.T)), booster.predict(matrix, raw_score=True, num_threads=1)):
        raise SystemExit("the kernel's sums are not LightGBM's")
    sides: dict[str, Callable[[], object]] = {
        "lightgbm": lambda: booster.predict(matrix, num_threads=1),
        "kernel": lambda: scorer.predict(list(matrix.T)),
        "lightgbm, frame": lambda: lightgbm.Booster(model_str=text).predict(
            feature_matrix(features, codes, asked)[0], num_threads=1
        ),
        "kernel, frame": lambda: Scorer.of(text).predict(feature_columns(features, codes, asked)[0]),
    }
    seconds = seconds_of(sides, repeats)
    rate = {name: f"{len(asked) / np.median(each):,.0f}" for name, each in seconds.items()}
    ratio = [float(np.median(seconds[f"lightgbm{where}"] / seconds[f"kernel{where}"])) for where in ("", ", frame")]
    verdict = "" if ratio[0] >= TREES_RATIO else f", below {TREES_RATIO}"
    return rate["lightgbm"], rate["kernel"], f"{ratio[0]:.1f}{verdict}", rate["kernel, frame"], f"{ratio[1]:.1f}"


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
