"""Whether products of matrices are faster in bfloat16 on the processor at hand, as a student may ask for."""

import time
from collections.abc import Callable
from functools import cache
from statistics import median

import torch

from ukdsl_assets.learning.networks.affine import affine
from ukdsl_assets.learning.training.trainer import Precision, autocast

# What bfloat16 must gain: less is within the scatter of such a measurement, and not worth its digits.
WORTHWHILE = 1.2
# A layer's product as in training: rows, inputs and outputs of a usual batch.
ROWS, INPUTS, OUTPUTS, TURNS = 4096, 256, 128, 7


def used_precision(
    asked: Precision, device: torch.device, seconds: Callable[[Precision, torch.device], float] | None = None
) -> Precision:
    """`asked`, but float32 where bfloat16 would not be 1.2 times as fast (on one Xeon it took three times as long).

    Args:
        seconds: of a layer's products in a precision; measured once a process by default, some tenths of a second. On a
            processor that is near the margin another process may find otherwise; the checkpoint says what was used.
    """
    if asked == "float32":
        return asked
    took = seconds or layer_seconds
    return "bfloat16" if took("float32", device) >= WORTHWHILE * took("bfloat16", device) else "float32"


@cache
def layer_seconds(precision: Precision, device: torch.device) -> float:
    """Median seconds of a layer's forward and backward products, by the way that training takes.

    CPU seconds on a CPU, which others' work on the machine hardly changes.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    rows = torch.ones(ROWS, INPUTS, device=device, requires_grad=True)
    weight = torch.ones(OUTPUTS, INPUTS, device=device, requires_grad=True)
    gradient = torch.ones(ROWS, OUTPUTS, device=device)
    took = []
    for _ in range(TURNS):
        start = clock()
        with autocast(precision, device):
            product = affine(rows, weight)
        product.backward(gradient.to(product.dtype))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(clock() - start)
    return median(took)
