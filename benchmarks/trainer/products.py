"""The network's matrix products alone, forward and backward: what no trainer of this network can be faster than.

python -m benchmarks.trainer.products --table FOLDER --precision float32
"""

from itertools import pairwise

import numpy as np
import torch

from benchmarks.trainer.peers.measure import BATCH, EMBEDDING, HIDDEN, arguments, measure_and_print
from benchmarks.trainer.peers.table import FEATURES, NUMBERS
from ukdsl_assets.learning.networks.affine import affine, gradients


def main() -> None:
    """Multiply as often as an epoch does and print."""
    chosen = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(chosen.threads)
    label = np.load(chosen.table / "label.npy")
    dtype = torch.float32 if chosen.precision == "float32" else torch.bfloat16
    layers = [
        (
            torch.randn(BATCH, inputs, dtype=dtype),
            torch.randn(outputs, inputs, dtype=dtype),
            torch.randn(BATCH, outputs, dtype=dtype),
        )
        for inputs, outputs in pairwise((FEATURES * EMBEDDING + NUMBERS, *HIDDEN))
    ]

    def epoch() -> None:
        for _ in range(-(-len(label) // BATCH)):
            for rows, weight, gradient in layers:
                affine(rows, weight)
                gradients(gradient, rows, weight)

    epoch()
    measure_and_print(f"products alone, {chosen.precision}", len(label), epoch, lambda: np.full(1, label.mean()), label)


if __name__ == "__main__":
    main()
