"""The matrix of boosted trees: each column has a name of its own, whatever features are called."""

import numpy as np
import polars as pl

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.learning.features.encoding import Encoder
from ukdsl_assets.learning.features.matrix import feature_matrix, frequent_ids

EMBEDDING = Feature(name="emb", kind="vector", width=2, side="candidate")


def test_a_feature_may_be_called_like_a_place_of_a_vector() -> None:
    import lightgbm

    number = Feature(name="emb_0", kind="numeric", side="candidate")
    random = np.random.default_rng(0)
    vectors = pl.Series("emb", random.normal(size=(200, 2)), dtype=pl.Array(pl.Float32, 2))
    rows = pl.DataFrame({"emb": vectors, "emb_0": random.normal(size=200)})
    matrix, columns, _ = feature_matrix((EMBEDDING, number), {}, rows)
    assert columns == ["emb.0", "emb_1", "emb_0"]
    data = lightgbm.Dataset(matrix, rows["emb_0"].to_numpy() > 0, feature_name=columns)
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=2)
    assert booster.feature_name() == columns


def test_places_of_a_vector_are_numbered() -> None:
    rows = pl.DataFrame({"emb": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2))})
    assert feature_matrix((EMBEDDING,), {}, rows)[1] == ["emb_0", "emb_1"]


def test_a_feature_of_ids_may_be_called_like_a_count_of_rows() -> None:
    rows = pl.Series("rows", [3, 3, 5, 5, 5, 7])
    assert frequent_ids(rows, 2).to_list() == [5, 3]
    feature = Feature(name="rows", kind="categorical", side="candidate")
    encoder = Encoder((feature,)).extended(rows.to_frame(), least=2)
    assert encoder.vocabularies["rows"][0].to_list() == [3, 5]
