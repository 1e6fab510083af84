"""Pairs of embeddings against their formula, written out row by row, and by PyTorch's operations."""

import numpy as np
import pytest
import torch

from ukdsl_assets.learning.networks import pairs as module
from ukdsl_assets.learning.networks.pairs import Pairs

WIDTH, REQUEST, CANDIDATE = 5, 2, 4
REQUEST_OF_ROW = torch.tensor([0, 0, 0, 1, 2, 2])


def columns(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of both sides, then 3 and 1 numbers."""
    generator = torch.Generator().manual_seed(0)
    shapes = (3, REQUEST * WIDTH + 3), (6, CANDIDATE * WIDTH + 1)
    request, candidate = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return request.requires_grad_(), candidate.requires_grad_()


def pairs(request: torch.Tensor, candidate: torch.Tensor) -> tuple[torch.Tensor, ...]:
    given = Pairs.apply(request, candidate, REQUEST_OF_ROW, (REQUEST, CANDIDATE), WIDTH)
    # Products, as all that reads the columns: their gradients are arrays of their own.
    return given[0], given[1] * 3, given[2] * 2


@pytest.fixture(params=["kernel", "gpu's operations"], autouse=True)
def by_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KERNELS_ON", "cpu" if request.param == "kernel" else "none")


def test_they_are_the_sum_of_products_of_all_pairs_of_features_and_own_weights() -> None:
    request, candidate = columns()
    fast = pairs(request, candidate)[0]
    left, right = request[:, : REQUEST * WIDTH].detach(), candidate[:, : CANDIDATE * WIDTH].detach()
    for row, of_row in enumerate(REQUEST_OF_ROW.tolist()):
        features = torch.cat([left[of_row], right[row]]).view(-1, WIDTH).numpy().astype(np.float64)
        products = features[:, :-1] @ features[:, :-1].T
        naive = products[np.triu_indices(len(features), k=1)].sum() + features[:, -1].sum()
        assert float(fast[row].detach()) == pytest.approx(naive, rel=1e-4)


def test_columns_come_back_as_they_are() -> None:
    request, candidate = columns()
    _, left, right = Pairs.apply(request, candidate, REQUEST_OF_ROW, (REQUEST, CANDIDATE), WIDTH)
    assert torch.equal(left, request)
    assert torch.equal(right, candidate)


def test_the_gradient_is_that_of_the_formula_and_of_what_else_reads_the_columns() -> None:
    assert torch.autograd.gradcheck(pairs, columns(torch.float64))


def test_columns_that_nothing_else_reads_have_the_gradient_of_the_formula() -> None:
    assert torch.autograd.gradcheck(lambda *given: pairs(*given)[0], columns(torch.float64))
