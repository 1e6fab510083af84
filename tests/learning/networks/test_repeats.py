"""A first layer on ids that come again within a batch, against the plain layer on the same columns."""

import numpy as np
import pytest
import torch

from ukdsl_assets.declaration.architectures import (
    DcnV2Architecture,
    DeepFmArchitecture,
    MlpArchitecture,
    NeuralArchitecture,
)
from ukdsl_assets.learning.features.encoding import EncodedRows, EncodedSide, grow
from ukdsl_assets.learning.networks import affine as affine_module
from ukdsl_assets.learning.networks import repeats as repeats_module
from ukdsl_assets.learning.networks.build import build_network, table_width
from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows, look_up
from ukdsl_assets.learning.networks.inputs import Side
from ukdsl_assets.learning.networks.model import Model
from ukdsl_assets.learning.networks.repeats import LEAST_WIDTH, Mentions, affine_of_mentions, repeats_of
from ukdsl_assets.learning.training.shards import PlannedShard, Shard, Targets
from ukdsl_assets.learning.training.trainer import train

ROWS, WIDTH, TABLE = 240, LEAST_WIDTH + 1, 500


@pytest.fixture(autouse=True)
def small_products_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affine_module, "WORTHWHILE", 1)
    monkeypatch.setattr(repeats_module, "LEAST_OUTPUTS", 1)


def ids_of(*distinct: int) -> torch.Tensor:
    """int32 [ROWS, features], each feature with that many ids of its own."""
    generator = np.random.default_rng(0)
    starts = np.cumsum([0, *distinct[:-1]])
    columns = [
        generator.permutation(np.arange(ROWS) % count) + start for start, count in zip(starts, distinct, strict=True)
    ]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int32))


def places() -> np.ndarray:
    return np.full(TABLE, -1, np.int32)


def test_features_of_few_ids_are_found_and_the_places_are_as_before() -> None:
    ids, scratch = ids_of(3, ROWS, 7, 61, 60), places()
    found = repeats_of(Mentions(ids, scratch, WIDTH))
    assert found is not None
    assert found.features.tolist() == [0, 2, 4]
    assert found.starts == [0, 3, 10, 70]
    assert (scratch == -1).all()
    for place, feature in enumerate(found.features):
        named = ids.numpy()[found.firsts, feature]
        assert (named[found.codes[place]] == ids.numpy()[:, feature]).all()


def test_all_features_together_have_at_most_as_many_ids_as_rows() -> None:
    found = repeats_of(Mentions(ids_of(60, 60, 60, 60, 1), places(), WIDTH))
    assert found is not None
    assert found.features.tolist() == [0, 1, 2, 3]


def test_a_feature_with_a_row_without_an_id_is_left_to_the_plain_layer() -> None:
    ids = ids_of(3, 4)
    ids[5, 0] = -1
    found = repeats_of(Mentions(ids, places(), WIDTH))
    assert found is not None
    assert found.features.tolist() == [1]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_tiny_batches_have_no_such_feature(rows: int) -> None:
    assert repeats_of(Mentions(torch.zeros(rows, 2, dtype=torch.int32), places(), WIDTH)) is None


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("by_mkl", [False, True])
@pytest.mark.parametrize(
    ("distinct", "numbers"),
    [((3, ROWS, 7, 61, 60), 5), ((ROWS, 2), 0), ((2, ROWS), 0), ((2, 9), 3), ((2, 9), 0), ((ROWS, ROWS), 2)],
)
def test_values_and_gradients_are_those_of_the_plain_layer(
    monkeypatch: pytest.MonkeyPatch,
    distinct: tuple[int, ...],
    numbers: int,
    by_mkl: bool,
    with_bias: bool,
    rectified: bool,
) -> None:
    monkeypatch.setattr(affine_module, "by_mkl", lambda: by_mkl)
    monkeypatch.setattr(repeats_module, "by_mkl", lambda: by_mkl)
    generator = torch.Generator().manual_seed(0)
    ids, table = ids_of(*distinct), torch.randn(TABLE + ROWS, WIDTH, generator=generator)
    columns = look_up(table, ids, torch.randn(ROWS, numbers, generator=generator))
    weight = torch.randn(6, columns.shape[1], generator=generator)
    bias = torch.randn(6, generator=generator) if with_bias else None
    upstream = torch.randn(ROWS, 6, generator=generator)
    mentions = Mentions(ids, np.full(len(table), -1, np.int32), WIDTH)

    def trained(mentions: Mentions | None) -> list[torch.Tensor]:
        """The value, the gradients of weight and bias, and the table after a step."""
        of = [part.clone().requires_grad_() for part in (columns, weight, *([] if bias is None else [bias]))]
        made = affine_of_mentions(of[0], of[1], of[2] if with_bias else None, mentions, rectified)
        (made * upstream).sum().backward()
        rows = EmbeddingRows(table.clone())
        gradient = of[0].grad
        assert gradient is not None
        rows.step([(ids, gradient)], 0.1)
        return [made.detach(), *(part.grad for part in of[1:] if part.grad is not None), rows.first, rows.table]

    for mine, theirs in zip(trained(mentions), trained(None), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4)


def test_the_same_batch_gives_the_same_bits() -> None:
    ids = ids_of(3, 50, ROWS)
    columns = look_up(torch.randn(TABLE, WIDTH), ids, torch.empty(ROWS, 0))
    weight = torch.randn(6, columns.shape[1])
    one, other = (affine_of_mentions(columns, weight, None, Mentions(ids, places(), WIDTH)) for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize("with_mentions", [False, True])
def test_a_nan_stays_one_so_that_a_training_that_diverges_is_known(with_mentions: bool) -> None:
    ids = ids_of(2, ROWS)
    columns = torch.full((ROWS, 2 * WIDTH), torch.nan)
    mentions = Mentions(ids, places(), WIDTH) if with_mentions else None
    assert affine_of_mentions(columns, torch.ones(6, 2 * WIDTH), None, mentions, rectified=True).isnan().all()


@pytest.mark.parametrize("of_request", [0, 2])
@pytest.mark.parametrize(
    "architecture",
    [
        MlpArchitecture(kind="mlp", embedding=LEAST_WIDTH, hidden=(8, 4)),
        DeepFmArchitecture(kind="deepfm", embedding=LEAST_WIDTH, hidden=(8, 4)),
        DcnV2Architecture(kind="dcn_v2", embedding=LEAST_WIDTH, hidden=(8, 4), crosses=2),
    ],
    ids=lambda architecture: architecture.kind,
)
def test_a_training_ends_where_it_ends_without(
    monkeypatch: pytest.MonkeyPatch, architecture: NeuralArchitecture, of_request: int
) -> None:
    ids = ids_of(3, ROWS, 7).numpy()
    generator = np.random.default_rng(0)
    numbers, label = (generator.random((ROWS, width), np.float32) for width in (2, 1))
    request = EncodedSide(ids[::2, :of_request].copy(), np.empty((ROWS // 2, 0), np.float32))
    rows = EncodedRows(request, EncodedSide(ids + TABLE // 2, numbers), np.arange(0, ROWS + 1, 2))
    shard = Shard(rows, Targets(label, np.full_like(label, 1 / ROWS), np.ones(ROWS, np.float32)))

    def trained() -> tuple[torch.Tensor, list[torch.Tensor]]:
        network = build_network(architecture, Side(of_request, 0), Side(3, 2), 1, 0.5, 0)
        empty = np.empty((0, table_width(architecture)), np.float32)
        model = Model(torch.from_numpy(grow(empty, TABLE // 2 + 3 + ROWS + 7, 0)), network)
        train(model, [PlannedShard(lambda: shard, 2)], 2, 0.01, 0)
        return model.table, list(network.parameters())

    table, parameters = trained()
    monkeypatch.setattr(EmbeddingRows, "mentions", lambda self, ids: None)
    plain_table, plain_parameters = trained()
    assert not torch.equal(table, plain_table), "the layer on repeated ids was not taken"
    assert torch.allclose(table, plain_table, atol=1e-4)
    for mine, theirs in zip(parameters, plain_parameters, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)
