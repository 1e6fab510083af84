"""Exact permutation importance by the kernels beside scikit-learn's `permutation_importance` on the same model.

    python -m benchmarks.importance [--rows 100000 1000000] [--features 4] [--rounds 2] [--threads 1]

100 features: 100 numbers, or 60 numbers and 40 ids, with labels that depend on most of them; LightGBM of 200 trees of
31 leaves, and a network 700-128-64-1 (ids embedded in 16), both trained on 100,000 other rows. One repeat. Both sides
begin with the encoded features; ours ends with scores and standard errors of all 100. scikit-learn would take hours: it
is run on `--features` of the 100, and its seconds are extrapolated linearly, one prediction a feature and one without.
Its predictions are LightGBM's, and of the network those of plain PyTorch modules in batches that stay in the cache.
Once more they are this project's own, which have no part in what is asked.
The sides take turns; shown are each side's fewest CPU seconds, the largest difference of a score on the features and
permutations that scikit-learn drew, and the peak memory of a process of its own that does nothing but our side.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file, save_file
from sklearn.inspection import permutation_importance
from sklearn.utils import check_random_state

from ukdsl_assets.declaration.architectures import Architecture, LightGbmArchitecture, MlpArchitecture
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.learning.features.encoding import EMBEDDING
from ukdsl_assets.learning.metrics.calibration import normalized_entropy
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.student import FittedStudent, as_checkpoint, from_checkpoint
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.students.trees import matrix_columns, text_of_head
from ukdsl_assets.selection.importance.any_predictor import Columns
from ukdsl_assets.selection.importance.importance import Importance, as_importance, student_importance
from ukdsl_assets.selection.importance.sample import sample_of
from ukdsl_assets.selection.importance.student_backends import student_changes
from ukdsl_assets.selection.importance.student_columns import RowFeatures, row_features, row_predictor

# Columns that are permuted, [rows, 1] each -> predictions [rows] with these in place of their own.
Predict = Callable[[Columns], NDArray[Any]]
HEAD = "impression"
TRAINING_ROWS, VOCABULARY, SEED = 100_000, 500, 11
# As fast as 1,024 and 4,096 rows; 16,384 took half as long again, all rows at once twice as long.
TORCH_BATCH = 2048
TREES = LightGbmArchitecture(kind="lightgbm", trees=200, leaves=31)
NETWORK = MlpArchitecture(kind="mlp", embedding=16, hidden=(128, 64))
# Name -> architecture, ids among the 100 features, and how many times faster than scikit-learn is asked for.
MODELS: dict[str, tuple[Architecture, int, int]] = {
    "LightGBM 200 x 31, 100 numbers": (TREES, 0, 150),
    "LightGBM 200 x 31, 60 numbers, 40 ids": (TREES, 40, 110),
    "network 700-128-64-1": (NETWORK, 40, 20),
}


def main() -> None:
    """Train each model once and measure both sides at each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--features", type=int, default=4, help="features that scikit-learn permutes")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side")
    parser.add_argument("--threads", type=int, default=1, help="of both sides")
    parser.add_argument("--only-ours", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only_ours:
        only_ours(chosen.only_ours, chosen.threads)
        return
    title = f"CPU seconds, {chosen.threads} thread, one repeat, the fewest of {chosen.rounds} rounds"
    sides = ("ours", "scikit-learn", "times faster", "asked", "on our predictions", "times faster")
    table = Table("model", "rows", *sides, "largest difference", "our peak MB", title=title, box=box.SIMPLE)
    for name, (_, ids, aim) in MODELS.items():
        student = trained_student(name)
        for rows in chosen.rows:
            measured = compare(student, world(rows, ids, seed=2), chosen.features, chosen.rounds, chosen.threads)
            table.add_row(name, f"{rows:,}", *measured.texts(aim))
            print(f"{name}, {rows:,} rows: {measured}", flush=True)
    Console(width=160).print(table)
    print(
        f"scikit-learn's seconds are of {chosen.features} of 100 features, times 101 / {chosen.features + 1}; "
        "NE on soft labels, weighted, is the metric of both."
    )


def candidate_features(ids: int) -> tuple[Feature, ...]:
    """100 features of the candidate, the first ones ids."""
    kinds = ["categorical"] * ids + ["numeric"] * (100 - ids)
    return tuple(
        Feature.model_validate({"name": f"{kind}_{place:02}", "kind": kind, "side": "candidate"})
        for place, kind in enumerate(kinds)
    )


def world(rows: int, ids: int, seed: int) -> pl.DataFrame:
    """Rows of `teacher_augmented`: soft labels from effects of ids, slopes, and products of neighbouring numbers."""
    random, effects = np.random.default_rng(seed), np.random.default_rng(SEED)
    logit = np.full(rows, -1.0, np.float32)
    columns: dict[str, NDArray[Any]] = {}
    before = np.zeros(rows, np.float32)
    for place, feature in enumerate(candidate_features(ids)):
        strength = 0.4 * effects.exponential() if place % 3 else 0.0
        if feature.kind == "categorical":
            column: NDArray[Any] = random.integers(0, VOCABULARY, rows)
            logit += strength * effects.normal(size=VOCABULARY).astype(np.float32)[column]
        else:
            column = random.standard_normal(rows, dtype=np.float32)
            logit += np.float32(strength) * (column + column * before) * np.float32(0.7)
            before = column
        columns[feature.name] = column
    soft = (1 / (1 + np.exp(-logit - random.standard_normal(rows, dtype=np.float32)))).astype(np.float32)
    weight = random.exponential(size=rows).astype(np.float32)
    return pl.DataFrame(
        {"request_id": np.arange(rows), "candidate_id": np.zeros(rows, np.int64), **columns}
    ).with_columns(target=pl.Series(soft), weight=pl.Series(weight), domain=pl.lit("IMP"))


def trained_student(name: str) -> FittedStudent:
    """A student of the given kind on rows that are not measured."""
    architecture, ids, _ = MODELS[name]
    shipped = read_cascade(SHIPPED / "simulated_ads.yaml")
    cascade: Cascade = shipped.model_copy(update={"features": candidate_features(ids)})
    student: Student = shipped.students[-1].model_copy(
        update={
            "architecture": architecture,
            "features": "all",
            "heads": (HEAD,),
            "requests_per_batch": 512,
            "learning_rate": 0.1 if architecture.kind == "lightgbm" else 2e-3,
            "epochs": 2,
        }
    )
    return fit_student(Training.of(cascade, student, "baseline", world(TRAINING_ROWS, ids, seed=1))).student


class Measured:
    """Figures of one model and size."""

    def __init__(self, ours: float, theirs: float, on_ours: float, difference: float, megabytes: float) -> None:
        self.ours, self.theirs, self.on_ours = ours, theirs, on_ours
        self.difference, self.megabytes = difference, megabytes

    def texts(self, aim: int) -> list[str]:
        ratio = self.theirs / self.ours
        return [
            f"{self.ours:.2f}",
            f"{self.theirs:.1f}",
            f"{ratio:.0f}",
            f"{aim}: {'met' if ratio >= aim else 'missed'}",
            f"{self.on_ours:.1f}",
            f"{self.on_ours / self.ours:.0f}",
            f"{self.difference:.1e}",
            f"{self.megabytes:,.0f}",
        ]

    def __str__(self) -> str:
        return f"ours {self.ours:.2f} s, scikit-learn {self.theirs:.1f} s, {self.megabytes:,.0f} MB"


def compare(fitted: FittedStudent, frame: pl.DataFrame, count: int, rounds: int, threads: int) -> Measured:
    """Both sides in turn; the features that scikit-learn permutes are spread over all."""
    every = {feature.name: [feature.name] for feature in fitted.encoder.features}
    chosen = {name: every[name] for name in list(every)[:: len(every) // count][:count]}
    features = row_features(fitted.encoder, frame)
    target, weight = (frame[name].to_numpy() for name in ("target", "weight"))
    theirs_by = by_torch if fitted.text is None else by_lightgbm
    predictors = {"ours": by_us(fitted, features.columns, threads), "theirs": theirs_by(fitted, features, threads)}
    models = {side: Permutable(list(chosen), predict) for side, predict in predictors.items()}
    # Loads what is compiled or allocated once on either side.
    student_importance(fitted, frame[:1000], every, head=HEAD, threads=threads, log=print)
    ours: list[float] = []
    theirs: dict[str, list[float]] = {side: [] for side in models}

    def mine() -> Importance:
        sample = sample_of(target, weight, features.request, repeats=1, seed=0)
        return as_importance(every, sample, *student_changes(fitted, features, every, HEAD, sample, threads, print))

    for _ in range(rounds):
        ours.append(seconds(mine)[0])
        for side, model in models.items():
            used, importance = seconds(partial(model.importance, features.columns, target, weight))
            theirs[side].append(used * (len(every) + 1) / (count + 1))
    # scikit-learn seeds a generator for all columns and shuffles the order of the rows with it.
    order = np.arange(len(frame))
    check_random_state(check_random_state(SEED).randint(np.iinfo(np.int32).max + 1)).shuffle(order)
    sample = sample_of(target, weight, features.request, repeats=1, seed=0)
    sample = replace(sample, donors=order.astype(np.int32)[None])
    same = as_importance(chosen, sample, *student_changes(fitted, features, chosen, HEAD, sample, threads, None))
    difference = float(np.abs(same.per_repeat - importance.importances).max())
    return Measured(min(ours), min(theirs["theirs"]), min(theirs["ours"]), difference, peak(fitted, frame, threads))


def by_us(fitted: FittedStudent, columns: Columns, threads: int) -> Predict:
    """Our predictions with some columns permuted."""
    predicted = row_predictor(fitted, HEAD, threads)
    return lambda permuted: predicted({**columns, **permuted})


def by_lightgbm(fitted: FittedStudent, features: RowFeatures, threads: int) -> Predict:
    """LightGBM's predictions of one matrix, in which the permuted columns are written anew each time."""
    import lightgbm

    assert fitted.text is not None
    booster = lightgbm.Booster(model_str=text_of_head(fitted.text, fitted.head_index(HEAD)))
    matrix = np.stack(list(matrix_columns(features.ids, features.numbers)), axis=1)
    # Unknown ids would be NaN, in a permuted column as in the others.
    assert not np.isnan(matrix).any(), "every id was trained on"
    place = {name: number for number, name in enumerate(features.columns)}

    def predicted(permuted: Columns) -> NDArray[Any]:
        for name, column in permuted.items():
            matrix[:, place[name]] = column[:, 0]
        return np.asarray(booster.predict(matrix, num_threads=threads))

    return predicted


def by_torch(fitted: FittedStudent, features: RowFeatures, threads: int) -> Predict:
    """The network's predictions by PyTorch's modules; permuted columns are written into its arrays each time."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    names = ["deep.first", *(f"deep.rest.{layer}" for layer in range(len(NETWORK.hidden) - 1)), "heads"]
    modules: list[nn.Module] = []
    for name in names:
        weight = fitted.tensors["deep.first.candidate" if name == "deep.first" else f"{name}.weight"]
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        given = {"weight": weight, "bias": fitted.tensors[f"{name}.bias"]}
        linear.load_state_dict({of: torch.from_numpy(value) for of, value in given.items()})
        modules += [linear, nn.ReLU()]
    deep = nn.Sequential(*modules[:-1])
    embedding = nn.Embedding.from_pretrained(torch.from_numpy(fitted.tensors[EMBEDDING]))
    arrays: dict[str, NDArray[Any]] = {"ids": features.ids.astype(np.int64), "numbers": features.numbers.copy()}
    ids, numbers = (torch.from_numpy(arrays[of]).split(TORCH_BATCH) for of in ("ids", "numbers"))

    @torch.inference_mode()
    def predicted(permuted: Columns) -> NDArray[Any]:
        for name, column in permuted.items():
            of, first, last = features.places[name]
            arrays[of][:, first:last] = column
        batches = zip(ids, numbers, strict=True)
        logits = [deep(torch.cat([embedding(named).flatten(1), some], dim=1)) for named, some in batches]
        return torch.cat(logits).sigmoid()[:, 0].numpy()

    return predicted


class Permutable:
    """The student as an estimator of a matrix of its permuted features; the others stand beside it."""

    def __init__(self, names: list[str], predicted: Predict) -> None:
        self.names, self.predicted = names, predicted
        self.columns: dict[str, NDArray[Any]] = {}

    def fit(self, matrix: NDArray[Any], target: NDArray[Any]) -> "Permutable":
        return self

    def score(self, matrix: NDArray[Any], target: NDArray[Any], sample_weight: NDArray[Any]) -> float:
        permuted = {name: matrix[:, [place]].astype(self.columns[name].dtype) for place, name in enumerate(self.names)}
        return -normalized_entropy(self.predicted(permuted), target, sample_weight)

    def importance(self, columns: Any, target: NDArray[Any], weight: NDArray[Any]) -> Any:
        self.columns = dict(columns)
        matrix = np.concatenate([columns[name].astype(np.float32) for name in self.names], axis=1)
        return permutation_importance(
            self, matrix, target, n_repeats=1, random_state=SEED, n_jobs=None, sample_weight=weight
        )


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads, and what the work returned."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def peak(fitted: FittedStudent, frame: pl.DataFrame, threads: int) -> float:
    """Peak resident MB of a new process that reads the rows and does our side."""
    with tempfile.TemporaryDirectory() as folder:
        frame.write_parquet(Path(folder) / "rows.parquet")
        save_file(dict(fitted.tensors), Path(folder) / "tensors.safetensors")
        (Path(folder) / "student.json").write_text(
            json.dumps([as_checkpoint(fitted), fitted.text], default=pl.Series.to_list)
        )
        command = [sys.executable, "-m", "benchmarks.importance", "--only-ours", folder, "--threads", str(threads)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def only_ours(folder: Path, threads: int) -> None:
    """Print the peak of this process."""
    content, text = json.loads((folder / "student.json").read_text())
    fitted = from_checkpoint(content, load_file(folder / "tensors.safetensors"), text)
    every = {feature.name: [feature.name] for feature in fitted.encoder.features}
    student_importance(fitted, pl.read_parquet(folder / "rows.parquet"), every, head=HEAD, threads=threads)
    # Not getrusage: its figure begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


if __name__ == "__main__":
    main()
