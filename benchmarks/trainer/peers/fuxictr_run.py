"""A DeepFM of FuxiCTR's layers on the benchmark's table, by the library's own `train_epoch` and npz loader.

    python fuxictr_run.py --table FOLDER --threads 1 --learning-rate 0.001 --seed 0

FuxiCTR's models are in its repository, not in its wheel, so the model here is written on its base class. As there,
a number has an embedding too: the network reads 39 x 16 inputs, where DeepCTR-Torch's reads 26 x 16 + 13.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.torch_utils import seed_everything
from measure import BATCH, EMBEDDING, HIDDEN, Part, PeersTable, arguments, measure_and_print, read_table


class DeepFM(BaseModel):
    """Factorization machine plus a network, on shared embeddings (Guo et al., DeepFM, 2017)."""

    def __init__(self, feature_map: FeatureMap, folder: str, learning_rate: float) -> None:
        super().__init__(feature_map, model_id="DeepFM", model_root=folder, metrics=["logloss", "AUC"], verbose=0)
        self.embeddings = FeatureEmbedding(feature_map, EMBEDDING)
        self.machine = FactorizationMachine(feature_map)
        self.network = MLP_Block(feature_map.sum_emb_out_dim(), list(HIDDEN), output_dim=1)
        self.compile("adam", "binary_crossentropy", learning_rate)
        self.reset_parameters()
        # The library starts a number's linear term at a standard deviation of 1, too far off for one epoch to mend
        # (held-out log loss 0.49 at a rate of 1e-3, a constant's is 0.33); so numbers start as small as its ids do.
        for embeddings in (self.embeddings, self.machine.lr_layer.embedding_layer):
            for layer in embeddings.embedding_layer.embedding_layers.values():
                if isinstance(layer, torch.nn.Linear):
                    torch.nn.init.normal_(layer.weight, std=1e-4)
        self.model_to_device()

    def forward(self, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Probabilities [rows, 1] under the name that the training loop reads."""
        features = self.get_inputs(inputs)
        embedded = self.embeddings(features)  # [rows, 39, 16]
        logit = self.machine(features, embedded) + self.network(embedded.flatten(start_dim=1))
        return {"y_pred": self.output_activation(logit)}

    def train_once(self, batches: NpzDataLoader) -> None:
        """`train_epoch` as `fit` calls it; `fit` itself also evaluates, saves and loads, which is not training."""
        self._max_gradient_norm = 10.0
        self._total_steps = self._epoch_index = 0
        self._stop_training = False
        self._eval_steps = sys.maxsize
        self.train_epoch(batches)


def describe(table: PeersTable, folder: str) -> FeatureMap:
    """The table's columns in FuxiCTR's terms."""
    feature_map = FeatureMap("benchmark", folder)
    for name, size in table.sizes.items():
        feature_map.features[name] = {"source": "", "type": "categorical", "vocab_size": size}
    for name in table.numbers:
        feature_map.features[name] = {"source": "", "type": "numeric"}
    feature_map.labels = ["label"]
    feature_map.default_emb_dim = EMBEDDING
    feature_map.num_fields = feature_map.get_num_fields()
    feature_map.set_column_index()
    return feature_map


def loader(feature_map: FeatureMap, part: Part, path: Path, shuffle: bool) -> NpzDataLoader:
    """The part written as FuxiCTR wants it, and its loader; in this process, whose CPU seconds are counted."""
    np.savez(path, label=part.label, **part.columns)
    return NpzDataLoader(feature_map, str(path), batch_size=BATCH, shuffle=shuffle, num_workers=0)


def main() -> None:
    """Train, predict the held-out rows, print."""
    chosen = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(chosen.threads)
    table = read_table(chosen.table)
    seed_everything(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        feature_map = describe(table, folder)
        train = loader(feature_map, table.train, Path(folder) / "train.npz", shuffle=True)
        held_out = loader(feature_map, table.held_out, Path(folder) / "held_out.npz", shuffle=False)
        model = DeepFM(feature_map, folder, chosen.learning_rate)
        measure_and_print(
            "fuxictr 2.3.10",
            len(table.train.label),
            lambda: model.train_once(train),
            lambda: model.predict(held_out),
            table.held_out.label,
        )


if __name__ == "__main__":
    main()
