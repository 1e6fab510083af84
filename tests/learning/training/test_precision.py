"""bfloat16 is taken where it is faster, and nowhere else."""

import pytest
import torch

from ukdsl_assets.learning.training.precision import layer_seconds, used_precision
from ukdsl_assets.learning.training.trainer import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("float32", "bfloat16", "used"),
    [(3.0, 1.0, "bfloat16"), (1.2, 1.0, "bfloat16"), (1.1, 1.0, "float32"), (1.0, 3.0, "float32")],
)
def test_bfloat16_is_taken_where_it_is_worth_it(float32: float, bfloat16: float, used: str) -> None:
    took = {"float32": float32, "bfloat16": bfloat16}
    assert used_precision("bfloat16", CPU, lambda precision, device: took[precision]) == used


def test_float32_asks_no_clock() -> None:
    def never(precision: Precision, device: torch.device) -> float:
        raise AssertionError(precision)

    assert used_precision("float32", CPU, never) == "float32"


def test_a_layer_is_measured_once_a_process() -> None:
    assert layer_seconds("bfloat16", CPU) > 0
    assert layer_seconds("bfloat16", CPU) == layer_seconds("bfloat16", CPU)
