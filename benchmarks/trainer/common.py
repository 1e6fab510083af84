"""What every side of the benchmark does around its training; NumPy alone, for the peers' environment has no more."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCH, WIDTH, HIDDEN = 4096, 16, (256, 128, 64)


def arguments() -> argparse.Namespace:
    """Table, threads and seed of one measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--held-out", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    return parser.parse_args()


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, numbers and labels of all rows, the held-out ones last."""
    ids, numbers, label = (np.load(folder / f"{name}.npy") for name in ("ids", "numbers", "label"))
    return ids, numbers, label


def measure(
    name: str, rows: int, train: Callable[[], object], held_out: Callable[[], np.ndarray], y: np.ndarray
) -> None:
    """Time the training alone and print one line of JSON with it and the log loss on held-out rows."""
    wall, cpu = time.perf_counter(), time.process_time()
    train()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    p = np.clip(held_out().astype(np.float64).ravel(), 1e-7, 1 - 1e-7)
    loss = float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))
    print(json.dumps({"trainer": name, "rows": rows, "cpu": cpu, "wall": wall, "log_loss": loss}))
