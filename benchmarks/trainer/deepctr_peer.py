"""DeepCTR-Torch's DeepFM and its `fit`, without L2; run by the peers' interpreter."""

import numpy as np
import torch
from common import BATCH, HIDDEN, WIDTH, arguments, measure, read
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import DeepFM

given = arguments()
torch.set_num_threads(given.threads)
ids, numbers, label = read(given.table)
rows = len(ids) - given.held_out
columns = {f"c{i}": ids[:, i] for i in range(ids.shape[1])} | {f"n{i}": numbers[:, i] for i in range(numbers.shape[1])}
sparse = [SparseFeat(f"c{i}", int(ids[:, i].max()) + 1, embedding_dim=WIDTH) for i in range(ids.shape[1])]
features = sparse + [DenseFeat(f"n{i}", 1) for i in range(numbers.shape[1])]
model = DeepFM(
    features, features, dnn_hidden_units=HIDDEN, l2_reg_linear=0, l2_reg_embedding=0, l2_reg_dnn=0, seed=given.seed
)
model.compile(torch.optim.Adam(model.parameters(), lr=given.learning_rate), "binary_crossentropy")
train = {name: column[:rows] for name, column in columns.items()}
held = {name: column[rows:] for name, column in columns.items()}
measure(
    "deepctr-torch 0.3.0",
    rows,
    lambda: model.fit(train, label[:rows], batch_size=BATCH, epochs=1, verbose=0),
    lambda: np.asarray(model.predict(held, batch_size=BATCH)),
    label[rows:],
)
