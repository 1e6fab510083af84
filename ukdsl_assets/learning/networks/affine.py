"""The affine map of every layer, rectified or not: float32 products by the faster of two libraries on a CPU.

PyTorch hands float32 products to MKL, which leaves half of the vector width unused on processors of other makers;
oneDNN, which PyTorch uses for bfloat16, does not (measured: 118 against 265 GFLOP/s on one Zen 5 core). On Intel's own
MKL is as fast forward and faster backward (the weight's gradient in 7.3 ms instead of 9.7, on one core of a Xeon).
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

# Multiplications below which MKL's smaller cost of a call wins.
WORTHWHILE = 2**21


def affine(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """inputs @ weight.T + bias: [n, out] of [n, in], [out, in] and [out]; as torch.nn.functional.linear."""
    if worthwhile(inputs, weight):
        return _Affine.apply(inputs, weight, bias, False)
    return nn.functional.linear(inputs, weight, bias)


def rectified_affine(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The larger of `affine` and 0, [n, out]; NaN stays NaN."""
    if worthwhile(inputs, weight):
        return _Affine.apply(inputs, weight, bias, True)
    return torch.relu_(nn.functional.linear(inputs, weight, bias))


class Linear(nn.Linear):
    """torch.nn.Linear by `affine`."""

    def forward(self, input: Tensor) -> Tensor:
        return affine(input, self.weight, self.bias)

    def rectified(self, inputs: Tensor) -> Tensor:
        """The larger of the layer's value and 0."""
        return rectified_affine(inputs, self.weight, self.bias)


def worthwhile(inputs: Tensor, weight: Tensor) -> bool:
    """Whether the product is one of float32 on a CPU, and large."""
    float32 = inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return float32 and len(inputs) * weight.numel() >= WORTHWHILE and torch.backends.mkldnn.is_available()


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, rectified: bool) -> Tensor:
        product = _product(inputs, weight, bias)
        if rectified:
            # oneDNN would do it too, but makes 0 of a NaN, by which a training that diverges is known.
            product.relu_()
        context.save_for_backward(inputs, weight, product if rectified else None)
        return product

    @staticmethod
    def backward(context: Any, *given: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (gradient,) = given
        inputs, weight, rectified = context.saved_tensors
        of_inputs, of_weight, of_bias, _ = context.needs_input_grad
        if rectified is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, rectified, 0)
        return *gradients(gradient, inputs if of_weight else None, weight if of_inputs else None, of_bias), None


def gradients(
    gradient: Tensor, inputs: Tensor | None, weight: Tensor | None, of_bias: bool = False
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Of inputs [n, in], weight [out, in] and bias [out], from that of their affine map, [n, out].

    Args:
        inputs: None where the weight needs none; weight: None where the inputs need none.
    """
    if by_mkl():
        return (
            None if weight is None else gradient @ weight,
            None if inputs is None else gradient.t() @ inputs,
            gradient.sum(0) if of_bias else None,
        )
    # oneDNN multiplies by a matrix whose rows lie apart a fifth more slowly than it takes to lay them side by side.
    turned = gradient.t().contiguous()
    return (
        None if weight is None else _product(gradient, weight.t()),
        None if inputs is None else _product(turned, inputs.t()),
        turned.sum(1) if of_bias else None,
    )


@cache
def by_mkl() -> bool:
    """Whether MKL makes the products of gradients: on Intel's processors, where PyTorch has it."""
    return torch.backends.mkl.is_available() and str(torch.cpu.get_capabilities().get("cpu_name")).startswith("Intel")


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left @ right.T + bias."""
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
