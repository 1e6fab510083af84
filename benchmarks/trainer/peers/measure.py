"""What all sides share: arguments, the clock, one line of JSON; and the table as the peers take it.

Run by the peers' interpreter beside their scripts too, so it imports nothing of this project.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING, HIDDEN, BATCH = 16, (256, 128, 64), 4096


@dataclass(frozen=True)
class Part:
    """Rows of the table by column: `columns` name -> float32 [rows], label float32 [rows]."""

    columns: dict[str, NDArray[np.float32]]
    label: NDArray[np.float32]


@dataclass(frozen=True)
class PeersTable:
    """Training and held-out rows, the number of ids of each id feature, the names of the numbers."""

    train: Part
    held_out: Part
    sizes: dict[str, int]
    numbers: list[str]


def arguments(description: str) -> argparse.Namespace:
    """--table, --threads, --learning-rate, --seed and (ours alone) --precision of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--table", type=Path, required=True, help="folder that make_table wrote")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="float32")
    return parser.parse_args()


def read_table(folder: Path) -> PeersTable:
    """The table of `folder`, by column.

    Both libraries join a row's columns to one array: ids that are float32 like the numbers keep that array from
    becoming float64, and no id is lost, for all are below 2 ** 24.
    """
    names = [f"C{feature}" for feature in range(len(np.load(folder / "sizes.npy")))]
    sizes = dict(zip(names, np.load(folder / "sizes.npy").tolist(), strict=True))
    numbers = [f"I{number}" for number in range(np.load(folder / "numbers.npy", mmap_mode="r").shape[1])]

    def part(prefix: str) -> Part:
        ids, values, label = (np.load(folder / f"{prefix}{name}.npy") for name in ("ids", "numbers", "label"))
        columns = dict(zip(names, np.ascontiguousarray(ids.T, dtype=np.float32), strict=True))
        return Part(columns | dict(zip(numbers, np.ascontiguousarray(values.T), strict=True)), label)

    return PeersTable(part(""), part("held_out_"), sizes, numbers)


def measure_and_print(
    trainer: str,
    rows: int,
    train: Callable[[], Any],
    predict: Callable[[], NDArray[Any]],
    label: NDArray[np.float32],
) -> None:
    """Time `train` on `rows` rows alone, then print the JSON line with the held-out log loss of `predict`.

    What a library prints meanwhile goes to standard error.
    """
    with contextlib.redirect_stdout(sys.stderr):
        wall, cpu = time.perf_counter(), time.process_time()
        train()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        prediction = np.clip(predict().reshape(-1).astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.mean(label * np.log(prediction) + (1 - label) * np.log1p(-prediction))
    print(json.dumps({"trainer": trainer, "rows": rows, "cpu": cpu, "wall": wall, "log_loss": float(loss)}))
