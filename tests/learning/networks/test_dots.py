"""Where the towers meet, against PyTorch's own operations."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ukdsl_assets.learning.networks.dots import dots


def by_torch(left: list[Tensor], right: list[Tensor], request_of_row: Tensor, scale: float, bias: Tensor) -> Tensor:
    parts = []
    for mine, theirs, level in zip(left, right, bias, strict=True):
        both = mine[request_of_row]
        parts.append((both[:, :-1] * theirs[:, :-1]).sum(1) * scale + both[:, -1] + theirs[:, -1] + level)
    return torch.stack(parts, dim=1)


def drawn(heads: int, requests: int, rows: int, width: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [*[(requests, width + 1)] * heads, *[(rows, width + 1)] * heads, (heads,)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("width", [1, 8, 13, 16])
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_logits_and_gradients_are_those_of_pytorch(heads: int, width: int, rows: int) -> None:
    of = drawn(heads, 7, rows, width)
    # Some requests have many rows, the last has none.
    request_of_row = torch.arange(rows) % 6
    given = torch.linspace(-1, 1, rows * heads).view(rows, heads)
    made, expected = (function(of[:heads], of[heads:-1], request_of_row, 0.3, of[-1]) for function in (dots, by_torch))
    assert torch.allclose(made, expected, atol=1e-5)
    gradients = (torch.autograd.grad(logits, of, given) for logits in (made, expected))
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_stay_what_they_are(dtype: torch.dtype) -> None:
    left, right, bias = drawn(1, 5, 20, 4, dtype)
    made = dots([left], [right], torch.arange(20) % 5, 0.5, bias)
    assert made.dtype == dtype
    assert torch.allclose(made, by_torch([left], [right], torch.arange(20) % 5, 0.5, bias), rtol=0.05)


def test_rows_are_the_same_bits_in_whichever_batch_they_are() -> None:
    left, right, bias = drawn(1, 9, 200, 16)
    request_of_row = torch.arange(200) % 9
    whole = dots([left], [right], request_of_row, 0.25, bias)
    parts = [
        dots([left], [right[first:last]], request_of_row[first:last], 0.25, bias)
        for first, last in pairwise([0, 1, 77, 200])
    ]
    assert torch.equal(torch.cat(parts), whole)
