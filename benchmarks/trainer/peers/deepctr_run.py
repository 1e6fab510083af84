"""DeepCTR-Torch's DeepFM on the benchmark's table, by the library's own `fit`, without L2.

    python deepctr_run.py --table FOLDER --threads 1 --learning-rate 0.001 --seed 0

`fit` joins the columns to one tensor and loads it row by row; both are part of what is timed.
"""

import sys
from types import ModuleType

import torch
from measure import BATCH, EMBEDDING, HIDDEN, arguments, measure_and_print, read_table

# On import the library asks the package registry for newer versions, in a thread that would run into the measurement.
_without_version_check = ModuleType("deepctr_torch.utils")
_without_version_check.check_version = lambda version: None  # type: ignore[attr-defined]
sys.modules["deepctr_torch.utils"] = _without_version_check

from deepctr_torch.inputs import DenseFeat, SparseFeat  # noqa: E402
from deepctr_torch.models import DeepFM  # noqa: E402


def main() -> None:
    """Train, predict the held-out rows, print."""
    chosen = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(chosen.threads)
    table = read_table(chosen.table)
    features = [SparseFeat(name, size, EMBEDDING) for name, size in table.sizes.items()]
    features += [DenseFeat(name) for name in table.numbers]
    model = DeepFM(
        features,
        features,
        dnn_hidden_units=HIDDEN,
        l2_reg_linear=0,
        l2_reg_embedding=0,
        l2_reg_dnn=0,
        seed=chosen.seed,
    )
    model.compile(torch.optim.Adam(model.parameters(), lr=chosen.learning_rate), "binary_crossentropy")
    train, held_out = table.train, table.held_out
    measure_and_print(
        "deepctr-torch 0.3.0",
        len(train.label),
        lambda: model.fit(train.columns, train.label, batch_size=BATCH, epochs=1, verbose=0),
        lambda: model.predict(held_out.columns, batch_size=BATCH),
        held_out.label,
    )


if __name__ == "__main__":
    main()
