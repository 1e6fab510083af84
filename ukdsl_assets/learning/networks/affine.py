"""The affine map of every layer: float32 products by oneDNN on a CPU.

PyTorch hands float32 products to MKL, which leaves half of the vector width unused on processors of other makers;
oneDNN, which PyTorch uses for bfloat16, does not (measured: 118 against 265 GFLOP/s on one Zen 5 core).
"""

from typing import Any

import torch
from torch import Tensor, nn

# Multiplications below which MKL's smaller cost of a call wins.
WORTHWHILE = 2**21


def affine(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """inputs @ weight.T + bias: [n, out] of [n, in], [out, in] and [out]; as torch.nn.functional.linear."""
    float32 = inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if float32 and len(inputs) * weight.numel() >= WORTHWHILE and torch.backends.mkldnn.is_available():
        return _Affine.apply(inputs, weight, bias)
    return nn.functional.linear(inputs, weight, bias)


class Linear(nn.Linear):
    """torch.nn.Linear by `affine`."""

    def forward(self, input: Tensor) -> Tensor:
        return affine(input, self.weight, self.bias)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        inputs, weight = context.saved_tensors
        of_inputs, of_weight, of_bias = context.needs_input_grad
        # oneDNN multiplies by a matrix whose rows lie apart a fifth more slowly than it takes to lay them side by side.
        turned = gradient.t().contiguous()
        return (
            _product(gradient, weight.t()) if of_inputs else None,
            _product(turned, inputs.t()) if of_weight else None,
            turned.sum(1) if of_bias else None,
        )


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left @ right.T + bias."""
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
