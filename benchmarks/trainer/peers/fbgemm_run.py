"""FBGEMM's table-batched embeddings, which TorchRec trains with, in a plain PyTorch DeepFM on the benchmark's table.

    python fbgemm_run.py --table FOLDER --threads 1 --learning-rate 0.004 --seed 0

All ids are one operator on the CPU with exact row-wise Adagrad inside, the network has Adam at the rate that is given.
The tables' is three times that, both falling linearly to 0: of the ratios 2 to 30 it had the best log loss.
Its tables hold 16 numbers of an id and 4 for its linear part, of which one is used: widths are multiples of 4.
"""

from itertools import pairwise

import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    SplitTableBatchedEmbeddingBagsCodegen,
)
from measure import BATCH, EMBEDDING, HIDDEN, arguments, measure_and_print
from numpy.typing import NDArray
from torch import nn

LINEAR, OF_TABLES = 4, 3.0


class DeepFm(nn.Module):
    """Linear part, factorization machine and network of the same ids and numbers."""

    def __init__(self, sizes: list[int], numbers: int) -> None:
        super().__init__()
        self.ids = SplitTableBatchedEmbeddingBagsCodegen(
            [(size, EMBEDDING + LINEAR, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in sizes],
            optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            learning_rate=0.0,
            eps=1e-8,
        )
        self.ids.init_embedding_weights_uniform(-0.01, 0.01)
        widths = [len(sizes) * EMBEDDING + numbers, *HIDDEN]
        layers = [part for one, other in pairwise(widths) for part in (nn.Linear(one, other), nn.ReLU())]
        self.network = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], 1))
        self.numbers = nn.Linear(numbers, 1)

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Logits [rows]; ids: int64 [features * rows], feature by feature."""
        table = self.ids(ids, offsets).view(len(numbers), -1, EMBEDDING + LINEAR)
        vectors, linear = table[..., :EMBEDDING], table[..., EMBEDDING]
        pairs = (vectors.sum(1).square() - vectors.square().sum(1)).sum(1) / 2
        deep = self.network(torch.cat([vectors.flatten(1), numbers], 1))
        return linear.sum(1) + pairs + (deep + self.numbers(numbers)).squeeze(1)


def main() -> None:
    """Train one epoch, predict the held-out rows, print."""
    chosen = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    read = {
        name: torch.from_numpy(np.load(chosen.table / f"{name}.npy"))
        for name in ("ids", "numbers", "label", "held_out_ids", "held_out_numbers", "held_out_label")
    }
    features = read["ids"].shape[1]
    model = DeepFm(np.load(chosen.table / "sizes.npy").tolist(), read["numbers"].shape[1])
    optimizer = torch.optim.Adam([*model.network.parameters(), *model.numbers.parameters()])
    order = torch.randperm(len(read["label"]))

    def logits(prefix: str, rows: torch.Tensor) -> torch.Tensor:
        ids = read[f"{prefix}ids"][rows].T.reshape(-1).long()
        return model(ids, torch.arange(features * len(rows) + 1), read[f"{prefix}numbers"][rows])

    def train() -> None:
        batches = order.split(BATCH)
        for number, rows in enumerate(batches):
            rate = chosen.learning_rate * (1 - number / len(batches))
            optimizer.param_groups[0]["lr"] = rate
            model.ids.set_learning_rate(OF_TABLES * rate)
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(logits("", rows), read["label"][rows]).backward()
            optimizer.step()

    def predict() -> NDArray[np.float32]:
        with torch.no_grad():
            rows = torch.arange(len(read["held_out_label"])).split(BATCH)
            return torch.cat([logits("held_out_", each) for each in rows]).sigmoid().numpy()

    measure_and_print("FBGEMM 1.8.0", len(order), train, predict, read["held_out_label"].numpy())


if __name__ == "__main__":
    main()
