"""A DeepFM of FuxiCTR's layers with its npz loader and `train_epoch`; run by the peers' interpreter.

FuxiCTR's models are in its repository, not in its wheel.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import BATCH, HIDDEN, WIDTH, arguments, measure, read
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel


class DeepFM(BaseModel):
    """The factorization machine and the layers read the same embeddings."""

    def __init__(self, feature_map: FeatureMap, folder: str, learning_rate: float) -> None:
        super().__init__(feature_map, "DeepFM", gpu=-1, verbose=0, model_root=folder, metrics=["logloss"])
        self.embedding_layer = FeatureEmbedding(feature_map, WIDTH)
        self.fm = FactorizationMachine(feature_map)
        self.mlp = MLP_Block(input_dim=feature_map.sum_emb_out_dim(), output_dim=1, hidden_units=list(HIDDEN))
        self.compile("adam", "binary_crossentropy", learning_rate)
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        columns = self.get_inputs(inputs)
        embedded = self.embedding_layer(columns)
        logit = self.fm(columns, embedded) + self.mlp(embedded.flatten(start_dim=1))
        return {"y_pred": self.output_activation(logit)}


def main() -> None:
    """Train one epoch and print what it took."""
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(given.threads)
    ids, numbers, label = read(given.table)
    rows = len(ids) - given.held_out
    with tempfile.TemporaryDirectory() as folder:
        feature_map = FeatureMap("benchmark", folder)
        for i in range(ids.shape[1]):
            size = int(ids[:, i].max()) + 1
            feature_map.features[f"c{i}"] = {"source": "", "type": "categorical", "vocab_size": size + 1}
        for i in range(numbers.shape[1]):
            feature_map.features[f"n{i}"] = {"source": "", "type": "numeric"}
        feature_map.labels = ["label"]
        feature_map.num_fields = feature_map.input_length = len(feature_map.features)
        feature_map.default_emb_dim = WIDTH
        for spec in feature_map.features.values():
            spec["emb_output_dim"] = WIDTH
        feature_map.set_column_index()
        parts = {"train": slice(0, rows), "held": slice(rows, None)}
        loaders = {}
        for name, part in parts.items():
            columns = {f"c{i}": ids[part, i] + 1 for i in range(ids.shape[1])}
            columns |= {f"n{i}": numbers[part, i] for i in range(numbers.shape[1])}
            path = str(Path(folder) / f"{name}.npz")
            np.savez(path, label=label[part], **columns)
            loaders[name] = NpzDataLoader(feature_map, path, BATCH, shuffle=name == "train", num_workers=0)
        model = DeepFM(feature_map, folder, given.learning_rate)
        # What `fit` sets before it calls `train_epoch`; the evaluation after the epoch is left out.
        model._max_gradient_norm, model._total_steps, model._stop_training = 10.0, 0, False
        model._eval_steps = 10**9

        def held_out() -> np.ndarray:
            model.eval()
            with torch.no_grad():
                return np.concatenate([model(batch)["y_pred"].numpy().ravel() for batch in loaders["held"]])

        measure("fuxictr 2.3.10", rows, lambda: model.train_epoch(loaders["train"]), held_out, label[rows:])


if __name__ == "__main__":
    main()
