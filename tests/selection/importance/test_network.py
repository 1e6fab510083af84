"""The kernel of networks beside what it stands for; whole students are in `test_students`."""

from itertools import pairwise

import numpy as np
import pytest

from ukdsl_assets.selection.importance.network.kernel import BLOCK, dense_logits, moved_by_number
from ukdsl_assets.selection.importance.network.layout import Dense


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape, dtype=np.float32)


def test_an_outlier_that_is_exchanged_leaves_nothing_of_itself_behind() -> None:
    own, given = np.array([3.3e12, 1, -7.7e20], np.float32), np.array([0, 1, 0], np.float32)
    weight = drawn(32)
    sums = own[:, None] * weight
    changed, units = np.empty(3, np.int64), np.full((3, 32), np.nan, np.float32)
    assert moved_by_number(sums, own, given, 0, weight, changed, units) == 2
    assert changed[:2].tolist() == [0, 2]
    assert not units[:2].any()


@pytest.mark.parametrize("widths", [(48, 1), (128, 64, 1), (16, 8, 24, 1), (176, 160, 1)], ids=str)
@pytest.mark.parametrize("rows", [0, 1, 122, 123, BLOCK])
def test_logits_are_those_of_the_layers_however_rows_are_cut(widths: tuple[int, ...], rows: int) -> None:
    pairs = list(pairwise(widths))
    weights, biases = [drawn(*pair) for pair in pairs], [drawn(after) for _, after in pairs]
    dense = Dense(np.array(widths), np.concatenate([each.ravel() for each in weights]), np.concatenate(biases))
    units, logits = drawn(rows, widths[0]), np.full(BLOCK, np.nan, np.float32)
    here, there = (np.empty(BLOCK * max(widths), np.float32) for _ in range(2))
    dense_logits(dense, units, here, there, logits)
    expected = units.astype(np.float64)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        expected = np.maximum(expected @ weight + bias, 0)
    expected = expected @ weights[-1][:, 0] + biases[-1]
    assert np.allclose(logits[:rows], expected, rtol=1e-4, atol=1e-3)
    assert np.isnan(logits[rows:]).all()
