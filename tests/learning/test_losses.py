"""Soft labels, temperature and smoothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ukdsl_assets.learning.losses import smoothed, soft_label_cross_entropy, softened

SHARES = st.floats(0.01, 0.99)


@given(st.lists(st.tuples(SHARES, st.floats(-8, 8), st.floats(0, 5)), max_size=20))
def test_cross_entropy_is_its_formula(rows: list[tuple[float, float, float]]) -> None:
    target, logit, weight = np.array(rows, np.float64).reshape(-1, 3).T
    p = 1 / (1 + np.exp(-logit))
    naive = -(weight * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum()
    tensors = [torch.from_numpy(column.astype(np.float32)) for column in (logit, target, weight)]
    assert float(soft_label_cross_entropy(*tensors)) == pytest.approx(naive, rel=1e-3, abs=1e-4)


@given(SHARES, st.floats(0.5, 10))
def test_a_softened_teacher_is_its_logit_over_the_temperature(p: float, temperature: float) -> None:
    q = float(softened(np.array([p], np.float32), temperature)[0])
    assert np.log(q / (1 - q)) == pytest.approx(np.log(p / (1 - p)) / temperature, rel=1e-2, abs=1e-3)


def test_temperature_one_leaves_the_teacher_as_it_is_and_certainty_stays_finite() -> None:
    teacher = np.array([0, 0.3, 1], np.float32)
    assert softened(teacher, 1.0) is teacher
    assert np.isfinite(softened(teacher, 2.0)).all()


def test_smoothing_towards_the_mean_keeps_the_mean() -> None:
    label = np.array([0, 0, 1, 1, 0], np.float32)
    half = smoothed(label, 0.4, 0.5)
    assert half.mean() == pytest.approx(0.4)
    assert half.tolist() == pytest.approx([0.2, 0.2, 0.7, 0.7, 0.2])
    assert smoothed(label, 0.4, 0.0) is label
    assert len(smoothed(label[:0], 0.4, 0.5)) == 0
