"""Our DeepFM on the benchmark's table, run by the project's interpreter.

python -m benchmarks.trainer.ours --table FOLDER --precision float32
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.trainer.peers.measure import BATCH, EMBEDDING, HIDDEN, arguments, measure_and_print
from ukdsl_assets.declaration.architectures import DeepFmArchitecture
from ukdsl_assets.learning.features.encoding import EncodedRows, EncodedSide, grow
from ukdsl_assets.learning.networks.build import build_network, table_width
from ukdsl_assets.learning.networks.inputs import Side
from ukdsl_assets.learning.networks.model import Model, predict_network
from ukdsl_assets.learning.training.shards import PlannedShard, Shard, Targets
from ukdsl_assets.learning.training.trainer import train


def read(folder: Path, prefix: str = "") -> tuple[EncodedRows, NDArray[np.float32]]:
    """Rows that are a request each, with all features on the candidate's side, and their labels."""
    sizes = np.load(folder / "sizes.npy")
    ids = np.load(folder / f"{prefix}ids.npy") + np.append(0, sizes.cumsum()[:-1])
    numbers, label = (np.load(folder / f"{prefix}{name}.npy") for name in ("numbers", "label"))
    none = EncodedSide(np.empty((len(ids), 0), np.int32), np.empty((len(ids), 0), np.float32))
    return EncodedRows(none, EncodedSide(ids.astype(np.int32), numbers), np.arange(len(ids) + 1)), label


def fresh_model(ids: int, features: int, numbers: int, seed: int) -> Model:
    """A DeepFM before its first step."""
    architecture = DeepFmArchitecture(kind="deepfm", embedding=EMBEDDING, hidden=HIDDEN)
    network = build_network(architecture, Side(0, 0), Side(features, numbers), 1, 0.1, seed)
    none = np.empty((0, table_width(architecture)), np.float32)
    return Model(torch.from_numpy(grow(none, ids, seed, spread=0.01)), network)


def planned(rows: EncodedRows, label: NDArray[np.float32], count: int) -> PlannedShard:
    """The first `count` rows as one shard."""
    ones = np.ones(count, np.float32)
    side = EncodedSide(rows.candidate.ids[:count], rows.candidate.numbers[:count])
    none = EncodedSide(rows.request.ids[:count], rows.request.numbers[:count])
    targets = Targets(label[:count, None], ones[:, None] / np.float32(count), ones)
    shard = Shard(EncodedRows(none, side, rows.offsets[: count + 1]), targets)
    return PlannedShard(lambda: shard, -(-count // BATCH))


def main() -> None:
    """Train one epoch, predict the held-out rows, print."""
    chosen = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(chosen.threads)
    rows, label = read(chosen.table)
    held_out, held_label = read(chosen.table, "held_out_")
    (count, features), numbers = rows.candidate.ids.shape, rows.candidate.numbers.shape[1]
    ids = int(np.load(chosen.table / "sizes.npy").sum())
    # Two batches on a model that is thrown away load the kernels, which are compiled once and cached.
    train(fresh_model(ids, features, numbers, 0), [planned(rows, label, 2 * BATCH)], 1, 1e-3, 0, chosen.precision)
    model = fresh_model(ids, features, numbers, chosen.seed)
    shard = planned(rows, label, count)
    measure_and_print(
        f"ours, {chosen.precision}",
        count,
        lambda: train(model, [shard], 1, chosen.learning_rate, chosen.seed, chosen.precision),
        lambda: predict_network(model, held_out, 1),
        held_label,
    )


if __name__ == "__main__":
    main()
