"""Affine maps by oneDNN and MKL against PyTorch's own."""

import pytest
import torch

from ukdsl_assets.learning.networks import affine as module
from ukdsl_assets.learning.networks.affine import affine, rectified_affine


def gradients(product: torch.Tensor, *of: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((product * torch.linspace(-1, 1, product.numel()).view_as(product)).sum(), of)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(
    ("worthwhile", "by_mkl"), [(1, False), (1, True), (2**60, True)], ids=["oneDNN", "oneDNN, then MKL", "PyTorch"]
)
@pytest.mark.parametrize("rows", [0, 1, 7, 300])
def test_values_and_gradients_are_those_of_a_linear_layer(
    monkeypatch: pytest.MonkeyPatch, rows: int, worthwhile: int, by_mkl: bool, rectified: bool
) -> None:
    monkeypatch.setattr(module, "WORTHWHILE", worthwhile)
    monkeypatch.setattr(module, "by_mkl", lambda: by_mkl)
    generator = torch.Generator().manual_seed(0)
    inputs, weight, bias = (torch.randn(shape, generator=generator) for shape in ((rows, 33), (5, 33), (5,)))
    of = [part.requires_grad_() for part in (inputs, weight, bias)]
    made = (rectified_affine if rectified else affine)(inputs, weight, bias)
    expected = torch.nn.functional.linear(inputs, weight, bias)
    if rectified:
        expected = torch.relu(expected)
    assert torch.allclose(made, expected, atol=1e-5)
    for mine, theirs in zip(gradients(made, *of), gradients(expected, *of), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_float64_stays_float64() -> None:
    inputs = torch.randn(2000, 64, dtype=torch.float64)
    weight = torch.randn(64, 64, dtype=torch.float64)
    made = affine(inputs, weight)
    assert made.dtype == torch.float64
    # Products of float32 would be off by 1e-6.
    assert torch.allclose(made, inputs @ weight.T, rtol=1e-12, atol=1e-12)


def test_large_float32_products_are_as_exact_as_float32_allows() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, weight = torch.randn(4096, 128, generator=generator), torch.randn(64, 128, generator=generator)
    assert len(inputs) * weight.numel() >= module.WORTHWHILE
    exact = inputs.double() @ weight.double().T
    assert float((affine(inputs, weight) - exact).abs().max()) < 1e-5 * float(exact.abs().max())
