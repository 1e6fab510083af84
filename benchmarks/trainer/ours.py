"""Our DeepFM on the benchmark's table."""

import numpy as np
import torch

from benchmarks.trainer.common import BATCH, HIDDEN, WIDTH, arguments, measure, read
from ukdsl_assets.architectures import DeepFmArchitecture
from ukdsl_assets.learning.encoding import EncodedRows, EncodedSide
from ukdsl_assets.learning.networks.build import build_network, table_width
from ukdsl_assets.learning.networks.inputs import Side
from ukdsl_assets.learning.trainer import Model, PlannedShard, Shard, Targets, predict, train


def encoded(ids: np.ndarray, numbers: np.ndarray) -> EncodedRows:
    """Rows that are a request each, with all features on the candidate's side."""
    none = EncodedSide(np.empty((len(ids), 0), np.int32), np.empty((len(ids), 0), np.float32))
    return EncodedRows(none, EncodedSide(ids, numbers), np.arange(len(ids) + 1))


def main() -> None:
    """Train one epoch and print what it took."""
    given = arguments()
    torch.set_num_threads(given.threads)
    ids, numbers, label = read(given.table)
    rows = len(ids) - given.held_out
    sizes = ids.max(axis=0) + 1
    ids = (ids + np.append(0, sizes.cumsum()[:-1])).astype(np.int32)
    architecture = DeepFmArchitecture(kind="deepfm", embedding=WIDTH, hidden=HIDDEN)
    network = build_network(architecture, Side(0, 0), Side(ids.shape[1], numbers.shape[1]), 1, 0.1, given.seed)
    generator = torch.Generator().manual_seed(given.seed)
    table = torch.randn(int(sizes.sum()), table_width(architecture), generator=generator) * 0.01
    model = Model(table.clone(), network)
    ones = np.ones(rows, np.float32)
    shard = Shard(encoded(ids[:rows], numbers[:rows]), Targets(label[:rows, None], ones[:, None] / rows, ones))
    # Two batches on a model that is thrown away compile the kernel, which is cached from then on.
    few = slice(0, 2 * BATCH)
    spare = build_network(architecture, Side(0, 0), Side(ids.shape[1], numbers.shape[1]), 1, 0.1, given.seed)
    part = Shard(
        encoded(ids[few], numbers[few]),
        Targets(label[few, None], ones[few, None] / rows, ones[few]),
    )
    train(Model(table.clone(), spare), [PlannedShard(lambda: part, 2)], 1, 1e-3, 0, given.precision)
    planned = [PlannedShard(lambda: shard, -(-rows // BATCH))]
    measure(
        f"ours, {given.precision}",
        rows,
        lambda: train(model, planned, 1, given.learning_rate, given.seed, given.precision),
        lambda: predict(model, encoded(ids[rows:], numbers[rows:]), 1),
        label[rows:],
    )


if __name__ == "__main__":
    main()
