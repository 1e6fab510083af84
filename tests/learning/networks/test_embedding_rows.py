"""Lazy Adam on the rows of a batch."""

import numpy as np
import pytest
import torch

from ukdsl_assets.learning.networks.embedding_rows import EmbeddingRows, _torch_look_up, look_up

BATCHES = [torch.tensor(ids, dtype=torch.int32) for ids in ([3, 1, 3, 3], [0, 7], [1, 3], [7, 7, 7, 2, 1])]


def gradients(step: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(step).normal(size=(len(BATCHES[step]), 4)).astype(np.float32))


def table() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(99).normal(size=(9, 4)).astype(np.float32))


def stepped(by_torch: bool = False) -> torch.Tensor:
    rows = EmbeddingRows(table())
    if by_torch:
        rows._places = None  # as on a GPU
    for step, ids in enumerate(BATCHES):
        rows.step([(ids[:, None], gradients(step))], learning_rate=0.01)
    return rows.table


def test_it_is_the_sparse_adam_of_pytorch() -> None:
    weight = torch.nn.Parameter(table())
    optimizer = torch.optim.SparseAdam([weight], lr=0.01)
    for step, ids in enumerate(BATCHES):
        weight.grad = torch.sparse_coo_tensor(ids.long()[None], gradients(step), weight.shape, check_invariants=True)
        optimizer.step()
    assert torch.allclose(stepped(), weight.detach(), atol=1e-6)


def test_the_kernel_and_the_steps_of_a_gpu_agree() -> None:
    assert torch.allclose(stepped(), stepped(by_torch=True), atol=1e-6)


def test_rows_that_no_batch_names_stay_as_they_were() -> None:
    untouched = [4, 5, 6, 8]
    assert torch.equal(stepped()[untouched], table()[untouched])
    assert not torch.equal(stepped()[[0, 1, 2, 3, 7]], table()[[0, 1, 2, 3, 7]])


def test_no_ids_change_nothing() -> None:
    rows = EmbeddingRows(table())
    rows.step([(torch.empty((0, 2), dtype=torch.int32), torch.empty(0, 8))], 0.01)
    assert torch.equal(rows.table, table())


def test_the_first_step_is_as_long_as_the_learning_rate_whatever_the_gradient() -> None:
    rows = EmbeddingRows(table())
    rows.step([(torch.tensor([[2]], dtype=torch.int32), torch.tensor([[1e-3, 5.0, -2.0, 700.0]]))], 0.01)
    moved = (table()[2] - rows.table[2]).tolist()
    assert moved == pytest.approx([0.01, 0.01, -0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize("by_torch", [False, True], ids=["kernel", "gpu's steps"])
def test_both_sides_of_a_batch_make_one_step_as_their_mentions_one_by_one_do(by_torch: bool) -> None:
    request, candidate = torch.tensor([[3], [0]], dtype=torch.int32), torch.tensor([[3, 7], [8, 8]], dtype=torch.int32)
    of_request, of_candidate = torch.randn(2, 4 + 1), torch.randn(2, 8 + 3)  # numbers' columns are left alone
    together, apart = EmbeddingRows(table()), EmbeddingRows(table())
    if by_torch:
        together._places = None
    together.step([(request, of_request), (candidate, of_candidate)], 0.01)
    mentions = torch.cat([request.reshape(-1, 1), candidate.reshape(-1, 1)])
    apart.step([(mentions, torch.cat([of_request[:, :4], of_candidate[:, :8].reshape(-1, 4)]))], 0.01)
    assert torch.allclose(together.table, apart.table, atol=1e-6)
    assert together.steps == 1


def test_columns_are_the_embeddings_of_the_ids_then_the_numbers() -> None:
    columns = look_up(table(), torch.tensor([[3, 0], [8, 8]], dtype=torch.int32), torch.tensor([[0.5], [2.0]]))
    expected = [
        torch.cat([table()[3], table()[0], torch.tensor([0.5])]),
        torch.cat([table()[8]] * 2 + [torch.tensor([2.0])]),
    ]
    assert torch.equal(columns, torch.stack(expected))


def test_the_look_up_of_a_gpu_agrees() -> None:
    ids, numbers = torch.tensor([[3, -1, 0], [8, 8, 2]], dtype=torch.int32), torch.tensor([[0.5], [2.0]])
    assert torch.equal(_torch_look_up(table(), ids, numbers), look_up(table(), ids, numbers))
    assert look_up(table(), ids, numbers)[0, 4:8].tolist() == [0, 0, 0, 0]
